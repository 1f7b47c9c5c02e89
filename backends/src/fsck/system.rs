//! The control plane: every function has its active version, and every row reads.

use std::collections::BTreeMap;

use domain::{Cid, Manifest};
use rusqlite::{Connection, Row};

use super::sqlite::{Opened, Wanted, failed, open};
use super::{ProblemKind, Report};
use crate::durable;
use crate::folder::DataFolder;
use crate::registry::{KIND, migrations::MIGRATIONS};

/// What the control plane refers to.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// The code that versions use: each identifier with the name of one version.
    pub code: BTreeMap<Cid, String>,
    /// The content that is owned: each identifier with one of its owners.
    pub content: BTreeMap<Cid, String>,
    pub namespaces: Vec<String>,
}

/// `None` when what is used cannot be told.
pub(super) fn check(folder: &DataFolder, report: &mut Report) -> Option<Used> {
    let path = folder.system_db();
    let wanted = Wanted { path: &path, kind: KIND, newest: MIGRATIONS.len() as i64 };
    match open(&wanted, report) {
        Opened::Unusable => None,
        Opened::Empty => without_database(folder, report),
        Opened::Usable(connection) => match check_rows(&connection, report) {
            Ok(used) => Some(used),
            Err(error) => {
                failed(&path, &error, report);
                None
            }
        },
    }
}

/// A node that never got as far as its first table has stored nothing either.
fn without_database(folder: &DataFolder, report: &mut Report) -> Option<Used> {
    let storages = [folder.code(), folder.content()];
    let fans = storages.iter().flat_map(|root| durable::folders_in(root).unwrap_or_default()).collect::<Vec<_>>();
    if fans.iter().all(|fan| fan.ends_with(crate::storage::TEMPORARY)) {
        return Some(Used::default());
    }
    let message = format!(
        "`{}` is missing, but there is code or content; restore it from a backup",
        folder.system_db().display()
    );
    report.add(ProblemKind::DatabaseMissing, message);
    None
}

fn check_rows(connection: &Connection, report: &mut Report) -> rusqlite::Result<Used> {
    check_active_versions(connection, report)?;
    check_numbers(connection, report)?;
    super::namespaces::check(connection, report)?;
    let functions: i64 = connection.query_row("SELECT count(*) FROM functions WHERE active IS NOT NULL", [], first)?;
    report.counts.functions = functions.unsigned_abs();
    let mut code = check_versions(connection, report)?;
    code.extend(check_chain_codes(connection, report)?);
    Ok(Used { code, content: check_contents(connection, report)?, namespaces: namespaces(connection)? })
}

fn check_active_versions(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let sql = "SELECT f.namespace || '/' || f.name, f.active FROM functions f
        WHERE f.active IS NOT NULL AND NOT EXISTS
            (SELECT 1 FROM function_versions v
             WHERE v.namespace = f.namespace AND v.name = f.name AND v.number = f.active)";
    let mut statement = connection.prepare(sql)?;
    let missing = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    for function in missing {
        let (name, active) = function?;
        let message = format!("the active version {active} of function `{name}` does not exist");
        report.add(ProblemKind::ActiveVersionMissing, message);
    }
    Ok(())
}

/// A deleted function has no versions, and no version has a number that was not given out.
fn check_numbers(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let sql = "SELECT f.namespace || '/' || f.name || '@' || v.number
        FROM functions f JOIN function_versions v ON v.namespace = f.namespace AND v.name = f.name
        WHERE f.active IS NULL OR v.number > f.last_number";
    let mut statement = connection.prepare(sql)?;
    for version in statement.query_map([], |row| row.get::<_, String>(0))? {
        let message =
            format!("the version `{}` should not exist: its function is deleted or never counted so far", version?);
        report.add(ProblemKind::RowDamaged, message);
    }
    Ok(())
}

fn check_versions(connection: &Connection, report: &mut Report) -> rusqlite::Result<BTreeMap<Cid, String>> {
    let mut used = BTreeMap::new();
    let mut statement = connection
        .prepare("SELECT namespace || '/' || name || '@' || number, code, manifest FROM function_versions")?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))?;
    for row in rows {
        let (version, code, manifest) = row?;
        report.counts.versions += 1;
        if let Err(error) = serde_json::from_str::<Manifest>(&manifest) {
            report.add(ProblemKind::RowDamaged, format!("the manifest of `{version}` cannot be read: {error}"));
        }
        match Cid::parse(&code) {
            Ok(cid) => drop(used.insert(cid, version)),
            Err(error) => report.add(ProblemKind::RowDamaged, format!("the code of `{version}`: {error}")),
        }
    }
    Ok(used)
}

/// Code that came from a chain, each with its transaction.
fn check_chain_codes(connection: &Connection, report: &mut Report) -> rusqlite::Result<BTreeMap<Cid, String>> {
    let mut used = BTreeMap::new();
    // A folder that no newer program has opened since has no such table yet.
    if !connection.table_exists(None, "chain_codes")? {
        return Ok(used);
    }
    let mut statement = connection.prepare("SELECT '0x' || lower(hex(tx)), code FROM chain_codes")?;
    for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (transaction, code) = row?;
        match Cid::parse(&code) {
            Ok(cid) => drop(used.insert(cid, transaction)),
            Err(error) => report.add(ProblemKind::RowDamaged, format!("the code of `{transaction}`: {error}")),
        }
    }
    Ok(used)
}

fn check_contents(connection: &Connection, report: &mut Report) -> rusqlite::Result<BTreeMap<Cid, String>> {
    let mut owned = BTreeMap::new();
    // A folder that no newer program has opened since has no such table yet.
    if !connection.table_exists(None, "contents")? {
        return Ok(owned);
    }
    let mut statement = connection.prepare("SELECT namespace, cid FROM contents")?;
    for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (namespace, cid) = row?;
        match Cid::parse(&cid) {
            Ok(cid) => drop(owned.insert(cid, namespace)),
            Err(error) => report.add(ProblemKind::RowDamaged, format!("content of namespace `{namespace}`: {error}")),
        }
    }
    Ok(owned)
}

fn first(row: &Row<'_>) -> rusqlite::Result<i64> {
    row.get(0)
}

/// A folder that no newer program has opened since has no such table yet, and no databases either.
fn namespaces(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    if !connection.table_exists(None, "namespaces")? {
        return Ok(Vec::new());
    }
    connection.prepare("SELECT name FROM namespaces")?.query_map([], |row| row.get(0))?.collect()
}
