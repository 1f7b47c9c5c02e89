//! Runs the tests without the network: in a network namespace of their own, with nothing but loopback.
//!
//! That proves that no test needs the outside, and keeps every test's server and load on this machine.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{command, output, run};
use crate::places::Places;

/// Runs this program again, with `verb`, in the namespace.
pub fn run_isolated(places: &Places, verb: &str, arguments: &[String]) -> Result<()> {
    let program = env::current_exe().context("find this program")?;
    let mut inner = match unshare(places) {
        Some(mut unshare) => {
            unshare.args(["--", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]).arg(program);
            unshare
        }
        None => {
            eprintln!("tests: this machine grants no network namespace, so they run with the network");
            command(places, program, &places.root)
        }
    };
    run(inner.arg(verb).args(arguments).env("CARGO_MANIFEST_DIR", places.root.join("xtask")))
}

/// `unshare` as this user may use it.
fn unshare(places: &Places) -> Option<Command> {
    let flags = if rustix::process::geteuid().is_root() { "-n" } else { "-rn" };
    let unshare = || {
        let mut unshare = command(places, "unshare", &places.root);
        unshare.arg(flags);
        unshare
    };
    output(unshare().args(["--", "ip", "link", "set", "lo", "up"]))?;
    Some(unshare())
}
