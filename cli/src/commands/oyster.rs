mod rpc;
mod transaction;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use domain::oyster::{calldata_of_code, label_of_hash};
use reqwest::Url;
use serde_json::json;

use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::screen;
use crate::table::Table;
use crate::wallet::{Chain, Wallet};

use rpc::Rpc;
use transaction::Transaction;

/// Larger code is taken from no chain by a node.
const CODE_BYTES_MAX: usize = 1 << 20;
/// The contract of the public network.
const CONTRACT: &str = "0x44fe06d2940b8782a0a9a9ffd09c65852c0156b1";

#[derive(Debug, Subcommand)]
pub enum Verb {
    Deploy(DeployArgs),
    Label(LabelArgs),
}

/// Store the code of a worker in a transaction, so that every node of the chain can run it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama oyster deploy factors.js --rpc http://127.0.0.1:8545        # with an account that the chain's node has unlocked
  orama oyster deploy factors.js --rpc URL --key-file wallet.key    # with a key in a file, made by `orama wallet new`")]
pub struct DeployArgs {
    /// The code: one JavaScript file
    file: PathBuf,
    /// JSON-RPC address of the chain
    #[arg(long, value_name = "URL", env = "ORAMA_CHAIN_RPC")]
    rpc: Url,
    /// Contract that the transaction goes to
    #[arg(long, value_name = "ADDRESS", default_value = CONTRACT, value_parser = address)]
    contract: String,
    /// Unlocked account that pays [default: the first that the chain's node has]
    #[arg(long, value_name = "ADDRESS", value_parser = address, conflicts_with = "key_file")]
    from: Option<String>,
    /// File with the key of the account that pays
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Where the code shall be called, for the line to copy
    #[arg(long, value_name = "HOST", default_value = "localhost:6001")]
    base: String,
    /// Time that the chain has for the transaction
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
}

/// Show the host label of a transaction
#[derive(Debug, clap::Args)]
pub struct LabelArgs {
    /// Hash of the transaction: `0x` and 64 hexadecimal digits
    #[arg(value_parser = rpc::hash)]
    hash: [u8; 32],
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::Deploy(args) => deploy(args, shared),
        Verb::Label(args) => {
            let label = label_of_hash(&args.hash);
            match shared.json {
                true => screen::json(&json!({ "label": label })),
                false => screen::line(&label),
            }
            Ok(())
        }
    }
}

fn deploy(args: &DeployArgs, shared: &Shared) -> Outcome {
    let calldata = calldata_of_code(&read_code(&args.file)?);
    let rpc = Rpc::open(args.rpc.clone())?;
    let sent = match &args.key_file {
        Some(file) => rpc.send_raw(&signed(&rpc, file, &args.contract, calldata)?)?,
        None => rpc.send(args.from.as_deref(), &args.contract, &calldata)?,
    };
    screen::talk(&format!("sent {}", rpc::hex(&sent)));
    rpc.wait_for(&sent, Duration::from_secs(args.wait))?;
    let label = label_of_hash(&sent);
    let call = format!("curl {label}.{} -d '{{}}'", args.base);
    if shared.json {
        screen::json(
            &json!({ "transaction": rpc::hex(&sent), "label": label, "host": format!("{label}.{}", args.base) }),
        );
        return Ok(());
    }
    let mut table = Table::plain();
    [("transaction", rpc::hex(&sent)), ("label", label), ("call", call)]
        .into_iter()
        .for_each(|(name, value)| table.row([name.to_owned(), value]));
    screen::data(table.render().as_bytes());
    Ok(())
}

fn signed(rpc: &Rpc, file: &Path, contract: &str, calldata: Vec<u8>) -> Outcome<Vec<u8>> {
    let wallet = Wallet::read(file, Some(Chain::Eth))?;
    let Wallet::Ethereum(key) = &wallet else {
        return Err(Failure::usage("the account that pays must be one of Ethereum"));
    };
    let from = wallet.address();
    let to = rpc::bytes::<20>(contract).ok_or_else(|| Failure::usage("the contract is no address"))?;
    let transaction = Transaction {
        chain_id: rpc.number("eth_chainId", json!([]))?,
        nonce: rpc.number("eth_getTransactionCount", json!([from, "pending"]))?,
        gas_price: rpc.gas_price()?,
        gas: rpc.gas_for(&from, contract, &calldata)?,
        to,
        data: calldata,
    };
    Ok(transaction.signed(key))
}

fn read_code(path: &Path) -> Outcome<Vec<u8>> {
    let code = std::fs::read(path).map_err(Failure::file("read", path))?;
    let trimmed = code.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match (trimmed, std::str::from_utf8(&code)) {
        (0, _) => Err(Failure::usage(format!("`{}` is empty", path.display()))),
        (length, _) if length > CODE_BYTES_MAX => Err(Failure::usage(format!(
            "`{}` is larger than {CODE_BYTES_MAX} bytes, which no node takes",
            path.display()
        ))),
        (_, Err(_)) => {
            Err(Failure::usage(format!("`{}` is not text: a worker is one JavaScript file", path.display())))
        }
        (_, Ok(_)) => Ok(code),
    }
}

/// Reads an address of Ethereum; a wrong checksum is a mistyped one.
fn address(text: &str) -> Result<String, String> {
    platform::checksummed_address(text).ok_or_else(|| format!("`{text}` is no address of Ethereum"))
}
