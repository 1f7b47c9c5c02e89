use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use domain::{EngineKind, Manifest};
use serde_json::json;

use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::project::{self, Project};
use crate::{screen, toolchain, units, worker};

/// Compile a function to WebAssembly, as function.wasm beside its manifest
///
/// The language is the manifest's `language`, else what the files show. Go is built by TinyGo if that is there, else by
/// Go itself; Rust by cargo; C by clang with wasi-libc, else by zig; Zig by zig; AssemblyScript by asc. JavaScript runs
/// as it is: its modules are only looked at. The manifest's `build` commands replace all this.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function build
  orama function build ./my-function")]
pub struct Args {
    /// Folder of the function
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let project = Project::open(&args.folder)?;
    let built = build(&project)?;
    let file = match project.manifest.engine {
        EngineKind::Wasm => project.module(),
        EngineKind::Worker => worker::main_module(&project.folder, &project.manifest),
    };
    if shared.json {
        screen::json(&json!({"file": file, "size_bytes": built.bytes, "toolchain": built.by, "duration_ms": built.ms}));
    } else {
        screen::line(&file.display().to_string());
    }
    Ok(())
}

/// What a build did.
pub struct Built {
    pub by: String,
    pub bytes: u64,
    pub ms: u64,
}

/// Builds, and says so on stderr; `deploy` and `run` build through this too.
pub fn build(project: &Project) -> Outcome<Built> {
    let started = Instant::now();
    screen::talk(&format!("building {}", project.manifest.name));
    let by = toolchain::build(project)?;
    let bytes = project.read_code()?.len() as u64;
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    screen::talk(&format!("built {} by {by} in {:.1} s", units::size(bytes), ms as f64 / 1000.0));
    Ok(Built { by, bytes, ms })
}

/// Manifest and code of a folder or a module; a folder is built first where that is necessary.
pub fn load(target: &Path) -> Outcome<(Manifest, Bytes)> {
    if !target.exists() {
        return Err(Failure::usage(format!("there is no folder and no module `{}`", target.display())));
    }
    if worker::is_module(target) {
        return Ok((project::of_module(target)?, worker::read(target)?));
    }
    if !target.is_dir() {
        return Ok((project::of_module(target)?, project::read_module(target)?.into()));
    }
    let project = Project::open(target)?;
    if is_stale(&project)? {
        build(&project)?;
    }
    let code = project.read_code()?;
    Ok((project.manifest, code))
}

/// A module without sources beside it was brought here ready.
fn is_stale(project: &Project) -> Outcome<bool> {
    if project.manifest.engine == EngineKind::Worker {
        return Ok(!project.manifest.build.is_empty());
    }
    let ready = project.module().exists() && project.manifest.build.is_empty() && project.language().is_err();
    Ok(!ready && project.is_stale()?)
}
