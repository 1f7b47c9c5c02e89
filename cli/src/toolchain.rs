//! Builds a function with the toolchain of its language, or says how to get one.
//!
//! One file a language. A tool is searched on `PATH`, then in `~/.cache/orama-tools/*/bin`.

mod assemblyscript;
mod c;
mod go;
mod rust;
mod tool;
mod zig;

use std::path::PathBuf;
use std::process::Command;

use domain::Language;

use crate::failure::{Failure, Outcome};
use crate::project::Project;

pub use tool::Tool;

/// Builds the project's module and checks it; returns what built it.
pub fn build(project: &Project) -> Outcome<String> {
    let built_by = match project.manifest.build.as_slice() {
        [] => build_language(project)?,
        commands => build_commands(project, commands)?,
    };
    project.read_code()?;
    Ok(built_by)
}

fn build_language(project: &Project) -> Outcome<String> {
    let language = project.language()?;
    match language {
        Language::Go => go::build(project),
        Language::Rust => rust::build(project),
        Language::C => c::build(project),
        Language::Zig => zig::build(project),
        Language::AssemblyScript => assemblyscript::build(project),
        Language::JavaScript => Ok("nothing: it runs as it is".to_owned()),
    }
}

/// The manifest's own commands, one after the other.
fn build_commands(project: &Project, commands: &[String]) -> Outcome<String> {
    for line in commands {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).current_dir(&project.folder);
        tool::run(command, line)?;
    }
    Ok("its own commands".to_owned())
}

/// The tool that would build this language, and its version; else how to get one.
pub fn find(language: Language) -> Result<Tool, Missing> {
    match language {
        Language::Go => go::find(),
        Language::Rust => rust::find(),
        Language::C => c::find(),
        Language::Zig => zig::find(),
        Language::AssemblyScript => assemblyscript::find(&PathBuf::from(".")),
        Language::JavaScript => Err(Missing::new("JavaScript needs no toolchain", "run it with workerd")),
    }
}

/// No toolchain for a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub message: String,
    pub install: String,
}

impl Missing {
    fn new(message: impl Into<String>, install: impl Into<String>) -> Self {
        Self { message: message.into(), install: install.into() }
    }
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        Failure::failed(missing.message).hint(missing.install)
    }
}

#[cfg(test)]
mod tests;
