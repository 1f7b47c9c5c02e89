//! Whole databases on the move: `orama db export`, `import`, `backup`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use reqwest::Method;
use serde_json::json;

use crate::args::Shared;
use crate::download::Target;
use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::{screen, units};

/// Write the whole database as SQL text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama db export | head
  orama db export copy.sql")]
pub struct Export {
    /// File to write, or - for stdout
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Run an SQL script, all or nothing
#[derive(Debug, clap::Args)]
pub struct Import {
    /// File to read, or - for stdin
    file: PathBuf,
}

/// Write a consistent copy of the database as a SQLite file; it is not locked meanwhile
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// File to write, or - for stdout
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) fn export(args: &Export, gateway: &Gateway, shared: &Shared) -> Outcome {
    fetch(gateway, shared, "/v1/rqlite/export", &args.file, args.force)
}

pub(super) fn backup(args: &Backup, gateway: &Gateway, shared: &Shared) -> Outcome {
    if args.file.as_os_str() == "-" && screen::stdout_is_terminal() {
        return Err(Failure::usage("a SQLite file is no text").hint("name a file, or use a pipe"));
    }
    fetch(gateway, shared, "/v1/rqlite/backup", &args.file, args.force)
}

fn fetch(gateway: &Gateway, shared: &Shared, path: &str, file: &Path, force: bool) -> Outcome {
    let target = Target { file: Some(file), force };
    let bytes = target.fill(gateway, gateway.request(Method::GET, path, &[]), ())?;
    let Some(file) = target.path() else { return Ok(()) };
    match shared.json {
        true => screen::json(&json!({ "file": file, "size": bytes })),
        false => screen::talk(&format!("wrote {}, {}", file.display(), units::size(bytes))),
    }
    Ok(())
}

pub(super) fn import(args: &Import, gateway: &Gateway, shared: &Shared) -> Outcome {
    let script: Bytes = match args.file.as_os_str() == "-" {
        true => crate::commands::read_stdin()?.into(),
        false => std::fs::read(&args.file).map_err(Failure::file("read", &args.file))?.into(),
    };
    let request = gateway.request(Method::POST, "/v1/rqlite/import", &[]);
    let document = gateway.document_at_last(request.header("content-type", "application/sql").body(script))?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&format!("ran {} statements", document["statements"])),
    }
    Ok(())
}
