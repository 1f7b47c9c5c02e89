//! The heap of SQLite is one for the process, so this has a process of its own.

use std::time::{Duration, Instant};

use backends::database::{self, DatabaseConfig};
use domain::{Namespace, SqlStatement};
use ports::{Databases, SqlBounds, SqlError};

/// Keeps a million bytes for each of a hundred thousand rows, to sort them.
const HOG: &str =
    "WITH RECURSIVE c(n, x) AS (VALUES (1, randomblob(1000000)) UNION ALL SELECT n + 1, randomblob(1000000) FROM c
    LIMIT 100000) SELECT count(*) FROM (SELECT x FROM c ORDER BY x LIMIT 100000)";

#[tokio::test]
async fn a_statement_that_wants_too_much_memory_fails_alone() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let config = DatabaseConfig { heap_bytes_max: 64 << 20, ..DatabaseConfig::default() };
    let databases = database::open(folder.path(), config).expect("open");
    let database = databases.of(&Namespace::parse("one").expect("a valid namespace"));
    let ask = async |sql: &str| {
        let bounds = SqlBounds::until(Instant::now() + Duration::from_secs(120));
        database.query(SqlStatement::new(sql, Vec::new()), bounds).await
    };
    for _ in 0..3 {
        let refused = ask(HOG).await;
        assert!(matches!(refused, Err(SqlError::Unavailable(_))), "{refused:?}");
        assert_eq!(ask("SELECT 1").await.expect("others go on").rows.len(), 1);
    }
}
