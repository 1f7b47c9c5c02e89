//! A program that builds: where it was found, and running it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};

/// A program and the arguments that make it this tool: `python3 -m ziglang` is `zig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub name: &'static str,
    pub program: PathBuf,
    pub leading: Vec<String>,
    version_argument: &'static str,
}

impl Tool {
    pub fn new(name: &'static str, program: PathBuf, version_argument: &'static str) -> Self {
        Self { name, program, leading: Vec::new(), version_argument }
    }

    pub fn leading<const COUNT: usize>(mut self, arguments: [&str; COUNT]) -> Self {
        self.leading = arguments.map(str::to_owned).to_vec();
        self
    }

    pub fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.leading).current_dir(folder);
        command
    }

    /// The first line of what the tool says about its version.
    pub fn version(&self) -> Option<String> {
        let output = self.command(Path::new(".")).arg(self.version_argument).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }
}

/// Runs a command to its end; what it prints goes to stderr, where it belongs for a verb with data on stdout.
pub fn run(mut command: Command, what: &str) -> Outcome {
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().map_err(|error| Failure::failed(format!("failed to start `{what}`: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::failed(format!("`{what}` failed: {status}"))) }
}

/// Every program of this name, best first.
pub fn find_all(name: &str) -> Vec<PathBuf> {
    let on_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    find_in(name, [on_path, private_folders()].concat())
}

pub fn find(name: &str) -> Option<PathBuf> {
    find_all(name).into_iter().next()
}

/// Every program of this name in the folders, in their order.
pub fn find_in(name: &str, folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let absolute = folders.into_iter().filter(|folder| folder.is_absolute());
    absolute.map(|folder| folder.join(name)).filter(|path| is_executable(path)).collect()
}

/// `~/.cache/orama-tools/*/bin`, and the same for packages of npm.
fn private_folders() -> Vec<PathBuf> {
    let Some(home) = env::var_os("HOME") else { return Vec::new() };
    let Ok(tools) = fs::read_dir(Path::new(&home).join(".cache/orama-tools")) else { return Vec::new() };
    let mut tools: Vec<PathBuf> = tools.flatten().map(|tool| tool.path()).collect();
    tools.sort();
    tools.iter().flat_map(|tool| [tool.join("bin"), tool.join("node_modules/.bin")]).collect()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// What a command prints, if it succeeds.
pub fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let arguments = arguments.iter().map(OsStr::new);
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
