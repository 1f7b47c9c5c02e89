//! Databases that answer what a test planned, for tests of what stands above SQL; there is no SQL engine here.

mod changes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Namespace, SqlChanged, SqlRows, SqlStatement, Timestamp};

use self::changes::{Feed, ScriptedChanges};
use crate::{
    AppliedMigration, ChangeListener, Changes, Content, Database, Databases, Migration, MigrationError, SchemaObject,
    ScriptError, SqlBounds, SqlError, SqlStep, SqlStepResult, StorageError, TransactionError,
};

/// What a statement is answered; the same each time it is asked.
#[derive(Debug, Clone, Default)]
pub struct SqlAnswer {
    rows: SqlRows,
    changed: SqlChanged,
}

impl From<SqlRows> for SqlAnswer {
    fn from(rows: SqlRows) -> Self {
        Self { rows, changed: SqlChanged::default() }
    }
}

impl From<SqlChanged> for SqlAnswer {
    fn from(changed: SqlChanged) -> Self {
        Self { rows: SqlRows::default(), changed }
    }
}

type Plan = Box<dyn Fn() -> Result<SqlAnswer, SqlError> + Send>;

/// Databases on which a test plans answers by the text of the statement, and reads back what was asked.
///
/// A script is asked like a statement, by its whole text. Migrations are applied by noting them. Changes are those that a test
/// makes. Clones are the same databases.
#[derive(Clone, Default)]
pub struct ScriptedDatabases {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    plans: HashMap<String, Plan>,
    asked: Vec<(Namespace, SqlStatement)>,
    schemas: HashMap<Namespace, Vec<SchemaObject>>,
    migrations: HashMap<Namespace, Vec<AppliedMigration>>,
    files: HashMap<Namespace, Bytes>,
    limits: HashMap<Namespace, Option<u64>>,
    sequences: HashMap<Namespace, i64>,
    removed: Vec<Namespace>,
    feeds: HashMap<Namespace, Feed>,
    listener: Option<ChangeListener>,
}

impl State {
    fn removals_of(&self, namespace: &Namespace) -> usize {
        self.removed.iter().filter(|removed| *removed == namespace).count()
    }
}

impl ScriptedDatabases {
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans the answer of the statement with exactly this text: [`SqlRows`] or [`SqlChanged`].
    pub fn answer(&self, sql: &str, answer: impl Into<SqlAnswer>) {
        let answer = answer.into();
        self.plan(sql, Box::new(move || Ok(answer.clone())));
    }

    /// Plans the failure of the statement with exactly this text.
    pub fn fail(&self, sql: &str, error: impl Fn() -> SqlError + Send + 'static) {
        self.plan(sql, Box::new(move || Err(error())));
    }

    fn plan(&self, sql: &str, plan: Plan) {
        lock(&self.state).plans.insert(sql.to_owned(), plan);
    }

    /// Plans what [`Database::schema`] answers in `namespace`.
    pub fn set_schema(&self, namespace: &Namespace, schema: Vec<SchemaObject>) {
        lock(&self.state).schemas.insert(namespace.clone(), schema);
    }

    /// Plans the bytes that [`Database::snapshot`] and [`Database::dump`] answer in `namespace`.
    pub fn set_file(&self, namespace: &Namespace, bytes: impl Into<Bytes>) {
        lock(&self.state).files.insert(namespace.clone(), bytes.into());
    }

    /// Every statement that was asked so far, in order, with the namespace whose database was asked.
    pub fn asked(&self) -> Vec<(Namespace, SqlStatement)> {
        lock(&self.state).asked.clone()
    }

    /// The limit that was set last; `None` when none was ever set.
    pub fn limit(&self, namespace: &Namespace) -> Option<Option<u64>> {
        lock(&self.state).limits.get(namespace).copied()
    }

    /// The namespaces whose databases were removed, in order.
    pub fn removed(&self) -> Vec<Namespace> {
        lock(&self.state).removed.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder panics")
}

#[async_trait]
impl Databases for ScriptedDatabases {
    fn of(&self, namespace: &Namespace) -> Arc<dyn Database> {
        let removed_before = lock(&self.state).removals_of(namespace);
        Arc::new(ScriptedDatabase { state: self.state.clone(), namespace: namespace.clone(), removed_before })
    }

    fn changes(&self, namespace: &Namespace) -> Arc<dyn Changes> {
        Arc::new(ScriptedChanges { state: self.state.clone(), namespace: namespace.clone() })
    }

    fn on_change(&self, listener: ChangeListener) {
        lock(&self.state).listener = Some(listener);
    }

    fn set_limit(&self, namespace: &Namespace, bytes_max: Option<u64>) {
        lock(&self.state).limits.insert(namespace.clone(), bytes_max);
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), SqlError> {
        let mut state = lock(&self.state);
        state.schemas.remove(namespace);
        state.migrations.remove(namespace);
        state.files.remove(namespace);
        state.feeds.remove(namespace);
        state.sequences.remove(namespace);
        state.removed.push(namespace.clone());
        Ok(())
    }
}

struct ScriptedDatabase {
    state: Arc<Mutex<State>>,
    namespace: Namespace,
    /// How many databases of this name were removed before this one.
    removed_before: usize,
}

impl ScriptedDatabase {
    fn state(&self) -> Result<MutexGuard<'_, State>, SqlError> {
        let state = lock(&self.state);
        match state.removals_of(&self.namespace) == self.removed_before {
            true => Ok(state),
            false => Err(SqlError::Removed),
        }
    }

    fn ask(&self, statement: SqlStatement) -> Result<SqlAnswer, SqlError> {
        let mut state = self.state()?;
        state.asked.push((self.namespace.clone(), statement.clone()));
        match state.plans.get(&statement.sql) {
            Some(plan) => plan(),
            None => Err(SqlError::Invalid(format!("no answer is planned for `{}`", statement.sql))),
        }
    }

    fn rows(&self, statement: SqlStatement) -> Result<SqlRows, SqlError> {
        self.ask(statement).map(|answer| answer.rows)
    }

    fn file(&self) -> Result<Box<dyn Content>, SqlError> {
        Ok(Box::new(ScriptedFile(self.state()?.files.get(&self.namespace).cloned().unwrap_or_default())))
    }
}

#[async_trait]
impl Database for ScriptedDatabase {
    async fn query(&self, statement: SqlStatement, _: SqlBounds) -> Result<SqlRows, SqlError> {
        self.rows(statement)
    }

    async fn execute(&self, statement: SqlStatement, _: SqlBounds) -> Result<SqlChanged, SqlError> {
        self.ask(statement).map(|answer| answer.changed)
    }

    async fn transaction(&self, steps: Vec<SqlStep>, _: SqlBounds) -> Result<Vec<SqlStepResult>, TransactionError> {
        let mut results: Vec<Option<SqlStepResult>> = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            results.push(match step {
                SqlStep::Query(_) => None,
                SqlStep::Execute(statement) => {
                    let answer = self.ask(statement.clone());
                    let failed = |error| TransactionError { failed: Some(index), error };
                    Some(SqlStepResult::Changed(answer.map_err(failed)?.changed))
                }
            });
        }
        let found = |step| match step {
            SqlStep::Query(statement) | SqlStep::Execute(statement) => SqlStepResult::Found(self.rows(statement)),
        };
        Ok(results.into_iter().zip(steps).map(|(result, step)| result.unwrap_or_else(|| found(step))).collect())
    }

    async fn transaction_with_sequence(
        &self,
        steps: Vec<SqlStep>,
        bounds: SqlBounds,
    ) -> Result<(Vec<SqlStepResult>, i64), TransactionError> {
        let results = self.transaction(steps, bounds).await?;
        let mut state = self.state().map_err(|error| TransactionError { failed: None, error })?;
        let sequence = state.sequences.entry(self.namespace.clone()).or_default();
        *sequence += 1;
        Ok((results, *sequence))
    }

    async fn query_batch(
        &self,
        statements: Vec<SqlStatement>,
        _: SqlBounds,
    ) -> Result<Vec<Result<SqlRows, SqlError>>, SqlError> {
        Ok(statements.into_iter().map(|statement| self.rows(statement)).collect())
    }

    async fn schema(&self) -> Result<Vec<SchemaObject>, SqlError> {
        Ok(self.state()?.schemas.get(&self.namespace).cloned().unwrap_or_default())
    }

    async fn migrate(
        &self,
        migrations: Vec<Migration>,
        dry_run: bool,
        _: SqlBounds,
    ) -> Result<Vec<AppliedMigration>, MigrationError> {
        let mut state = self.state()?;
        let applied = state.migrations.entry(self.namespace.clone()).or_default();
        let is_new = |migration: &Migration| applied.iter().all(|known| known.name != migration.name);
        let new: Vec<AppliedMigration> = migrations.into_iter().filter(is_new).map(noted).collect();
        if !dry_run {
            applied.extend(new.iter().cloned());
        }
        Ok(new)
    }

    async fn migrations(&self) -> Result<Vec<AppliedMigration>, SqlError> {
        Ok(self.state()?.migrations.get(&self.namespace).cloned().unwrap_or_default())
    }

    async fn script(&self, sql: String, _: SqlBounds) -> Result<u64, ScriptError> {
        let answer = self.ask(SqlStatement::new(sql, Vec::new()));
        answer.map(|answer| answer.changed.rows_affected).map_err(|error| ScriptError { line: 1, error })
    }

    async fn snapshot(&self) -> Result<Box<dyn Content>, SqlError> {
        self.file()
    }

    async fn dump(&self) -> Result<Box<dyn Content>, SqlError> {
        self.file()
    }

    async fn bytes(&self) -> Result<u64, SqlError> {
        Ok(self.file()?.bytes())
    }
}

/// Nothing here looks at the SQL, so its size stands for its checksum.
fn noted(migration: Migration) -> AppliedMigration {
    let checksum = format!("{:064x}", migration.sql.len());
    AppliedMigration { name: migration.name, checksum, applied_at: Timestamp::UNIX_EPOCH }
}

struct ScriptedFile(Bytes);

#[async_trait]
impl Content for ScriptedFile {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, offset: u64, bytes_max: usize) -> Result<Bytes, StorageError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(bytes_max).min(self.0.len());
        Ok(self.0.slice(start..end))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use domain::SqlValue;

    use super::*;

    #[tokio::test]
    async fn answers_what_was_planned_and_remembers_what_was_asked() {
        let databases = ScriptedDatabases::new();
        let namespace = Namespace::parse("one").expect("a valid namespace");
        let rows = SqlRows { columns: ["n".to_owned()].into(), rows: vec![vec![SqlValue::Integer(1)]] };
        databases.answer("SELECT n", rows.clone());
        databases.answer("DELETE", SqlChanged { rows_affected: 2, last_insert_id: None });
        databases.fail("BROKEN", || SqlError::Busy);

        let (database, bounds) = (databases.of(&namespace), SqlBounds::until(Instant::now()));
        let ask = |sql: &str| SqlStatement::new(sql, Vec::new());
        assert_eq!(database.query(ask("SELECT n"), bounds).await.expect("planned"), rows);
        assert_eq!(database.execute(ask("DELETE"), bounds).await.expect("planned").rows_affected, 2);
        assert!(matches!(database.query(ask("BROKEN"), bounds).await, Err(SqlError::Busy)));
        let unknown = database.query(ask("SELECT 2"), bounds).await.expect_err("not planned");
        assert_eq!(unknown.to_string(), "no answer is planned for `SELECT 2`");

        let steps = vec![SqlStep::Query(ask("SELECT n")), SqlStep::Execute(ask("DELETE"))];
        let results = database.transaction(steps, bounds).await.expect("planned");
        assert!(matches!(&results[0], SqlStepResult::Found(Ok(found)) if *found == rows));
        assert!(matches!(&results[1], SqlStepResult::Changed(changed) if changed.rows_affected == 2));
        let asked: Vec<String> = databases.asked().into_iter().map(|(_, statement)| statement.sql).collect();
        assert_eq!(asked, ["SELECT n", "DELETE", "BROKEN", "SELECT 2", "DELETE", "SELECT n"]);
    }
}
