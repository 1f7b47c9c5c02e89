//! Triggers of functions. The calls that they owe are in [`super::deliveries`].

use async_trait::async_trait;
use domain::{FunctionName, Namespace, Timestamp, Trigger, VersionNumber};
use ports::{Delivery, RegistryError, Triggers};

use super::{SqlRegistry, deliveries, exists, json};
use crate::sql::{Columns, DamagedRow, Statement, Value};

#[async_trait]
impl Triggers for SqlRegistry {
    async fn load_triggers(&self) -> Result<Vec<Trigger>, RegistryError> {
        let sql = "SELECT id, namespace, function, spec, from_manifest, enabled, created_at, next_run_at, last_run_at
            FROM triggers ORDER BY namespace, function, created_at, id";
        self.all(Statement::new(sql, []), trigger_row).await
    }

    async fn add_trigger(&self, trigger: Trigger) -> Result<(), RegistryError> {
        let sql = "SELECT 1 FROM functions WHERE namespace = ?1 AND name = ?2 AND active IS NOT NULL";
        let function = Statement::new(sql, [trigger.namespace.as_str().into(), trigger.function.as_str().into()]);
        let [inserted, function] = self.run([insert_trigger(&trigger, None), function]).await?;
        match (inserted.changed, function.rows.is_empty()) {
            (0, true) => Err(RegistryError::NotFound),
            (0, false) => Err(RegistryError::Conflict(exists("trigger", &trigger.id))),
            _ => Ok(()),
        }
    }

    async fn delete_trigger(&self, namespace: &Namespace, id: &str) -> Result<(), RegistryError> {
        let delete = |sql| Statement::new(sql, [namespace.as_str().into(), id.into()]);
        let [deleted, _] = self
            .run([
                delete("DELETE FROM triggers WHERE namespace = ?1 AND id = ?2"),
                delete(
                    "DELETE FROM deliveries
                    WHERE namespace = ?1 AND trigger_id = ?2 AND died_at IS NULL AND running = 0",
                ),
            ])
            .await?;
        super::found(&deleted)
    }

    async fn set_trigger_enabled(
        &self,
        namespace: &Namespace,
        id: &str,
        enabled: bool,
        next_run_at: Option<Timestamp>,
    ) -> Result<(), RegistryError> {
        let sql = "UPDATE triggers SET enabled = ?3, next_run_at = ?4 WHERE namespace = ?1 AND id = ?2";
        let values = [namespace.as_str().into(), id.into(), enabled.into(), next_run_at.into()];
        self.change(Statement::new(sql, values)).await
    }

    async fn set_next_run(
        &self,
        namespace: &Namespace,
        id: &str,
        next: Option<Timestamp>,
    ) -> Result<(), RegistryError> {
        let sql = "UPDATE triggers SET next_run_at = ?3 WHERE namespace = ?1 AND id = ?2";
        self.change(Statement::new(sql, [namespace.as_str().into(), id.into(), next.into()])).await
    }

    async fn claim_slot(
        &self,
        namespace: &Namespace,
        id: &str,
        slot: Timestamp,
        next: Option<Timestamp>,
        deliveries: Vec<Delivery>,
    ) -> Result<bool, RegistryError> {
        let sql = "UPDATE triggers SET next_run_at = ?4, last_run_at = ?3
            WHERE namespace = ?1 AND id = ?2 AND enabled = 1 AND next_run_at = ?3";
        // The claim comes last: what is enqueued looks at whether the slot is free.
        let mut batch = deliveries::enqueue(&deliveries, Some(Slot { trigger: id, at: slot }));
        batch.push(Statement::new(sql, [namespace.as_str().into(), id.into(), slot.into(), next.into()]));
        Ok(self.run_all(batch).await?.last().is_some_and(|claimed| claimed.changed > 0))
    }
}

/// A moment at which a schedule is due.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    pub(super) trigger: &'a str,
    pub(super) at: Timestamp,
}

/// Makes `triggers` those that a function has from its manifest, if the function is there and `active` is its active version.
pub(super) fn replace_triggers(
    namespace: &Namespace,
    name: &FunctionName,
    active: Option<VersionNumber>,
    triggers: &[Trigger],
) -> Vec<Statement> {
    let sql = "DELETE FROM triggers
        WHERE namespace = ?1 AND function = ?2 AND from_manifest = 1 AND id NOT IN (SELECT value FROM json_each(?3))
            AND EXISTS (SELECT 1 FROM functions WHERE namespace = ?1 AND name = ?2 AND active = coalesce(?4, active))";
    let ids: Vec<&str> = triggers.iter().map(|trigger| trigger.id.as_str()).collect();
    let values = [namespace.as_str().into(), name.as_str().into(), json(&ids).into(), number(active)];
    let inserts = triggers.iter().map(|trigger| insert_trigger(trigger, active));
    std::iter::once(Statement::new(sql, values)).chain(inserts).collect()
}

/// Nothing is inserted for a function that is not there, or whose active version is not `active`.
fn insert_trigger(trigger: &Trigger, active: Option<VersionNumber>) -> Statement {
    let sql = "INSERT INTO triggers
            (id, namespace, function, spec, from_manifest, enabled, created_at, next_run_at, last_run_at)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
        FROM functions WHERE namespace = ?2 AND name = ?3 AND active = coalesce(?10, active)
        ON CONFLICT (id) DO NOTHING";
    let values = [
        trigger.id.as_str().into(),
        trigger.namespace.as_str().into(),
        trigger.function.as_str().into(),
        json(&trigger.spec).into(),
        trigger.from_manifest.into(),
        trigger.enabled.into(),
        trigger.created_at.into(),
        trigger.next_run_at.into(),
        trigger.last_run_at.into(),
        number(active),
    ];
    Statement::new(sql, values)
}

/// Behind a deletion: a function that is gone takes its triggers and deliveries along.
pub(super) fn follow_deletion(namespace: &Namespace, name: &FunctionName) -> [Statement; 2] {
    let delete = |sql| Statement::new(sql, [namespace.as_str().into(), name.as_str().into()]);
    [
        delete(
            "DELETE FROM triggers WHERE namespace = ?1 AND function = ?2
                AND (SELECT active FROM functions WHERE namespace = ?1 AND name = ?2) IS NULL",
        ),
        delete(
            "DELETE FROM deliveries WHERE namespace = ?1 AND function = ?2
                AND (SELECT active FROM functions WHERE namespace = ?1 AND name = ?2) IS NULL",
        ),
    ]
}

fn number(version: Option<VersionNumber>) -> Value {
    version.map_or(Value::Null, |version| version.get().into())
}

fn trigger_row(columns: &mut Columns) -> Result<Trigger, DamagedRow> {
    Ok(Trigger {
        id: columns.text()?,
        namespace: columns.parsed("a namespace")?,
        function: columns.parsed("a name")?,
        spec: columns.json("a trigger")?,
        from_manifest: columns.integer()? == 1,
        enabled: columns.integer()? == 1,
        created_at: columns.time()?,
        next_run_at: columns.time_or_null()?,
        last_run_at: columns.time_or_null()?,
    })
}
