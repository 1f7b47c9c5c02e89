//! The verbs: one file each, or one file for the verbs of a group.

use std::io::Read;

pub mod audit;
pub mod backup;
pub mod build;
pub mod cache;
pub mod certificates;
pub mod claims;
pub mod completions;
pub mod config_show;
pub mod db;
pub mod delete;
pub mod deploy;
pub mod disable;
pub mod docs;
pub mod doctor;
pub mod domains;
pub mod enable;
pub mod fsck;
pub mod get;
pub mod init;
pub mod invoke;
pub mod jobs;
pub mod keys;
pub mod list;
pub mod login;
pub mod logout;
pub mod logs;
pub mod namespace;
pub mod notify;
pub mod owners;
pub mod oyster;
pub mod pubsub;
pub mod push;
pub mod receipts;
pub mod restore;
pub mod rollback;
pub mod rotate_receipt_key;
pub mod rotate_signing_key;
pub mod run;
pub mod secrets;
pub mod serve;
pub mod storage;
pub mod triggers;
pub mod verify;
pub mod version;
pub mod versions;
pub mod wallet;
pub mod whoami;

use crate::args::{AuthVerb, Cli, ConfigVerb, FunctionVerb, Shared, Verb};
use crate::connection::Connection;
use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::screen;

pub fn run(cli: Cli) -> Outcome {
    let shared = &cli.shared;
    match cli.verb {
        Verb::Function(verb) => run_function(verb, shared),
        Verb::Serve(args) => serve::run(&args),
        Verb::Login(args) => login::run(&args, shared),
        Verb::Logout(args) => logout::run(&args, shared),
        Verb::Whoami(args) => whoami::run(&args, shared),
        Verb::Auth(AuthVerb::Keys(verb)) => keys::run(&verb, shared),
        Verb::Auth(AuthVerb::Claims(verb)) => claims::run(&verb, shared),
        Verb::Auth(AuthVerb::RotateSigningKey(args)) => rotate_signing_key::run(&args, shared),
        Verb::Auth(AuthVerb::RotateReceiptKey(args)) => rotate_receipt_key::run(&args, shared),
        Verb::Namespace(verb) => namespace::run(&verb, shared),
        Verb::Audit(args) => audit::run(&args, shared),
        Verb::Triggers(verb) => triggers::run(&verb, shared),
        Verb::Db(verb) => db::run(&verb, shared),
        Verb::Cache(verb) => cache::run(&verb, shared),
        Verb::Pubsub(verb) => pubsub::run(&verb, shared),
        Verb::Push(verb) => push::run(&verb, shared),
        Verb::Notify(args) => notify::run(&args, shared),
        Verb::Storage(verb) => storage::run(&verb, shared),
        Verb::Domains(verb) => domains::run(&verb, shared),
        Verb::Wallet(verb) => wallet::run(&verb, shared),
        Verb::Certificates(verb) => certificates::run(&verb, shared),
        Verb::Receipts(verb) => receipts::run(&verb, shared),
        Verb::Verify(args) => verify::run(&args, shared),
        Verb::Oyster(verb) => oyster::run(&verb, shared),
        Verb::Config(ConfigVerb::Show(args)) => config_show::run(&args, shared),
        Verb::Doctor(args) => doctor::run(&args, shared),
        Verb::Fsck(args) => fsck::run(&args, shared),
        Verb::Backup(args) => backup::run(&args, shared),
        Verb::Restore(args) => restore::run(&args, shared),
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
        FunctionVerb::Secrets(verb) => secrets::run(&verb, shared),
        FunctionVerb::Triggers(verb) => triggers::run(&verb, shared),
        FunctionVerb::Jobs(verb) => jobs::run(&verb, shared),
    }
}

/// The gateway that the options name.
fn connect(shared: &Shared) -> Outcome<Gateway> {
    Gateway::connect(Connection::of(&shared.connection)?)
}

/// Asks before something is deleted, unless it was forced.
fn confirm_deletion(forced: bool, what: &str) -> Outcome {
    match forced || screen::confirmed(&format!("Are you sure you want to delete {what}?")) {
        true => Ok(()),
        false => Err(Failure::failed("nothing was deleted").hint("answer `y`, or use `--force`")),
    }
}

fn read_stdin() -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.map_err(|error| Failure::failed(format!("failed to read stdin: {error}")))?;
    Ok(bytes)
}

fn read_stdin_text() -> Outcome<String> {
    String::from_utf8(read_stdin()?).map_err(|_| Failure::usage("stdin is not UTF-8"))
}
