//! Namespaces: whatever belongs to one belongs to one that exists, and what each is said to own is what it owns.

use rusqlite::Connection;

use super::{ProblemKind, Report};

pub(super) fn check(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    // A folder that no newer program has opened since has no such table yet.
    if !connection.table_exists(None, "namespaces")? {
        return Ok(());
    }
    check_homes(connection, report)?;
    check_owned_bytes(connection, report)
}

/// Functions, keys and replies are older than the table of namespaces, and refer to it by no foreign key.
fn check_homes(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let sql = "SELECT namespace FROM (
            SELECT namespace FROM functions UNION SELECT namespace FROM api_keys UNION SELECT namespace FROM replies)
        WHERE namespace NOT IN (SELECT name FROM namespaces WHERE ending = 0)";
    let mut statement = connection.prepare(sql)?;
    for namespace in statement.query_map([], |row| row.get::<_, String>(0))? {
        let message = format!("the namespace `{}` does not exist, but something belongs to it", namespace?);
        report.add(ProblemKind::BrokenReference, message);
    }
    Ok(())
}

fn check_owned_bytes(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let sql = "SELECT name FROM namespaces WHERE owned_bytes <>
        (SELECT coalesce(sum(bytes), 0) FROM contents WHERE contents.namespace = namespaces.name)";
    let mut statement = connection.prepare(sql)?;
    for namespace in statement.query_map([], |row| row.get::<_, String>(0))? {
        let message = format!("the size of the content of namespace `{}` is counted wrong", namespace?);
        report.add(ProblemKind::UsageWrong, message);
    }
    Ok(())
}
