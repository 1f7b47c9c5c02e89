//! `orama wallet`: keys of wallets in files, for those who have none and for scripts.

use std::path::PathBuf;

use serde_json::json;

use crate::args::Shared;
use crate::failure::Outcome;
use crate::screen;
use crate::wallet::{Chain, Wallet};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    New(New),
    Address(Address),
    Sign(Sign),
}

/// Make the key of a wallet in a new file, readable by you alone, and print its address
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama wallet new --key-file wallet.key
  orama login --wallet --key-file wallet.key")]
pub struct New {
    /// File to make
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The chain of the wallet
    #[arg(long, default_value = "eth")]
    chain: Chain,
}

/// Print the address of a wallet
#[derive(Debug, clap::Args)]
pub struct Address {
    /// File with the key of the wallet
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
}

/// Sign a text and print the signature, in the form that `POST /v1/auth/verify` takes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama wallet sign --key-file wallet.key -- \"$NONCE\"
  printf %s \"$MESSAGE\" | orama wallet sign --key-file wallet.key -")]
pub struct Sign {
    /// File with the key of the wallet
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// What to sign, or - for stdin, byte for byte
    #[arg(value_name = "TEXT|-", allow_hyphen_values = true)]
    text: String,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let (key, value) = match verb {
        Verb::New(New { key_file, chain }) => {
            let wallet = Wallet::draw(*chain)?;
            wallet.write_new(key_file)?;
            screen::talk(&format!("the key is in {}; whoever has that file is the wallet", key_file.display()));
            ("wallet", wallet.address())
        }
        Verb::Address(Address { key_file }) => ("wallet", Wallet::read(key_file, None)?.address()),
        Verb::Sign(Sign { key_file, text }) => {
            let wallet = Wallet::read(key_file, None)?;
            let bytes = if text == "-" { super::read_stdin()? } else { text.clone().into_bytes() };
            ("signature", wallet.sign(&bytes))
        }
    };
    match shared.json {
        true => screen::json(&json!({ key: value })),
        false => screen::line(&value),
    }
    Ok(())
}
