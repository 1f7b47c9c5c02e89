//! Rust: cargo, for the target wasm32-wasip1.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Missing;
use super::tool::{self, Tool};
use crate::failure::{Failure, Outcome};
use crate::project::Project;

const TARGET: &str = "wasm32-wasip1";

pub fn find() -> Result<Tool, Missing> {
    let Some(cargo) = tool::find("cargo") else {
        return Err(Missing::new(
            "no Rust toolchain found: no `cargo`",
            format!(
                "install rustup (`apt install rustup`, or https://rustup.rs), then run `rustup target add {TARGET}`"
            ),
        ));
    };
    let rustc = tool::find("rustc").unwrap_or_else(|| "rustc".into());
    let libraries = tool::output(&rustc, &["--print", "target-libdir", "--target", TARGET]);
    match libraries.is_some_and(|folder| Path::new(&folder).is_dir()) {
        true => Ok(Tool::new("cargo", cargo, "--version")),
        false => Err(Missing::new(
            format!("Rust is here, but not its target {TARGET}"),
            format!("run `rustup target add {TARGET}`"),
        )),
    }
}

pub fn build(project: &Project) -> Outcome<String> {
    let cargo = find()?;
    if !project.folder.join("Cargo.toml").is_file() {
        return Err(Failure::usage(format!("no `Cargo.toml` in `{}`", project.folder.display())));
    }
    let mut command = cargo.command(&project.folder);
    command.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    // Two functions may have packages of one name; in a folder that all builds share, one would get the other's module.
    command.env_remove("CARGO_TARGET_DIR");
    let built = run(command)?;
    let module = project.module();
    std::fs::copy(&built, &module).map_err(Failure::file("copy the module to", &module))?;
    Ok("cargo".to_owned())
}

/// Runs cargo and returns the module that it says it made.
fn run(mut command: Command) -> Outcome<PathBuf> {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output =
        command.output().map_err(|error| Failure::failed(format!("failed to start `cargo build`: {error}")))?;
    if !output.status.success() {
        return Err(Failure::failed(format!("`cargo build` failed: {}", output.status)));
    }
    last_module(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| Failure::failed("`cargo build` made no module").hint("is there a `src/main.rs`?"))
}

/// Artifacts come in the order of their dependencies, the package's own last.
fn last_module(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let artifacts = messages.filter(|message| message["reason"] == "compiler-artifact");
    let files = artifacts.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let modules = files.filter_map(|file| Some(PathBuf::from(file.as_str()?))).filter(|file| is_module(file));
    modules.fold(None, |_, module| Some(module))
}

fn is_module(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "wasm")
}
