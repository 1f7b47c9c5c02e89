//! Numbered migrations: each runs once, in order, in a transaction with the note that it ran.

use domain::Timestamp;
use ports::BoxError;

use super::{Columns, Driver, OpenError, Statement};

/// The migrations of one schema: the first is number 1. A migration that was released never changes.
pub(crate) type Migrations = [&'static [&'static str]];

const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL
) STRICT";

/// The number of the newest migration that ran here.
pub(crate) const NEWEST: &str = "SELECT coalesce(max(version), 0) FROM schema_migrations";

/// Brings the schema of `database` up to date; one that is newer than `migrations` is refused and left as it is.
pub(crate) async fn migrate(driver: &dyn Driver, database: &str, migrations: &Migrations) -> Result<(), OpenError> {
    let unavailable = |source| OpenError::Unavailable { database: database.to_owned(), source };
    let known = migrations.len() as i64;
    let found = newest(driver).await.map_err(unavailable)?;
    if found > known {
        return Err(OpenError::TooNew { database: database.to_owned(), found, known });
    }
    for (number, statements) in (1..).zip(migrations).filter(|(number, _)| *number > found) {
        driver.transact(batch(number, statements)).await.map_err(unavailable)?;
    }
    Ok(())
}

async fn newest(driver: &dyn Driver) -> Result<i64, BoxError> {
    let batch = vec![Statement::new(CREATE, []), Statement::new(NEWEST, [])];
    let answer = driver.transact(batch).await?.pop().unwrap_or_default();
    let row = answer.rows.into_iter().next().unwrap_or_default();
    Ok(Columns::of(row).integer()?)
}

/// Two nodes that migrate at once meet at the primary key, and one of them changes nothing.
fn batch(number: i64, statements: &[&'static str]) -> Vec<Statement> {
    let note = "INSERT INTO schema_migrations (version, applied_at) VALUES (?1, ?2)";
    let changes = statements.iter().map(|sql| Statement::new(sql, []));
    changes.chain([Statement::new(note, [number.into(), Timestamp::now().into()])]).collect()
}
