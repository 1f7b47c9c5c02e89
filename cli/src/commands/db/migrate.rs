//! `orama db migrate`: a folder of SQL files, each applied once.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::gateway::{self, Gateway};
use crate::{printable, screen};

/// Apply the files of a folder that were not applied yet, in the order of their names
///
/// A file is applied as a whole or not at all, and must not change afterwards.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama db migrate
  orama db migrate db/migrations --dry-run")]
pub struct Args {
    /// Folder with files such as 0001_users.sql
    #[arg(value_name = "DIR", default_value = "migrations")]
    folder: PathBuf,
    /// Say what would be applied, and apply nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Request {
    migrations: Vec<Migration>,
    dry_run: bool,
}

#[derive(Serialize)]
struct Migration {
    name: String,
    sql: String,
}

#[derive(Deserialize)]
struct Applied {
    applied: Vec<Name>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

pub(super) fn run(args: &Args, gateway: &Gateway, shared: &Shared) -> Outcome {
    let migrations = read(&args.folder)?;
    let count = migrations.len();
    let request = gateway.request(Method::POST, "/v1/rqlite/migrate", &[]);
    let document = gateway.document_at_last(request.json(&Request { migrations, dry_run: args.dry_run }))?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let applied = gateway::read::<Applied>(&document)?.applied;
    let done = if args.dry_run { "would apply" } else { "applied" };
    applied.iter().for_each(|migration| screen::line(&printable::line(&format!("{done} {}", migration.name))));
    if applied.is_empty() {
        screen::talk(&format!("nothing to apply: all {count} migrations were applied before"));
    }
    Ok(())
}

fn read(folder: &Path) -> Outcome<Vec<Migration>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Failure::file("read", folder))? {
        let path = entry.map_err(Failure::file("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "sql") && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::usage(format!("there is no `.sql` file in `{}`", folder.display()))
            .hint("name them in their order, for example `0001_users.sql`"));
    }
    files.sort();
    files.iter().map(|file| migration(file)).collect()
}

fn migration(file: &Path) -> Outcome<Migration> {
    let name = file.file_stem().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::usage(format!("the name of `{}` is not UTF-8", file.display())))?;
    let sql = fs::read(file).map_err(Failure::file("read", file))?;
    let sql = String::from_utf8(sql).map_err(|_| Failure::usage(format!("`{}` is not UTF-8", file.display())))?;
    Ok(Migration { name: name.to_owned(), sql })
}
