//! Checks that run nothing: format, lints, licences of what we depend on.

use anyhow::Result;

use crate::command::{cargo, command, run};
use crate::places::Places;

pub fn fmt(places: &Places) -> Result<()> {
    eprintln!("ci: cargo fmt --check");
    run(cargo(places).args(["fmt", "--all", "--check"]))
}

pub fn clippy(places: &Places) -> Result<()> {
    eprintln!("ci: cargo clippy");
    let arguments =
        ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--profile", "fast", "--", "-D", "warnings"];
    run(cargo(places).args(arguments))
}

/// Advisories need a database that this check does not fetch.
pub fn deny(places: &Places) -> Result<()> {
    eprintln!("ci: cargo deny check bans licenses sources (advisories were not checked)");
    let mut deny = command(places, places.cargo_deny(), &places.root);
    run(deny.args([
        "--offline",
        "--workspace",
        "--all-features",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}
