//! The command line: one enum of verbs; the arguments of each verb stand in its own file.

use clap::{Parser, Subcommand};

use crate::commands;
use crate::connection::ConnectionFlags;

const EXAMPLES: &str = "\
Examples:
  orama serve                                   # start a server on 127.0.0.1:6001
  orama function init hello && cd hello         # make a function
  orama function deploy                         # build and deploy it
  orama function invoke hello --data '{\"name\": \"World\"}'
  orama function logs hello -f                  # follow its log

Exit codes: 0 ok, 1 the call failed, 2 wrong usage, 3 gateway not reachable, 4 not allowed";

/// A private serverless cloud in one program
#[derive(Debug, Parser)]
#[command(name = "orama", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
    #[command(flatten)]
    pub shared: Shared,
}

/// The options that every verb takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Shared {
    /// Print one JSON document, or one a line when there are several
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make, deploy, call and look after functions
    #[command(subcommand)]
    Function(FunctionVerb),
    Serve(commands::serve::Args),
    Login(commands::login::Args),
    Logout(commands::logout::Args),
    Whoami(commands::whoami::Args),
    /// Who may do what: API keys, claims of wallets, signing keys
    #[command(subcommand)]
    Auth(AuthVerb),
    /// Tenants of a node: their owners, limits and policy
    #[command(subcommand)]
    Namespace(commands::namespace::Verb),
    Audit(commands::audit::Args),
    /// The same as `orama function triggers`
    #[command(subcommand)]
    Triggers(commands::triggers::Verb),
    /// The SQL database of a namespace
    #[command(subcommand)]
    Db(commands::db::Verb),
    /// The cache of a namespace: maps of keys and values
    #[command(subcommand)]
    Cache(commands::cache::Verb),
    /// The topics of a namespace: messages to everybody who listens
    #[command(subcommand)]
    Pubsub(commands::pubsub::Verb),
    /// Push messages: providers, devices, sending
    #[command(subcommand)]
    Push(commands::push::Verb),
    Notify(commands::notify::Args),
    /// The stored content of a namespace
    #[command(subcommand)]
    Storage(commands::storage::Verb),
    /// Domains of yours that lead to functions
    #[command(subcommand)]
    Domains(commands::domains::Verb),
    /// Wallets whose key is in a file
    #[command(subcommand)]
    Wallet(commands::wallet::Verb),
    /// The certificates of the node
    #[command(subcommand)]
    Certificates(commands::certificates::Verb),
    /// Receipts of signed replies
    #[command(subcommand)]
    Receipts(commands::receipts::Verb),
    Verify(commands::verify::Args),
    /// Code on a chain
    #[command(subcommand)]
    Oyster(commands::oyster::Verb),
    /// The configuration of a server
    #[command(subcommand)]
    Config(ConfigVerb),
    Doctor(commands::doctor::Args),
    Fsck(commands::fsck::Args),
    Backup(commands::backup::Args),
    Restore(commands::restore::Args),
    Completions(commands::completions::Args),
    Version(commands::version::Args),
    #[command(name = "__docs", hide = true)]
    Docs(commands::docs::Args),
}

#[derive(Debug, Subcommand)]
pub enum FunctionVerb {
    Init(commands::init::Args),
    Build(commands::build::Args),
    Run(commands::run::Args),
    Deploy(commands::deploy::Args),
    Invoke(commands::invoke::Args),
    List(commands::list::Args),
    Get(commands::get::Args),
    Delete(commands::delete::Args),
    Logs(commands::logs::Args),
    Versions(commands::versions::Args),
    Rollback(commands::rollback::Args),
    Enable(commands::enable::Args),
    Disable(commands::disable::Args),
    /// The secrets that functions of a namespace read
    #[command(subcommand)]
    Secrets(commands::secrets::Verb),
    /// What calls functions besides people: messages, schedules, changes of tables
    #[command(subcommand)]
    Triggers(commands::triggers::Verb),
    /// Calls in the background, or at a time
    #[command(subcommand)]
    Jobs(commands::jobs::Verb),
}

#[derive(Debug, Subcommand)]
pub enum AuthVerb {
    /// The API keys of a namespace
    #[command(subcommand)]
    Keys(commands::keys::Verb),
    /// What the tokens of a wallet say about it
    #[command(subcommand)]
    Claims(commands::claims::Verb),
    RotateSigningKey(commands::rotate_signing_key::Args),
    RotateReceiptKey(commands::rotate_receipt_key::Args),
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    Show(commands::config_show::Args),
}

/// Reads `name` or `name@N`.
pub fn function_ref(text: &str) -> Result<domain::FunctionRef, String> {
    domain::FunctionRef::parse(text).map_err(|refused| refused.to_string())
}

/// Reads a name without a version.
pub fn function_name(text: &str) -> Result<domain::FunctionName, String> {
    domain::FunctionName::parse(text).map_err(|refused| refused.to_string())
}

/// The help of an option that names scopes, those that allow most last.
pub fn scopes_help() -> String {
    let mut names = domain::Scope::ALL.map(domain::Scope::as_str);
    names.reverse();
    format!("What it may do: {}; one or more", names.join(", "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_every_verb_may_stand_behind_it() {
        let cli = Cli::try_parse_from(["orama", "function", "list", "--json", "--namespace", "team"]).expect("parses");
        assert!(cli.shared.json);
        assert_eq!(cli.shared.connection.namespace.as_deref(), Some("team"));
    }

    #[test]
    fn names_are_checked_before_anything_is_sent() {
        for name in ["a/b", "..", "a@b", "a@0", "-x", "secrets", &"a".repeat(300)] {
            assert!(Cli::try_parse_from(["orama", "function", "invoke", "--", name]).is_err(), "{name} is refused");
        }
        assert!(Cli::try_parse_from(["orama", "function", "invoke", "hello@2"]).is_ok());
    }
}
