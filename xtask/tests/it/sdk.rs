//! What authors of functions and clients import: its own tests, and that it builds for where it runs.

use std::path::PathBuf;
use std::process::Command;

use crate::tree;

#[track_caller]
fn run(program: &str, folder: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(tree::root().join(folder)).envs(variables.iter().copied());
    let output = command.output().unwrap_or_else(|error| panic!("`{program}` does not start: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
}

#[test]
fn go() {
    let here = [("GOTOOLCHAIN", "local"), ("GOFLAGS", ""), ("GOWORK", "off")];
    run("go", "sdk/go", &["vet", "./..."], &here);
    run("go", "sdk/go", &["test", "./..."], &here);
    let guest = [&here[..], &[("GOOS", "wasip1"), ("GOARCH", "wasm")]].concat();
    run("go", "sdk/go", &["vet", "./..."], &guest);
}

#[test]
fn rust() {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree::root().join("target"), PathBuf::from);
    let build = target.join("sdk");
    let build = build.to_str().expect("the folder has a name in UTF-8");
    let folder = [("CARGO_TARGET_DIR", build)];
    run("cargo", "sdk/rust", &["test", "--offline", "--locked", "--quiet"], &folder);
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-wasip1"]).output();
    let libraries = String::from_utf8(libraries.expect("there is a compiler").stdout).expect("a path");
    // Where the target could not be added, the examples in Rust are left out, too.
    if PathBuf::from(libraries.trim()).is_dir() {
        run("cargo", "sdk/rust", &["check", "--offline", "--locked", "--quiet", "--target", "wasm32-wasip1"], &folder);
    }
}

#[test]
fn javascript() {
    run("node", "sdk/js", &["--test"], &[]);
}

#[test]
fn assemblyscript() {
    let out = tempfile::tempdir().expect("a folder");
    let module = out.path().join("module.wasm");
    let asc = tree::root().join("tools/node_modules/assemblyscript/bin/asc.js");
    let arguments = [asc.as_os_str(), "assembly/index.ts".as_ref(), "-o".as_ref(), module.as_os_str()];
    let arguments: Vec<&str> = arguments.iter().map(|argument| argument.to_str().expect("UTF-8")).collect();
    run("node", "sdk/js", &arguments, &[]);
    assert!(module.is_file());
}
