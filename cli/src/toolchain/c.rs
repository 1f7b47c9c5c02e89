//! C: clang with wasi-libc, else zig, which brings a libc of its own.

use std::path::Path;

use super::Missing;
use super::tool::{self, Tool};
use super::zig;
use crate::failure::{Failure, Outcome};
use crate::project::{MODULE, Project};

const INSTALL: &str = "run `apt install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32` (or the numbers your release \
                       has), or `pip install ziglang`, or set `WASI_SDK_PATH` to an unpacked wasi-sdk";
const TARGET: &str = "--target=wasm32-wasi";
/// Newest first; the plain name is what the distribution prefers.
const CLANGS: [&str; 9] =
    ["clang", "clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15"];

pub fn find() -> Result<Tool, Missing> {
    clang().or_else(|| zig::find().ok()).ok_or_else(|| {
        Missing::new("no C toolchain found: neither `clang` with wasi-libc and its runtime library nor `zig`", INSTALL)
    })
}

fn clang() -> Option<Tool> {
    if let Some(sdk) = std::env::var_os("WASI_SDK_PATH").filter(|path| !path.is_empty()) {
        let program = Path::new(&sdk).join("bin/clang");
        return program.is_file().then(|| Tool::new("clang", program, "--version"));
    }
    // Debian's place for wasi-libc; clang looks there by itself.
    if !Path::new("/usr/include/wasm32-wasi/stdio.h").is_file() {
        return None;
    }
    let program = CLANGS.into_iter().filter_map(tool::find).find(|program| has_runtime(program))?;
    Some(Tool::new("clang", program, "--version"))
}

/// A clang without the runtime library for wasm compiles, and then fails to link.
fn has_runtime(clang: &Path) -> bool {
    let library = tool::output(clang, &[TARGET, "-print-libgcc-file-name"]);
    library.is_some_and(|library| Path::new(&library).is_file())
}

pub fn build(project: &Project) -> Outcome<String> {
    let tool = find()?;
    let files = project.files("c")?;
    if files.is_empty() {
        return Err(Failure::usage(format!("no C files in `{}`", project.folder.display())));
    }
    let mut command = tool.command(&project.folder);
    match tool.name {
        "clang" => command.args([TARGET, "-O2", "-Wl,--strip-all"]),
        _ => command.args(["cc", "-target", "wasm32-wasi", "-O2", "-s"]),
    };
    if project.manifest.reactor {
        command.arg("-mexec-model=reactor");
    }
    command.args(["-o", MODULE]).args(files.iter().filter_map(|file| file.file_name()));
    let name = if tool.name == "clang" { "clang" } else { "zig cc" };
    tool::run(command, name)?;
    Ok(name.to_owned())
}
