//! The program `orama`: its verbs, its configuration, and the only place that wires the crates together.
//!
//! A verb is a file in `commands/`. What a verb needs from a server goes through [`gateway`], what it needs from this
//! node through [`node`]. Nothing below this crate prints.

pub mod args;
pub mod commands;
pub mod config;
pub mod connection;
pub mod credentials;
pub mod download;
pub mod failure;
pub mod gateway;
pub mod node;
pub mod printable;
pub mod project;
pub mod reference;
#[doc(hidden)]
pub mod saved;
pub mod screen;
pub mod table;
pub mod toolchain;
pub mod units;
pub mod wallet;
pub mod wire;
pub mod worker;

/// Replays what fuzzing has found.
#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

use std::process::ExitCode;

use clap::Parser;

pub use credentials::store_credential;
pub use reference::cli_reference;

/// What the program is given as its first argument when it starts itself as a helper process.
pub const HELPER_ARGUMENT: &str = "__helper";

/// Reads the arguments, runs the verb, and turns its failure into a message and an exit code.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == HELPER_ARGUMENT) {
        return node::helper();
    }
    let args = match args::Cli::try_parse() {
        Ok(args) => args,
        Err(refused) => return usage(&refused),
    };
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen::failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// `--help` and `--version` are answers; anything else is wrong usage. A closed pipe is nobody's mistake.
fn usage(refused: &clap::Error) -> ExitCode {
    let _ = refused.print();
    if refused.use_stderr() { ExitCode::from(failure::Exit::Usage.code()) } else { ExitCode::SUCCESS }
}
