//! SQL databases: the suite of the port, and what only files, many callers and hostile ones show.

mod changes;
mod files;
mod group;
mod reads;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backends::database::{self, DatabaseConfig, SqliteDatabases};
use domain::{Namespace, SqlChanged, SqlStatement, SqlValue};
use ports::decorate::Failing;
use ports::{Database, Databases, SqlBounds, SqlError, conformance};

#[tokio::test(flavor = "multi_thread")]
async fn files_behave_as_databases() {
    let folder = scratch();
    let databases = open(folder.path());
    conformance::database(&databases).await;
}

#[tokio::test]
async fn databases_in_memory_behave_as_databases() {
    conformance::database(&database::in_memory()).await;
}

#[tokio::test]
async fn databases_behind_a_decorator_behave_and_fail_as_databases() {
    let (databases, faults) = Failing::new(database::in_memory());
    conformance::database(&databases).await;
    let database = databases.of(&named("one"));
    faults.fail("execute", 1);
    let failed = database.execute(statement("CREATE TABLE late (a)"), in_time()).await;
    assert!(matches!(failed, Err(SqlError::Unavailable(_))), "{failed:?}");
    execute(&*database, "CREATE TABLE late (a)").await;
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn open(folder: &Path) -> SqliteDatabases {
    database::open(folder, DatabaseConfig::default()).expect("open the folder")
}

fn of(databases: &SqliteDatabases, namespace: &str) -> Arc<dyn Database> {
    databases.of(&named(namespace))
}

fn named(namespace: &str) -> Namespace {
    Namespace::parse(namespace).expect("a valid namespace")
}

fn within(time: Duration) -> SqlBounds {
    SqlBounds::until(Instant::now() + time)
}

fn in_time() -> SqlBounds {
    within(Duration::from_secs(60))
}

fn statement(sql: &str) -> SqlStatement {
    SqlStatement::new(sql, Vec::new())
}

async fn execute(database: &dyn Database, sql: &str) -> SqlChanged {
    let changed = database.execute(statement(sql), in_time()).await;
    changed.unwrap_or_else(|error| panic!("`{sql}`: {error:?}"))
}

async fn number(database: &dyn Database, sql: &str) -> i64 {
    let found = database.query(statement(sql), in_time()).await;
    let found = found.unwrap_or_else(|error| panic!("`{sql}`: {error:?}"));
    match found.rows.as_slice() {
        [row] if row.len() == 1 => match row[0] {
            SqlValue::Integer(number) => number,
            ref other => panic!("`{sql}` answered {other:?}"),
        },
        other => panic!("`{sql}` answered {other:?}"),
    }
}

/// Never ends by itself.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

fn is_corrupt<T>(result: &Result<T, SqlError>) -> bool {
    matches!(result, Err(SqlError::Corrupt(_)))
}
