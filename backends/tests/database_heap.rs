//! The heap of SQLite is one for the process, so this has a process of its own.

use std::time::{Duration, Instant};

use backends::database::{self, DatabaseConfig};
use domain::{Namespace, SqlStatement};
use ports::{Databases, SqlBounds, SqlError};

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
    // All of a row is in memory at once, and this one is larger than any that could be answered.
    let hog = format!("SELECT {}", vec!["randomblob(2000000)"; 100].join(","));
    for _ in 0..3 {
        let refused = ask(&hog).await;
        assert!(matches!(refused, Err(SqlError::Unavailable(_))), "{refused:?}");
        assert_eq!(ask("SELECT 1").await.expect("others go on").rows.len(), 1);
    }
}
