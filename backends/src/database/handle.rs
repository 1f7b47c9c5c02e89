//! The database of a namespace as others use it: what goes where.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{SqlChanged, SqlRows, SqlStatement};
use ports::{
    AppliedMigration, Change, Changes, Content, Database, Migration, MigrationError, SchemaObject, ScriptError,
    SqlBounds, SqlError, SqlStep, SqlStepResult, TableWatch, TransactionError,
};

use super::house::{House, Room};
use super::session::{Answer, Budget, Session, Wanted};
use super::slot::{Live, Slot};
use super::work::{Fail, Manner};
use super::{changes, copy, guard, script, sequence, text};

/// How long our own look at a database may wait, and a copy of it may take to begin.
const OURS_TIME: Duration = Duration::from_secs(60);

/// The database of one namespace, open or not.
#[derive(Debug)]
pub(super) struct NamespaceDatabase {
    pub(super) slot: Arc<Slot>,
    pub(super) house: Arc<House>,
}

impl NamespaceDatabase {
    async fn live(&self, deadline: Instant) -> Result<Arc<Live>, SqlError> {
        if Instant::now() >= deadline {
            return Err(SqlError::Deadline);
        }
        self.slot.live(&self.house, deadline).await
    }

    /// Runs `statement` where it belongs: reads at a reader, writes at the writer, both on disk on return.
    async fn run(&self, statement: SqlStatement, wanted: Wanted, budget: Budget) -> Result<Answer, SqlError> {
        let live = self.live(budget.deadline).await?;
        let statement = Arc::new(statement);
        if text::verb(&statement.sql).may_read()
            && let Some(rows) = read(&live, &statement, budget).await?
        {
            return Ok(Answer { rows, changed: SqlChanged::default() });
        }
        let written = live.write(budget.deadline, Manner::Shared, move |session, deadline| {
            Ok(session.run(&statement, wanted, &mut budget.until(deadline))?)
        });
        written.await.map_err(|fail| fail.error)
    }

    /// Looks at the database as nobody else does.
    async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnMut(&Session) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let deadline = Instant::now() + OURS_TIME;
        self.live(deadline).await?.read(deadline, look).await
    }

    /// Where copies are made.
    fn folder(&self) -> PathBuf {
        match &self.house.room {
            Room::Folder(folder) => folder.clone(),
            Room::Memory => std::env::temp_dir(),
        }
    }

    /// Has the writer do something of ours.
    async fn do_ours<T: Send + 'static>(
        &self,
        manner: Manner,
        mut run: impl FnMut(&Session) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let deadline = Instant::now() + OURS_TIME;
        let live = self.live(deadline).await?;
        let done = live.write(deadline, manner, move |session, _| run(session).map_err(Fail::from));
        done.await.map_err(|fail| fail.error)
    }

    /// Is there no file? Then there is nothing in it.
    fn is_nothing(&self) -> bool {
        self.slot.bytes_closed(&self.house) == Some(0)
    }

    /// All changes of a transaction, in order; says which failed. If `numbered`, it takes the next number of a message as well.
    async fn execute_all(
        &self,
        steps: &[SqlStep],
        numbered: bool,
        bounds: SqlBounds,
    ) -> Result<(Vec<SqlChanged>, Option<i64>), TransactionError> {
        let changes = steps.iter().enumerate().filter_map(|(index, step)| match step {
            SqlStep::Execute(statement) => Some((index, statement.clone())),
            SqlStep::Query(_) => None,
        });
        let changes: Vec<(usize, SqlStatement)> = changes.collect();
        if changes.is_empty() && !numbered {
            return Ok((Vec::new(), None));
        }
        let live = self.live(bounds.deadline).await.map_err(|error| TransactionError { failed: None, error })?;
        let done = live.write(bounds.deadline, Manner::Shared, move |session, deadline| {
            let mut budget = Budget::of(bounds).until(deadline);
            let mut run =
                |(index, statement): &(usize, SqlStatement)| match session.run(statement, Wanted::Changes, &mut budget)
                {
                    Ok(answer) => Ok(answer.changed),
                    Err(error) => Err(Fail { place: Some(*index), error }),
                };
            let changed = changes.iter().map(&mut run).collect::<Result<_, _>>()?;
            let number = if numbered { Some(sequence::next(session)?) } else { None };
            Ok((changed, number))
        });
        done.await.map_err(|Fail { place, error }| TransactionError { failed: place, error })
    }

    /// What the steps of a transaction answer after its commit: its queries run now.
    async fn answers(&self, steps: Vec<SqlStep>, changed: Vec<SqlChanged>, bounds: SqlBounds) -> Vec<SqlStepResult> {
        let mut changed = changed.into_iter();
        let mut budget = Budget::of(bounds);
        let mut results = Vec::with_capacity(steps.len());
        for step in steps {
            results.push(match step {
                SqlStep::Execute(_) => SqlStepResult::Changed(changed.next().unwrap_or_default()),
                SqlStep::Query(statement) => {
                    let found = self.run(statement, Wanted::Rows, budget).await.map(|answer| answer.rows);
                    found.iter().for_each(|rows| budget.spend(rows));
                    SqlStepResult::Found(found)
                }
            });
        }
        results
    }
}

/// Reads on this thread, or on another if it takes longer; `None` when the statement would write.
async fn read(live: &Arc<Live>, statement: &Arc<SqlStatement>, budget: Budget) -> Result<Option<SqlRows>, SqlError> {
    let Some(readers) = &live.readers else {
        return Ok(None);
    };
    if let Some(rows) = readers.fast(live.clone(), statement, budget).await {
        return Ok(Some(rows));
    }
    let statement = statement.clone();
    let reading = live.read(budget.deadline, move |session| session.read(&statement, &mut budget.clone()));
    reading.await
}

#[async_trait]
impl Database for NamespaceDatabase {
    async fn query(&self, statement: SqlStatement, bounds: SqlBounds) -> Result<SqlRows, SqlError> {
        self.run(statement, Wanted::Rows, Budget::of(bounds)).await.map(|answer| answer.rows)
    }

    async fn execute(&self, statement: SqlStatement, bounds: SqlBounds) -> Result<SqlChanged, SqlError> {
        self.run(statement, Wanted::Changes, Budget::of(bounds)).await.map(|answer| answer.changed)
    }

    async fn transaction(
        &self,
        steps: Vec<SqlStep>,
        bounds: SqlBounds,
    ) -> Result<Vec<SqlStepResult>, TransactionError> {
        let (changed, _) = self.execute_all(&steps, false, bounds).await?;
        Ok(self.answers(steps, changed, bounds).await)
    }

    async fn transaction_with_sequence(
        &self,
        steps: Vec<SqlStep>,
        bounds: SqlBounds,
    ) -> Result<(Vec<SqlStepResult>, i64), TransactionError> {
        let (changed, number) = self.execute_all(&steps, true, bounds).await?;
        Ok((self.answers(steps, changed, bounds).await, number.unwrap_or_default()))
    }

    async fn query_batch(
        &self,
        statements: Vec<SqlStatement>,
        bounds: SqlBounds,
    ) -> Result<Vec<Result<SqlRows, SqlError>>, SqlError> {
        let live = self.live(bounds.deadline).await?;
        let reading = live.read(bounds.deadline, move |session| read_together(session, &statements, bounds));
        reading.await
    }

    async fn schema(&self) -> Result<Vec<SchemaObject>, SqlError> {
        self.inspect(|session| read_schema(session).map_err(|error| session.error(&error))).await
    }

    async fn migrate(
        &self,
        migrations: Vec<Migration>,
        dry_run: bool,
        bounds: SqlBounds,
    ) -> Result<Vec<AppliedMigration>, MigrationError> {
        let plan = script::plan(migrations, &self.migrations().await?).map_err(MigrationError::Mismatch)?;
        if dry_run {
            return self.rehearse(plan.pending, bounds.deadline).await;
        }
        let mut applied = Vec::new();
        for migration in plan.pending {
            applied.extend(self.apply(migration, bounds.deadline).await?);
        }
        Ok(applied)
    }

    async fn migrations(&self) -> Result<Vec<AppliedMigration>, SqlError> {
        self.inspect(script::applied).await
    }

    async fn script(&self, sql: String, bounds: SqlBounds) -> Result<u64, ScriptError> {
        let last = sql.trim_end().matches('\n').count() + 1;
        let failed = |fail: Fail| ScriptError { line: fail.place.unwrap_or(last), error: fail.error };
        let live = self.live(bounds.deadline).await.map_err(|error| failed(error.into()))?;
        let run =
            live.write(bounds.deadline, Manner::Alone, move |session, deadline| script::run(session, &sql, deadline));
        run.await.map_err(failed)
    }

    async fn snapshot(&self) -> Result<Box<dyn Content>, SqlError> {
        let folder = self.folder();
        let copied = self.inspect(move |session| copy::snapshot(session, &folder));
        Ok(Box::new(copied.await?))
    }

    async fn dump(&self) -> Result<Box<dyn Content>, SqlError> {
        let folder = self.folder();
        let dumped = self.inspect(move |session| copy::dump(session, &folder));
        Ok(Box::new(dumped.await?))
    }

    async fn bytes(&self) -> Result<u64, SqlError> {
        if let Some(bytes) = self.slot.bytes_closed(&self.house) {
            return Ok(bytes);
        }
        self.inspect(|session| session.bytes().map_err(|error| session.error(&error))).await
    }
}

#[async_trait]
impl Changes for NamespaceDatabase {
    async fn watch(&self, watches: Vec<TableWatch>) -> Result<(), SqlError> {
        if watches.is_empty() && self.is_nothing() {
            return Ok(());
        }
        self.do_ours(Manner::Alone, move |session| changes::watch(session, &watches)).await
    }

    /// The writer answers: reads of the tenant, which may take long, never stand before it.
    async fn changes(&self, after: i64, limit: usize) -> Result<Vec<Change>, SqlError> {
        if self.is_nothing() {
            return Ok(Vec::new());
        }
        self.do_ours(Manner::Bare, move |session| changes::read(session, after, limit)).await
    }

    async fn forget_changes(&self, up_to: i64) -> Result<(), SqlError> {
        if self.is_nothing() {
            return Ok(());
        }
        self.do_ours(Manner::Alone, move |session| changes::forget(session, up_to)).await
    }
}

impl NamespaceDatabase {
    /// Applies one migration, in a transaction of its own.
    async fn apply(&self, migration: Migration, deadline: Instant) -> Result<Option<AppliedMigration>, MigrationError> {
        let name = migration.name.clone();
        let live = self.live(deadline).await?;
        let applied =
            live.write(deadline, Manner::Alone, move |session, deadline| script::apply(session, &migration, deadline));
        applied.await.map_err(|fail| migration_error(name, fail))
    }

    /// Applies all of `pending` in one transaction that is undone.
    async fn rehearse(
        &self,
        pending: Vec<Migration>,
        deadline: Instant,
    ) -> Result<Vec<AppliedMigration>, MigrationError> {
        let live = self.live(deadline).await?;
        let (verdict, rehearsed) = std::sync::mpsc::channel();
        let undone = live.write(deadline, Manner::Alone, move |session, deadline| {
            let apply = |migration| {
                script::apply(session, migration, deadline)
                    .map_err(|fail| migration_error(migration.name.clone(), fail))
            };
            let applied: Result<Vec<_>, _> = pending.iter().map(apply).collect();
            // Whatever the verdict is, a failure undoes it all.
            let _ = verdict.send(applied);
            Err::<(), Fail>(SqlError::Busy.into())
        });
        let undone = undone.await;
        match (rehearsed.try_iter().last(), undone) {
            (Some(verdict), _) => Ok(verdict?.into_iter().flatten().collect()),
            (None, Err(fail)) => Err(MigrationError::Database(fail.error)),
            (None, Ok(())) => Ok(Vec::new()),
        }
    }
}

fn migration_error(name: String, Fail { place, error }: Fail) -> MigrationError {
    match place {
        Some(line) => MigrationError::Failed { name, line, error },
        None => MigrationError::Database(error),
    }
}

/// One transaction, so that all see the same state.
fn read_together(
    session: &Session,
    statements: &[SqlStatement],
    bounds: SqlBounds,
) -> Result<Vec<Result<SqlRows, SqlError>>, SqlError> {
    session.transaction_control("BEGIN").map_err(|error| session.error(&error))?;
    let mut budget = Budget::of(bounds);
    let refused = || SqlError::NotAllowed("statements that write are not allowed among these queries".to_owned());
    let mut read = |statement| session.read(statement, &mut budget)?.ok_or_else(refused);
    Ok(statements.iter().map(&mut read).collect())
}

fn read_schema(session: &Session) -> rusqlite::Result<Vec<SchemaObject>> {
    let sql = "SELECT name, type, sql FROM sqlite_schema
        WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name";
    let mut select = session.ours().prepare(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok(SchemaObject { name: row.get(0)?, kind: row.get(1)?, sql: row.get(2)? });
    let all: Vec<SchemaObject> = select.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|object| !guard::is_reserved(&object.name)).collect())
}
