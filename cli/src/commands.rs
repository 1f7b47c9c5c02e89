//! The verbs, one file each.

pub mod build;
pub mod completions;
pub mod config_show;
pub mod delete;
pub mod deploy;
pub mod disable;
pub mod docs;
pub mod doctor;
pub mod enable;
pub mod fsck;
pub mod get;
pub mod init;
pub mod invoke;
pub mod list;
pub mod login;
pub mod logs;
pub mod rollback;
pub mod run;
pub mod serve;
pub mod version;
pub mod versions;
pub mod whoami;

use crate::args::{Cli, ConfigVerb, FunctionVerb, Shared, Verb};
use crate::connection::Connection;
use crate::failure::Outcome;
use crate::gateway::Gateway;

pub fn run(cli: Cli) -> Outcome {
    let shared = &cli.shared;
    match cli.verb {
        Verb::Function(verb) => run_function(verb, shared),
        Verb::Serve(args) => serve::run(&args),
        Verb::Login(args) => login::run(&args, shared),
        Verb::Whoami(args) => whoami::run(&args, shared),
        Verb::Config(ConfigVerb::Show(args)) => config_show::run(&args, shared),
        Verb::Doctor(args) => doctor::run(&args, shared),
        Verb::Fsck(args) => fsck::run(&args, shared),
        Verb::Completions(args) => completions::run(&args),
        Verb::Version(args) => version::run(&args, shared),
        Verb::Docs(args) => docs::run(&args),
    }
}

fn run_function(verb: FunctionVerb, shared: &Shared) -> Outcome {
    match verb {
        FunctionVerb::Init(args) => init::run(&args, shared),
        FunctionVerb::Build(args) => build::run(&args, shared),
        FunctionVerb::Run(args) => run::run(&args, shared),
        FunctionVerb::Deploy(args) => deploy::run(&args, shared),
        FunctionVerb::Invoke(args) => invoke::run(&args, shared),
        FunctionVerb::List(args) => list::run(&args, shared),
        FunctionVerb::Get(args) => get::run(&args, shared),
        FunctionVerb::Delete(args) => delete::run(&args, shared),
        FunctionVerb::Logs(args) => logs::run(&args, shared),
        FunctionVerb::Versions(args) => versions::run(&args, shared),
        FunctionVerb::Rollback(args) => rollback::run(&args, shared),
        FunctionVerb::Enable(args) => enable::run(&args, shared),
        FunctionVerb::Disable(args) => disable::run(&args, shared),
    }
}

/// The gateway that the options name.
fn connect(shared: &Shared) -> Outcome<Gateway> {
    Gateway::connect(Connection::of(&shared.connection)?)
}
