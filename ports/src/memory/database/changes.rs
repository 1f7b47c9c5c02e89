//! Changes that a test makes, and what is watched.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::Namespace;

use super::{ScriptedDatabases, State, lock};
use crate::{Change, Changes, RowOperation, SqlError, TableWatch};

/// The changes of one namespace.
#[derive(Default)]
pub(super) struct Feed {
    watches: Vec<TableWatch>,
    changes: Vec<Change>,
    last: i64,
}

impl Feed {
    fn wants(&self, table: &str, operation: RowOperation) -> bool {
        self.watches.iter().any(|watch| watch.table.eq_ignore_ascii_case(table) && watch.wants(operation))
    }
}

impl ScriptedDatabases {
    /// What is watched in `namespace`.
    pub fn watches(&self, namespace: &Namespace) -> Vec<TableWatch> {
        lock(&self.state).feeds.get(namespace).map(|feed| feed.watches.clone()).unwrap_or_default()
    }

    /// Changes a row of `table`, by its JSON texts: `row` as it is now (as it was, for a delete), `old_row` as it was. If that
    /// is watched, it becomes a [`Change`], and the listener is told; returns whether it did.
    pub fn change(
        &self,
        namespace: &Namespace,
        table: &str,
        operation: RowOperation,
        row: &str,
        old_row: Option<&str>,
    ) -> bool {
        self.change_at_depth(0, namespace, table, operation, row, old_row)
    }

    /// The same, by a call that stands so deep.
    pub fn change_at_depth(
        &self,
        depth: u8,
        namespace: &Namespace,
        table: &str,
        operation: RowOperation,
        row: &str,
        old_row: Option<&str>,
    ) -> bool {
        let listener = {
            let mut state = lock(&self.state);
            let feed = state.feeds.entry(namespace.clone()).or_default();
            if !feed.wants(table, operation) {
                return false;
            }
            feed.last += 1;
            let (row, old_row) = (row.to_owned(), old_row.map(str::to_owned));
            let table = table.to_owned();
            feed.changes.push(Change { seq: feed.last, table, operation, row, old_row, at_ms: 0, depth });
            state.listener.clone()
        };
        if let Some(listener) = listener {
            listener(namespace);
        }
        true
    }
}

pub(super) struct ScriptedChanges {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) namespace: Namespace,
}

#[async_trait]
impl Changes for ScriptedChanges {
    async fn watch(&self, watches: Vec<TableWatch>) -> Result<(), SqlError> {
        lock(&self.state).feeds.entry(self.namespace.clone()).or_default().watches = watches;
        Ok(())
    }

    async fn changes(&self, after: i64, limit: usize) -> Result<Vec<Change>, SqlError> {
        let state = lock(&self.state);
        let found = state.feeds.get(&self.namespace).into_iter().flat_map(|feed| &feed.changes);
        Ok(found.filter(|change| change.seq > after).take(limit).cloned().collect())
    }

    async fn forget_changes(&self, up_to: i64) -> Result<(), SqlError> {
        if let Some(feed) = lock(&self.state).feeds.get_mut(&self.namespace) {
            feed.changes.retain(|change| change.seq > up_to);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Databases;

    #[tokio::test]
    async fn what_is_watched_becomes_a_change_and_is_told() {
        let (databases, told) = (ScriptedDatabases::new(), Arc::new(AtomicUsize::new(0)));
        let namespace = Namespace::parse("one").expect("a valid namespace");
        let counted = told.clone();
        databases.on_change(Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        let changes = databases.changes(&namespace);
        changes.watch(vec![TableWatch::new("t", &[RowOperation::Insert])]).await.expect("watch");
        assert_eq!(databases.watches(&namespace), [TableWatch::new("t", &[RowOperation::Insert])]);

        assert!(databases.change(&namespace, "T", RowOperation::Insert, "{\"a\":1}", None));
        assert!(!databases.change(&namespace, "t", RowOperation::Delete, "{\"a\":1}", Some("{\"a\":1}")));
        assert!(databases.change(&namespace, "t", RowOperation::Insert, "{\"a\":2}", None));
        assert_eq!(told.load(Ordering::Relaxed), 2);
        let found = changes.changes(0, 10).await.expect("changes");
        assert_eq!(found.iter().map(|change| change.seq).collect::<Vec<_>>(), [1, 2]);
        changes.forget_changes(1).await.expect("forget");
        let found = changes.changes(0, 10).await.expect("changes");
        assert_eq!(found.iter().map(|change| change.row.as_str()).collect::<Vec<_>>(), ["{\"a\":2}"]);
    }
}
