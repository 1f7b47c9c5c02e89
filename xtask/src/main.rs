//! Everything a developer does to this tree: set up, start, test, check, build for release.
//!
//! Nothing here is part of Orama: no other crate may depend on it.

mod chain;
mod command;
mod dist;
mod guests;
mod isolation;
mod lint;
mod places;
mod readme;
mod server;
mod setup;
mod suites;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use places::Places;
use setup::Scope;

/// Set up, start, test and check Orama
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what is missing: packages, targets, toolchains, dependencies
    Setup,
    /// Start Orama on 127.0.0.1:6001 with the examples deployed
    Up {
        /// Use a free port and a temporary folder, and exit after the calls
        #[arg(long)]
        check: bool,
    },
    /// Run all tests, without the network
    Test {
        /// Only suites whose name contains one of these
        suites: Vec<String>,
    },
    /// What CI runs: formatting, lints, licences, the examples, the README, the tests
    Ci,
    /// Build the guest programs that the tests run
    Guests,
    /// Build `dist/orama` with the release profile
    Dist,
    /// Run the command blocks of README.md
    Readme,
    /// The tests, inside their network namespace
    #[command(name = "__suites", hide = true)]
    Suites { suites: Vec<String> },
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    let places = Places::find()?;
    match verb {
        Verb::Setup => setup::run(&places, Scope::Everything),
        Verb::Up { check } => up::run_up(&places, check),
        Verb::Test { suites } => test(&places, &suites),
        Verb::Ci => ci(&places),
        Verb::Guests => guests::build(&places),
        Verb::Dist => dist::run_dist(&places),
        Verb::Readme => readme::run_readme(&places),
        Verb::Suites { suites } => suites::run_suites(&places, &suites),
    }
}

fn test(places: &Places, suites: &[String]) -> Result<()> {
    setup::run(places, Scope::Run)?;
    guests::build(places)?;
    isolation::run_isolated(places, "__suites", suites)
}

/// The tests come last, because their last line is the verdict.
fn ci(places: &Places) -> Result<()> {
    setup::run(places, Scope::Everything)?;
    lint::fmt(places)?;
    lint::clippy(places)?;
    lint::deny(places)?;
    guests::build(places)?;
    up::run_up(places, true)?;
    readme::run_readme(places)?;
    isolation::run_isolated(places, "__suites", &[])
}
