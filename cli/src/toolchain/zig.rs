//! Zig: the program itself, or the Python package that brings it.

use super::Missing;
use super::tool::{self, Tool};
use crate::failure::{Failure, Outcome};
use crate::project::{MODULE, Project};

const INSTALL: &str = "run `pip install ziglang`, or install Zig from https://ziglang.org/download";
/// The files that may be the root of a function, in this order.
const ROOTS: [&str; 2] = ["function.zig", "main.zig"];

pub fn find() -> Result<Tool, Missing> {
    if let Some(program) = tool::find("zig") {
        return Ok(Tool::new("zig", program, "version"));
    }
    let pythons = tool::find_all("python3").into_iter();
    let mut zigs = pythons.map(|python| Tool::new("zig", python, "version").leading(["-m", "ziglang"]));
    zigs.find(|zig| zig.version().is_some())
        .ok_or_else(|| Missing::new("no Zig toolchain found: neither `zig` nor the Python package `ziglang`", INSTALL))
}

pub fn build(project: &Project) -> Outcome<String> {
    let zig = find()?;
    let mut command = zig.command(&project.folder);
    command.args(["build-exe", &root(project)?, "-target", "wasm32-wasi", "-O", "ReleaseSmall"]);
    command.arg(format!("-femit-bin={MODULE}"));
    if project.manifest.reactor {
        command.args(["-mexec-model=reactor", "-rdynamic"]);
    }
    tool::run(command, "zig build-exe")?;
    Ok("zig".to_owned())
}

fn root(project: &Project) -> Outcome<String> {
    if project.folder.join("build.zig").is_file() {
        return Err(Failure::usage("this folder has a `build.zig`").hint(
            "name its commands in `function.yaml`: `build: [zig build, cp zig-out/bin/NAME.wasm function.wasm]`",
        ));
    }
    let files = project.files("zig")?;
    let names: Vec<&str> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    match names.as_slice() {
        [one] => Ok((*one).to_owned()),
        names => ROOTS.into_iter().find(|root| names.contains(root)).map(str::to_owned).ok_or_else(|| {
            Failure::usage(format!("no `function.zig` in `{}`", project.folder.display()))
                .hint("name the file that holds `_start` or `main` `function.zig`")
        }),
    }
}
