//! Runs programs; a failure names the command line.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::places::Places;

/// A command in `folder`, that finds the tools of set-up.
pub fn command(places: &Places, program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("PATH", places.path_variable()).stdin(Stdio::null());
    command
}

/// The cargo that runs us, at the root of the tree.
pub fn cargo(places: &Places) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(places, cargo, &places.root);
    // Set by the outer cargo for us alone.
    command.env_remove("CARGO_MANIFEST_DIR").env("CARGO_TARGET_DIR", &places.target);
    command
}

/// Runs to the end, output shown.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start `{}`", line(command)))?;
    match status.success() {
        true => Ok(()),
        false => bail!("`{}` failed: {status}", line(command)),
    }
}

/// Runs to the end, and shows output only of a failure.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start `{}`", line(command)))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    bail!("`{}` failed: {}\n{out}{err}", line(command), output.status)
}

/// What it prints; `None` when it fails or is not there.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
