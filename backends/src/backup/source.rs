//! One attempt to copy the stores of a node that may be running.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use domain::{Cid, Namespace};
use rusqlite::{Connection, Row};

use super::{Attempt, BackupError, Gathered, Summary, copy_contents, copy_database, io_at, place};
use crate::durable;
use crate::sql::sqlite::open_reader;

/// What the copied control plane refers to.
#[derive(Debug, Default)]
struct Named {
    namespaces: BTreeSet<String>,
    code: BTreeSet<Cid>,
    content: BTreeSet<Cid>,
}

pub(super) fn copy_stores(data: &Path, target: &Path) -> Result<Attempt, BackupError> {
    let databases = databases_in(data)?;
    let mut summary = Summary::default();
    let named = copy_system(data, target, &mut summary)?;
    for namespace in databases.iter().filter(|namespace| named.namespaces.contains(namespace.as_str())) {
        let file = Path::new("databases").join(format!("{namespace}.db"));
        // Gone with its namespace, which the copy still has.
        if !data.join(&file).exists() {
            return Ok(Attempt::Missing(data.join(file)));
        }
        summary.bytes += copy_database(&data.join(&file), &target.join(&file))?;
        summary.databases += 1;
    }
    let logs = data.join(place::LOGS);
    if logs.exists() {
        summary.bytes += copy_database(&logs, &target.join(place::LOGS))?;
    }
    let code = copy_contents(&data.join("code"), &target.join("code"), &named.code)?;
    let content = copy_contents(&data.join("content"), &target.join("content"), &named.content)?;
    if let Some(missing) = code.missing.as_ref().or(content.missing.as_ref()) {
        return Ok(Attempt::Missing(missing.clone()));
    }
    remove_others(target, &[&code, &content], &named.namespaces)?;
    summary.bytes += code.bytes + content.bytes;
    summary.code_files = code.files.len() as u64;
    summary.content_files = content.files.len() as u64;
    Ok(Attempt::Done(summary))
}

/// The namespaces that have a database.
fn databases_in(data: &Path) -> Result<Vec<Namespace>, BackupError> {
    let folder = data.join("databases");
    let files = durable::files_in(&folder).map_err(io_at(&folder))?;
    Ok(files.iter().filter_map(|file| place::namespace_of(file.file_name()?.to_str()?)).collect())
}

/// A node that never got as far as its control plane has stored nothing.
fn copy_system(data: &Path, target: &Path, summary: &mut Summary) -> Result<Named, BackupError> {
    let (system, copy) = (data.join(place::SYSTEM), target.join(place::SYSTEM));
    if !system.exists() {
        return Ok(Named::default());
    }
    summary.bytes += copy_database(&system, &copy)?;
    let connection = open_reader(&copy)?;
    named_in(&connection).map_err(|source| BackupError::Database { path: copy, source })
}

/// A folder of an earlier program may lack some of the tables.
fn named_in(connection: &Connection) -> rusqlite::Result<Named> {
    let texts = |table: &str, column: &str| -> rusqlite::Result<Vec<String>> {
        if !connection.table_exists(None, table)? {
            return Ok(Vec::new());
        }
        let mut statement = connection.prepare(&format!("SELECT DISTINCT {column} FROM {table}"))?;
        let read = |row: &Row<'_>| row.get(0);
        statement.query_map([], read)?.collect()
    };
    let cids = |texts: Vec<String>| texts.iter().filter_map(|text| Cid::parse(text).ok()).collect();
    Ok(Named {
        namespaces: texts("namespaces", "name")?.into_iter().collect(),
        code: cids([texts("function_versions", "code")?, texts("chain_codes", "code")?].concat()),
        content: cids(texts("contents", "cid")?),
    })
}

/// What an earlier attempt copied, and the control plane forgot since.
fn remove_others(target: &Path, gathered: &[&Gathered], namespaces: &BTreeSet<String>) -> Result<(), BackupError> {
    let mut found: Vec<PathBuf> = Vec::new();
    for root in ["code", "content"] {
        for folder in durable::folders_in(&target.join(root)).map_err(io_at(target))? {
            found.extend(durable::files_in(&folder).map_err(io_at(&folder))?);
        }
    }
    found.retain(|file| !gathered.iter().any(|kept| kept.files.contains(file)));
    for file in durable::files_in(&target.join("databases")).map_err(io_at(target))? {
        let namespace = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if !namespaces.contains(namespace) {
            found.push(file);
        }
    }
    found.iter().try_for_each(|file| fs::remove_file(file).map_err(io_at(file)))
}
