//! Where things are: the tree, what is built, the tools that set-up brings.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub struct Places {
    /// The root of the tree.
    pub root: PathBuf,
    /// What cargo builds.
    pub target: PathBuf,
    /// Tools that belong to no checkout: `~/.cache/orama-tools`.
    pub tools: PathBuf,
}

impl Places {
    pub fn find() -> Result<Self> {
        // Asked of cargo, which starts this: a build that another copy of the tree made is as good.
        let own = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&own).parent().context("find the root of the tree")?.to_owned();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
        let home = env::var_os("HOME").context("`HOME` is not set")?;
        Ok(Self { root, target, tools: Path::new(&home).join(".cache/orama-tools") })
    }

    /// The guest programs, `<name>.wasm` each.
    pub fn guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// The binary that tests and `up` use.
    pub fn orama(&self) -> PathBuf {
        self.target.join("fast/orama")
    }

    /// The Python environment that Zig, what judges our push messages, and where needed Go are installed in.
    pub fn python(&self) -> PathBuf {
        self.tools.join("python")
    }

    /// Scripts that give tools their usual names.
    pub fn shims(&self) -> PathBuf {
        self.tools.join("shims/bin")
    }

    /// Programs that were built from Go modules.
    pub fn go_tools(&self) -> PathBuf {
        self.tools.join("go")
    }

    pub fn cargo_deny(&self) -> PathBuf {
        self.tools.join("cargo/bin/cargo-deny")
    }

    /// The programs from npm that are wanted. Not all of them: clang runs whatever `wasm-opt` it finds.
    pub fn npm_tools(&self) -> PathBuf {
        self.root.join("tools/node_modules/.wanted")
    }

    /// `PATH` with our tools behind the machine's own, so that set-up never replaces what is there.
    pub fn path_variable(&self) -> OsString {
        let own = env::var_os("PATH").unwrap_or_default();
        let ours = [self.shims(), self.python().join("bin"), self.npm_tools(), self.go_tools()];
        env::join_paths(env::split_paths(&own).chain(ours)).unwrap_or(own)
    }
}
