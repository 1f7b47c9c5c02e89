//! The triggers of the node in memory: an immutable snapshot, in which a topic without triggers costs one look.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{AGGREGATION_BATCH_DEFAULT, FunctionName, Namespace, Pattern, Topic, Trigger, TriggerSpec};
use ports::{Change, RowOperation, TableWatch};

/// Every trigger. Cloning copies pointers.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    namespaces: HashMap<Namespace, Arc<OfNamespace>>,
}

/// The triggers of one namespace, and where to find those that react to something.
#[derive(Debug, Default)]
pub(super) struct OfNamespace {
    /// By function, then in the order in which they came.
    all: Vec<Arc<Trigger>>,
    topics: HashMap<String, Vec<Arc<TopicTrigger>>>,
    patterns: Vec<(Pattern, Arc<TopicTrigger>)>,
    /// By table, in small letters.
    tables: HashMap<String, Vec<Arc<TableTrigger>>>,
}

/// A trigger that waits for messages.
#[derive(Debug)]
pub(super) struct TopicTrigger {
    pub(super) trigger: Arc<Trigger>,
    pub(super) window_ms: u32,
    /// 0 unless messages are collected.
    pub(super) batch_max: u32,
}

/// A trigger that waits for changes of a table.
#[derive(Debug)]
pub(super) struct TableTrigger {
    pub(super) trigger: Arc<Trigger>,
    watch: TableWatch,
}

impl Known {
    pub(super) fn of(triggers: Vec<Trigger>) -> Self {
        let mut by_namespace: HashMap<Namespace, Vec<Arc<Trigger>>> = HashMap::new();
        for trigger in triggers {
            by_namespace.entry(trigger.namespace.clone()).or_default().push(Arc::new(trigger));
        }
        let of = |(namespace, all)| (namespace, Arc::new(OfNamespace::of(all)));
        Self { namespaces: by_namespace.into_iter().map(of).collect() }
    }

    /// The triggers of a namespace; none where there are none.
    pub(super) fn of_namespace(&self, namespace: &Namespace) -> Option<&Arc<OfNamespace>> {
        self.namespaces.get(namespace)
    }

    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.keys()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Trigger>> {
        self.namespaces.values().flat_map(|of_namespace| &of_namespace.all)
    }

    pub(super) fn count(&self) -> usize {
        self.namespaces.values().map(|of_namespace| of_namespace.all.len()).sum()
    }

    /// The snapshot in which a namespace has these triggers.
    pub(super) fn with(&self, namespace: &Namespace, all: Vec<Arc<Trigger>>) -> Self {
        let mut next = self.clone();
        match all.is_empty() {
            true => drop(next.namespaces.remove(namespace)),
            false => drop(next.namespaces.insert(namespace.clone(), Arc::new(OfNamespace::of(all)))),
        }
        next
    }
}

impl OfNamespace {
    pub(super) fn of(mut all: Vec<Arc<Trigger>>) -> Self {
        all.sort_by(|a, b| (&a.function, a.created_at, &a.id).cmp(&(&b.function, b.created_at, &b.id)));
        let mut index = Self::default();
        for trigger in all.iter().filter(|trigger| trigger.enabled) {
            match &trigger.spec {
                TriggerSpec::Topic { topic, aggregation_window_ms, aggregation_max_batch_size } => {
                    index.add_topic(trigger, topic, *aggregation_window_ms, *aggregation_max_batch_size);
                }
                TriggerSpec::Table { table, on } => index.add_table(trigger, table, on),
                TriggerSpec::Cron { .. } | TriggerSpec::Once { .. } => {}
            }
        }
        Self { all, ..index }
    }

    fn add_topic(&mut self, trigger: &Arc<Trigger>, topic: &str, window_ms: u32, batch_max: u32) {
        let batch_max = match (window_ms, batch_max) {
            (0, _) => 0,
            (_, 0) => AGGREGATION_BATCH_DEFAULT,
            (_, batch_max) => batch_max,
        };
        let known = Arc::new(TopicTrigger { trigger: trigger.clone(), window_ms, batch_max });
        if !Pattern::is_pattern(topic) {
            return self.topics.entry(topic.to_owned()).or_default().push(known);
        }
        match Pattern::parse(topic) {
            Ok(pattern) => self.patterns.push((pattern, known)),
            // Deployed before patterns were checked.
            Err(refused) => tracing::warn!(
                namespace = %trigger.namespace, function = %trigger.function, trigger = trigger.id,
                "a trigger never fires: {refused}"
            ),
        }
    }

    fn add_table(&mut self, trigger: &Arc<Trigger>, table: &str, on: &[String]) {
        let named = |operation: &RowOperation| on.iter().any(|name| name.eq_ignore_ascii_case(operation.as_str()));
        let operations: Vec<RowOperation> = RowOperation::ALL.into_iter().filter(named).collect();
        let watch = TableWatch::new(table, &operations);
        let of_table = self.tables.entry(table.to_ascii_lowercase()).or_default();
        of_table.push(Arc::new(TableTrigger { trigger: trigger.clone(), watch }));
    }

    pub(super) fn all(&self) -> &[Arc<Trigger>] {
        &self.all
    }

    pub(super) fn of_function<'a>(&'a self, function: &'a FunctionName) -> impl Iterator<Item = &'a Arc<Trigger>> {
        self.all.iter().filter(move |trigger| trigger.function == *function)
    }

    pub(super) fn find(&self, id: &str) -> Option<&Arc<Trigger>> {
        self.all.iter().find(|trigger| trigger.id == id)
    }

    /// The triggers that wait for a message of this topic.
    pub(super) fn of_topic<'a>(&'a self, topic: &'a Topic) -> impl Iterator<Item = &'a Arc<TopicTrigger>> {
        let exact = self.topics.get(topic.as_str()).into_iter().flatten();
        let matching = self.patterns.iter().filter(move |(pattern, _)| pattern.matches(topic.as_str()));
        exact.chain(matching.map(|(_, trigger)| trigger))
    }

    /// The triggers that wait for this change.
    pub(super) fn of_change<'a>(&'a self, change: &'a Change) -> impl Iterator<Item = &'a Arc<TableTrigger>> {
        let of_table = self.tables.get(&change.table.to_ascii_lowercase()).into_iter().flatten();
        of_table.filter(|known| known.watch.wants(change.operation))
    }

    /// What must be watched for these triggers, in order.
    pub(super) fn watches(&self) -> Vec<TableWatch> {
        let mut watches: Vec<TableWatch> = self.tables.values().flatten().map(|known| known.watch.clone()).collect();
        watches.sort_by(|a, b| a.table.cmp(&b.table));
        watches
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    fn trigger(id: &str, spec: TriggerSpec) -> Trigger {
        Trigger {
            id: id.to_owned(),
            namespace: Namespace::default_namespace(),
            function: FunctionName::parse("f").expect("a valid name"),
            spec,
            from_manifest: false,
            enabled: true,
            created_at: Timestamp::UNIX_EPOCH,
            next_run_at: None,
            last_run_at: None,
        }
    }

    #[track_caller]
    fn check(known: &Known, topic: &str, want: &[&str]) {
        let topic = Topic::parse(topic).expect("a topic");
        let home = known.of_namespace(&Namespace::default_namespace()).expect("it has triggers");
        let found: Vec<&str> = home.of_topic(&topic).map(|known| known.trigger.id.as_str()).collect();
        assert_eq!(found, want, "{topic}");
    }

    #[test]
    fn a_message_finds_its_triggers() {
        let paused = Trigger { enabled: false, ..trigger("paused", TriggerSpec::topic("orders:new")) };
        let known = Known::of(vec![
            trigger("exact", TriggerSpec::topic("orders:new")),
            trigger("pattern", TriggerSpec::topic("orders:*")),
            trigger("broken", TriggerSpec::topic("orders:[")),
            paused,
        ]);
        check(&known, "orders:new", &["exact", "pattern"]);
        check(&known, "orders:old", &["pattern"]);
        check(&known, "orders", &[]);
        assert!(known.of_namespace(&Namespace::parse("other").expect("a valid name")).is_none());
        assert_eq!(known.count(), 4);
    }

    #[test]
    fn a_change_finds_its_triggers_whatever_the_case_of_its_table() {
        let spec = TriggerSpec::Table { table: "Orders".to_owned(), on: vec!["insert".to_owned()] };
        let known = Known::of(vec![trigger("t", spec)]);
        let home = known.of_namespace(&Namespace::default_namespace()).expect("it has triggers");
        let change = |operation| Change {
            seq: 1,
            table: "oRDERS".to_owned(),
            operation,
            row: "{}".to_owned(),
            old_row: None,
            at_ms: 0,
            depth: 0,
        };
        assert_eq!(home.of_change(&change(RowOperation::Insert)).count(), 1);
        assert_eq!(home.of_change(&change(RowOperation::Delete)).count(), 0);
        assert_eq!(home.watches(), [TableWatch::new("Orders", &[RowOperation::Insert])]);
    }
}
