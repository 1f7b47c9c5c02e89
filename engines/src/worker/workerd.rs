//! Where workerd is, and which one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The npm package that holds the program for this machine.
const NPM_PACKAGE: &str = match cfg!(target_arch = "aarch64") {
    true => "@cloudflare/workerd-linux-arm64",
    false => "@cloudflare/workerd-linux-64",
};
/// The oldest version that has all we need: loading code into a running process, by flag.
pub const WORKERD_OLDEST: &str = "2026-11-01";

/// The JavaScript runtime, found and asked for its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workerd {
    pub program: PathBuf,
    /// A day, as `2026-11-17`: the newest behaviour that it knows is about that of this day.
    pub version: String,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWorkerd {
    #[error("workerd was not found; install it with `npm install workerd`, or say where it is with `engine.workerd`")]
    NotFound,
    #[error("`{}` cannot be run: {reason}", program.display())]
    Broken { program: PathBuf, reason: String },
    #[error("`{}` is of {version}, and {WORKERD_OLDEST} or later is needed", program.display())]
    TooOld { program: PathBuf, version: String },
}

impl Workerd {
    /// The program that is named, else the first on `PATH`, beside this program, or in a `node_modules` at or above the current
    /// folder or this program's.
    pub fn find(named: Option<&Path>) -> Result<Self, NoWorkerd> {
        let program = match named {
            Some(named) => named.to_owned(),
            None => places().find(|place| place.is_file()).ok_or(NoWorkerd::NotFound)?,
        };
        // npm's own `workerd` is a script that starts the program.
        let program = program_of_npm(&program).unwrap_or(program);
        let version = version_of(&program)?;
        match version.as_str() < WORKERD_OLDEST {
            true => Err(NoWorkerd::TooOld { program, version }),
            false => Ok(Self { program, version }),
        }
    }
}

fn places() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join("workerd")).collect();
    let own = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let beside = own.iter().map(|folder| folder.join("workerd")).collect::<Vec<_>>();
    let starts = [std::env::current_dir().ok(), own];
    let of_npm = starts.into_iter().flatten().flat_map(|start| {
        let folders: Vec<PathBuf> = start.ancestors().map(Path::to_owned).collect();
        folders.into_iter().flat_map(|folder| [folder.join("node_modules"), folder.join("tools/node_modules")])
    });
    on_path.into_iter().chain(beside).chain(of_npm.map(|modules| modules.join(NPM_PACKAGE).join("bin/workerd")))
}

/// The program behind a script of npm's, which lies in `node_modules/workerd/bin` or is a link to there.
fn program_of_npm(program: &Path) -> Option<PathBuf> {
    let script = std::fs::canonicalize(program).ok()?;
    let modules = script.ancestors().find(|folder| folder.file_name() == Some(OsStr::new("node_modules")))?;
    let behind = modules.join(NPM_PACKAGE).join("bin/workerd");
    behind.is_file().then_some(behind)
}

fn version_of(program: &Path) -> Result<String, NoWorkerd> {
    let broken = |reason: String| NoWorkerd::Broken { program: program.to_owned(), reason };
    let asked = Command::new(program).arg("--version").output().map_err(|cause| broken(cause.to_string()))?;
    let said = String::from_utf8_lossy(&asked.stdout);
    let version = said.trim().strip_prefix("workerd ").filter(|version| asked.status.success() && is_day(version));
    version.map(str::to_owned).ok_or_else(|| broken("it does not say `workerd` and a version".into()))
}

fn is_day(text: &str) -> bool {
    text.len() == WORKERD_OLDEST.len() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(folder: &Path, says: &str) -> PathBuf {
        let path = folder.join("workerd");
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path
    }

    #[test]
    fn the_version_is_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let named = program(folder.path(), "workerd 2026-11-17");
        let found = Workerd::find(Some(&named)).expect("found");
        assert_eq!((found.program.as_path(), found.version.as_str()), (named.as_path(), "2026-11-17"));

        let old = program(folder.path(), "workerd 2023-03-07");
        assert!(matches!(Workerd::find(Some(&old)), Err(NoWorkerd::TooOld { version, .. }) if version == "2023-03-07"));
        let other = program(folder.path(), "node v24");
        assert!(matches!(Workerd::find(Some(&other)), Err(NoWorkerd::Broken { .. })));
        let missing = Workerd::find(Some(&folder.path().join("none")));
        assert!(matches!(missing, Err(NoWorkerd::Broken { .. })), "what was named is not searched for");
    }

    #[test]
    fn behind_a_script_of_npm_is_the_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let modules = fs::canonicalize(folder.path()).expect("a path").join("node_modules");
        let (scripts, programs) = (modules.join("workerd/bin"), modules.join(NPM_PACKAGE).join("bin"));
        fs::create_dir_all(&scripts).expect("made");
        fs::create_dir_all(&programs).expect("made");
        let script = program(&scripts, "a script");
        let behind = program(&programs, "workerd 2026-11-17");
        assert_eq!(Workerd::find(Some(&script)).expect("found").program, behind);
    }
}
