mod bounds;
mod changes;
mod copies;
mod feed;
mod refusals;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Namespace, SqlChanged, SqlRows, SqlStatement, SqlValue};

use crate::{Content, Database, Databases, SqlBounds, SqlError};

/// Panics when `databases`, which must be empty, do not behave as one SQL database a namespace.
pub async fn database(databases: &dyn Databases) {
    values::check(&Subject::of(databases, "values")).await;
    changes::check(&Subject::of(databases, "changes")).await;
    changes::check_transactions(&Subject::of(databases, "transactions")).await;
    changes::check_sequence(databases).await;
    changes::check_batches(&Subject::of(databases, "batches")).await;
    refusals::check(&Subject::of(databases, "refusals")).await;
    bounds::check(&Subject::of(databases, "bounds")).await;
    bounds::check_limit(databases).await;
    copies::check_schema(&Subject::of(databases, "schema")).await;
    copies::check_scripts(&Subject::of(databases, "scripts")).await;
    copies::check_migrations(&Subject::of(databases, "migrations")).await;
    copies::check_dump(databases).await;
    feed::check(databases).await;
    check_namespaces(databases).await;
}

async fn check_namespaces(databases: &dyn Databases) {
    let (one, two) = (Subject::of(databases, "one"), Subject::of(databases, "two"));
    one.execute("CREATE TABLE t (a)").await;
    let foreign = two.try_query("SELECT * FROM t", &[]).await;
    assert!(matches!(foreign, Err(SqlError::Invalid(_))), "a table of another namespace: {foreign:?}");

    databases.remove(&namespace("one")).await.expect("remove");
    databases.remove(&namespace("one")).await.expect("removing what is not there is no error");
    let late = one.try_execute("CREATE TABLE late (a)", &[]).await;
    assert!(matches!(late, Err(SqlError::Removed)), "a removed database is used: {late:?}");
    let heir = Subject::of(databases, "one");
    assert_eq!(heir.database.schema().await.expect("schema"), [], "a removed database comes back empty");
    heir.execute("CREATE TABLE t (b)").await;
    for answer in [one.try_query("SELECT * FROM t", &[]).await.map(drop), one.database.bytes().await.map(drop)] {
        assert!(matches!(answer, Err(SqlError::Removed)), "a removed database tells of its heir: {answer:?}");
    }
}

fn namespace(name: &str) -> Namespace {
    Namespace::parse(name).expect("a valid namespace")
}

/// A database with shorter words for what every check does.
struct Subject {
    database: Arc<dyn Database>,
}

impl Subject {
    fn of(databases: &dyn Databases, name: &str) -> Self {
        Self { database: databases.of(&namespace(name)) }
    }

    async fn try_query(&self, sql: &str, arguments: &[SqlValue]) -> Result<SqlRows, SqlError> {
        self.database.query(SqlStatement::new(sql, arguments.to_vec()), bounds()).await
    }

    async fn query(&self, sql: &str, arguments: &[SqlValue]) -> Vec<Vec<SqlValue>> {
        match self.try_query(sql, arguments).await {
            Ok(rows) => rows.rows,
            Err(error) => panic!("`{sql}`: {error:?}"),
        }
    }

    async fn number(&self, sql: &str) -> i64 {
        match self.query(sql, &[]).await.as_slice() {
            [row] => match row.as_slice() {
                [SqlValue::Integer(number)] => *number,
                other => panic!("`{sql}` is one number, not {other:?}"),
            },
            other => panic!("`{sql}` is one number, not {other:?}"),
        }
    }

    async fn try_execute(&self, sql: &str, arguments: &[SqlValue]) -> Result<SqlChanged, SqlError> {
        self.database.execute(SqlStatement::new(sql, arguments.to_vec()), bounds()).await
    }

    async fn execute(&self, sql: &str) -> SqlChanged {
        match self.try_execute(sql, &[]).await {
            Ok(changed) => changed,
            Err(error) => panic!("`{sql}`: {error:?}"),
        }
    }
}

fn statement(sql: &str) -> SqlStatement {
    SqlStatement::new(sql, Vec::new())
}

fn bounds() -> SqlBounds {
    SqlBounds::until(Instant::now() + Duration::from_secs(60))
}

fn text(text: &str) -> SqlValue {
    SqlValue::Text(text.to_owned())
}

async fn read_all(content: &dyn Content) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let piece = content.read(all.len() as u64, 1 << 16).await.expect("read");
        if piece.is_empty() {
            assert_eq!(all.len() as u64, content.bytes(), "the size is that of the whole");
            return all;
        }
        all.extend_from_slice(&piece);
    }
}
