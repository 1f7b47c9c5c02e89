//! What people do with triggers: add, list, pause, run, delete; and what came of calls that were given up.

use std::sync::Arc;

use domain::{
    Caller, Error, ErrorCode, FunctionName, Manifest, Namespace, Pattern, Scope, Timestamp, Trigger, TriggerSpec,
};
use ports::{Delivery, RegistryError, TableWatch};

use super::known::OfNamespace;
use super::{TRIGGER_LIMITS, TriggerLimits, new_id};
use crate::identity::not_changed;
use crate::{Platform, schedule};

/// Dead deliveries that one request may name.
const NAMED_MAX: usize = 1000;

/// A schedule that was run by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    pub trigger: Arc<Trigger>,
    /// The id of the delivery; records of the call have it as the client's request id.
    pub delivery: String,
}

impl Platform {
    /// Adds a trigger to a function.
    pub async fn add_trigger(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: &FunctionName,
        spec: TriggerSpec,
    ) -> Result<Arc<Trigger>, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let spec = checked(spec)?;
        let _one_at_a_time = self.management.lock().await;
        lease.check()?;
        self.find(namespace, function)?;
        let all = self.triggers.of_namespace(namespace);
        if let Some(same) = all.iter().find(|known| known.function == *function && known.spec == spec) {
            let message = format!("function `{function}` has this trigger already, as `{}`", same.id);
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        let trigger = Arc::new(self.new_trigger(namespace, function, spec, false));
        let next: Vec<_> = all.iter().cloned().chain([trigger.clone()]).collect();
        check_counts(&next, function)?;
        let added = self.registry.add_trigger(Trigger::clone(&trigger));
        self.change_triggers(namespace, next, added).await?;
        tracing::info!(%namespace, %function, trigger = trigger.id, "trigger added");
        Ok(trigger)
    }

    fn new_trigger(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        spec: TriggerSpec,
        from_manifest: bool,
    ) -> Trigger {
        let now = self.clock.now();
        Trigger {
            id: new_id(),
            namespace: namespace.clone(),
            function: function.clone(),
            // A moment of a manifest that has passed may have had its call, before a rollback.
            next_run_at: if from_manifest { schedule::next(&spec, now) } else { schedule::first(&spec, now) },
            spec,
            from_manifest,
            enabled: true,
            created_at: now,
            last_run_at: None,
        }
    }

    /// The triggers of a namespace, or of one function, which must exist.
    pub fn triggers(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: Option<&FunctionName>,
    ) -> Result<Vec<Arc<Trigger>>, Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        let Some(function) = function else { return Ok(self.triggers.of_namespace(namespace)) };
        self.find(namespace, function)?;
        let known = self.triggers.known.load();
        let of_function = known.of_namespace(namespace).map(|known| known.of_function(function).cloned().collect());
        Ok(of_function.unwrap_or_default())
    }

    /// Deletes a trigger and what it has not delivered yet. One of a manifest comes back with the next deploy.
    pub async fn delete_trigger(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: &FunctionName,
        id: &str,
    ) -> Result<(), Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _one_at_a_time = self.management.lock().await;
        lease.check()?;
        self.find_trigger(namespace, function, id)?;
        let mut next = self.triggers.of_namespace(namespace);
        next.retain(|trigger| trigger.id != id);
        self.change_triggers(namespace, next, self.registry.delete_trigger(namespace, id)).await?;
        self.triggers.recount(namespace).await;
        tracing::info!(%namespace, %function, trigger = id, "trigger deleted");
        Ok(())
    }

    /// Pauses a trigger or resumes it. What it owes already is delivered all the same; what happens meanwhile is not seen.
    pub async fn set_trigger_enabled(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: &FunctionName,
        id: &str,
        enabled: bool,
    ) -> Result<Arc<Trigger>, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _one_at_a_time = self.management.lock().await;
        lease.check()?;
        let found = self.find_trigger(namespace, function, id)?;
        if found.enabled == enabled {
            return Ok(found);
        }
        let next_run_at = if enabled { schedule::resumed(&found, self.clock.now()) } else { None };
        let changed = Arc::new(Trigger { enabled, next_run_at, ..Trigger::clone(&found) });
        let mut next = self.triggers.of_namespace(namespace);
        next.iter_mut().filter(|trigger| trigger.id == id).for_each(|trigger| *trigger = changed.clone());
        let set = self.registry.set_trigger_enabled(namespace, id, enabled, next_run_at);
        self.change_triggers(namespace, next, set).await?;
        tracing::info!(%namespace, %function, trigger = id, enabled, "trigger switched");
        Ok(changed)
    }

    fn find_trigger(&self, namespace: &Namespace, function: &FunctionName, id: &str) -> Result<Arc<Trigger>, Error> {
        self.find(namespace, function)?;
        let known = self.triggers.known.load();
        let found = known.of_namespace(namespace).and_then(|known| known.find(id)).cloned();
        found.filter(|trigger| trigger.function == *function).ok_or_else(unknown_trigger)
    }

    /// Runs the schedules of a function, or one of them, as if it were `at`: those that are due then, paused ones too. Their own
    /// slots stay as they are.
    pub async fn run_schedules(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: &FunctionName,
        id: Option<&str>,
        at: Timestamp,
    ) -> Result<Vec<Fired>, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _held = lease.hold()?;
        let schedules = match id {
            Some(id) => vec![self.find_trigger(namespace, function, id)?],
            None => self.triggers(caller, namespace, Some(function))?,
        };
        let due: Vec<Arc<Trigger>> = schedules.iter().filter(|trigger| is_due(&trigger.spec, at)).cloned().collect();
        if due.is_empty() {
            return Err(nothing_is_due(function, &schedules, at));
        }
        let now = self.clock.now();
        let owed: Vec<Delivery> = due.iter().map(|trigger| schedule::delivery(trigger, at, now)).collect();
        let fired = due.into_iter().zip(&owed).map(|(trigger, owed)| Fired { trigger, delivery: owed.id.clone() });
        let fired = fired.collect();
        let charge = self.triggers.backlog.charge(namespace, &owed)?;
        self.triggers.queue.write(owed, lease.clone(), charge).await?;
        Ok(fired)
    }

    /// Dead deliveries of a function, the last to die first, behind `after`.
    pub async fn dead_deliveries(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: &FunctionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Delivery>, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _held = lease.hold()?;
        self.find(namespace, function)?;
        let dead = self.registry.dead_deliveries(namespace, function, after, limit).await;
        dead.map_err(|error| not_changed("read dead deliveries", error))
    }

    /// Makes dead deliveries of a function due again, all or those named; returns how many.
    pub async fn redrive(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: &FunctionName,
        ids: Option<&[String]>,
    ) -> Result<u64, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _held = lease.hold()?;
        self.find(namespace, function)?;
        check_named(ids)?;
        let redriven = self.registry.redrive(namespace, function, ids, self.clock.now()).await;
        let redriven = redriven.map_err(|error| not_changed("redrive deliveries", error))?;
        self.triggers.recount(namespace).await;
        match ids {
            Some(ids) if redriven == 0 && !ids.is_empty() => {
                Err(Error::not_found("no such given-up calls of this function"))
            }
            _ => Ok(redriven),
        }
    }

    /// Deletes dead deliveries of a function, all or those named; returns how many.
    pub async fn delete_dead(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: &FunctionName,
        ids: Option<&[String]>,
    ) -> Result<u64, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _held = lease.hold()?;
        self.find(namespace, function)?;
        check_named(ids)?;
        let deleted = self.registry.delete_dead(namespace, function, ids).await;
        deleted.map_err(|error| not_changed("delete dead deliveries", error))
    }

    /// The triggers that a function has from its manifest once that is the active one: those that it has already, and new ones.
    /// What somebody added by hand stays theirs. Only for who holds the management lock.
    pub(crate) fn triggers_for(&self, namespace: &Namespace, manifest: &Manifest) -> Result<Vec<Trigger>, Error> {
        let specs: Vec<TriggerSpec> = manifest.triggers.iter().cloned().map(checked).collect::<Result<_, _>>()?;
        let triggers = self.with_specs(namespace, &manifest.name, specs);
        let next = self.with_manifest(namespace, &manifest.name, &triggers);
        check_counts(&next, &manifest.name)?;
        Ok(triggers)
    }

    /// The same for a version that was deployed before: what could not be deployed today is left out.
    pub(crate) fn triggers_again(&self, namespace: &Namespace, manifest: &Manifest) -> Vec<Trigger> {
        let specs = manifest.triggers.iter().cloned().filter_map(|spec| checked(spec).ok()).collect();
        self.with_specs(namespace, &manifest.name, specs)
    }

    fn with_specs(&self, namespace: &Namespace, function: &FunctionName, specs: Vec<TriggerSpec>) -> Vec<Trigger> {
        let all = self.triggers.of_namespace(namespace);
        let of_function: Vec<_> = all.iter().filter(|trigger| trigger.function == *function).collect();
        let known = |spec: &TriggerSpec| of_function.iter().find(|trigger| trigger.spec == *spec);
        let wanted = specs.into_iter().filter_map(|spec| match known(&spec) {
            Some(known) if known.from_manifest => Some(Trigger::clone(known)),
            Some(_by_hand) => None,
            None => Some(self.new_trigger(namespace, function, spec, true)),
        });
        wanted.collect()
    }

    /// All triggers of the namespace once those of the manifest are these.
    pub(crate) fn with_manifest(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        of_manifest: &[Trigger],
    ) -> Vec<Arc<Trigger>> {
        let mut next = self.triggers.of_namespace(namespace);
        let known: Vec<String> = next.iter().map(|trigger| trigger.id.clone()).collect();
        next.retain(|trigger| {
            let of_function = trigger.from_manifest && trigger.function == *function;
            !of_function || of_manifest.iter().any(|wanted| wanted.id == trigger.id)
        });
        next.extend(of_manifest.iter().filter(|wanted| !known.contains(&wanted.id)).cloned().map(Arc::new));
        next
    }

    /// Changes the triggers of a namespace: the registry by `change`, then the snapshot. Tables that they will wait for are watched
    /// before, so that no change is missed; a table that cannot be watched refuses all. Only for who holds the management lock.
    pub(crate) async fn change_triggers<T>(
        &self,
        namespace: &Namespace,
        next: Vec<Arc<Trigger>>,
        change: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, Error> {
        let known = self.triggers.known.load_full();
        let before = known.of_namespace(namespace).map(|known| known.watches()).unwrap_or_default();
        let after = watches_of(&next);
        self.watch_more(namespace, &before, &after).await?;
        let changed = change.await.map_err(|error| not_changed("change triggers", error));
        if changed.is_err() {
            self.watch_exactly(namespace, &after, &before).await;
            return changed;
        }
        self.triggers.replace(namespace, |_| next.clone());
        self.watch_exactly(namespace, &before, &after).await;
        changed
    }

    /// A function is gone with its triggers and what they owed. Only for who holds the management lock.
    pub(crate) async fn forget_triggers_of(&self, namespace: &Namespace, function: &FunctionName) {
        let known = self.triggers.known.load_full();
        if let Some(before) = known.of_namespace(namespace) {
            let rest: Vec<_> = before.all().iter().filter(|trigger| trigger.function != *function).cloned().collect();
            let after = watches_of(&rest);
            self.triggers.replace(namespace, |_| rest.clone());
            self.watch_exactly(namespace, &before.watches(), &after).await;
        }
        self.triggers.recount(namespace).await;
    }

    /// A namespace is gone. Only for who holds the management lock.
    pub(crate) async fn forget_triggers_in(&self, namespace: &Namespace) {
        self.triggers.replace(namespace, |_| Vec::new());
        self.triggers.recount(namespace).await;
    }
}

fn watches_of(triggers: &[Arc<Trigger>]) -> Vec<TableWatch> {
    OfNamespace::of(triggers.to_vec()).watches()
}

/// A trigger that can be one, in its one form.
fn checked(spec: TriggerSpec) -> Result<TriggerSpec, Error> {
    let spec = spec.checked().map_err(|wrong| Error::invalid(wrong.to_string()))?;
    schedule::check(&spec)?;
    Ok(spec)
}

fn check_counts(next: &[Arc<Trigger>], function: &FunctionName) -> Result<(), Error> {
    let is_pattern = |trigger: &&Arc<Trigger>| matches!(&trigger.spec, TriggerSpec::Topic { topic, .. } if Pattern::is_pattern(topic));
    let of_function = next.iter().filter(|trigger| trigger.function == *function).count();
    let full = |what: String| {
        Err(Error::new(ErrorCode::StorageQuotaExceeded, what)
            .hint("delete some with `orama function triggers delete`, or let a pattern stand for several topics"))
    };
    let TriggerLimits { per_function, per_namespace, patterns: patterns_max, .. } = TRIGGER_LIMITS;
    match (of_function, next.len(), next.iter().filter(is_pattern).count()) {
        (of_function, ..) if of_function > per_function => {
            full(format!("function `{function}` would have {of_function} triggers, the limit is {per_function}"))
        }
        (_, all, _) if all > per_namespace => {
            full(format!("the namespace would have {all} triggers, the limit is {per_namespace}"))
        }
        (.., patterns) if patterns > patterns_max => {
            full(format!("the namespace would have {patterns} triggers with patterns, the limit is {patterns_max}"))
        }
        _ => Ok(()),
    }
}

fn check_named(ids: Option<&[String]>) -> Result<(), Error> {
    match ids {
        Some(ids) if ids.len() > NAMED_MAX => {
            Err(Error::invalid(format!("{} deliveries are named, the limit is {NAMED_MAX}", ids.len())))
        }
        _ => Ok(()),
    }
}

/// Would the clock fire this at that moment?
fn is_due(spec: &TriggerSpec, at: Timestamp) -> bool {
    match spec {
        TriggerSpec::Cron { .. } => schedule::next(spec, at - std::time::Duration::from_nanos(1)) == Some(at),
        TriggerSpec::Once { once } => *once <= at,
        TriggerSpec::Topic { .. } | TriggerSpec::Table { .. } => false,
    }
}

fn nothing_is_due(function: &FunctionName, schedules: &[Arc<Trigger>], at: Timestamp) -> Error {
    let error = Error::new(ErrorCode::Conflict, format!("function `{function}` has no schedule that is due at {at}"));
    match schedules.iter().filter_map(|trigger| schedule::next(&trigger.spec, at)).min() {
        Some(next) => error.hint(format!("the first that is due after that is due at {next}")),
        None => error.hint("add one with `orama function triggers add NAME --cron EXPRESSION`"),
    }
}

fn unknown_trigger() -> Error {
    Error::not_found("Trigger not found").hint("list the triggers with `orama function triggers list`")
}
