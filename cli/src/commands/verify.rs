mod exchange;
mod receipts;

use std::fs;
use std::path::{Path, PathBuf};

use domain::{Cid, PublishedKeys, Receipt};
use serde_json::json;

use super::receipts::read_all;
use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::table::Table;
use crate::{printable, screen};

use exchange::Exchange;

/// Check a saved reply or receipts, without any server
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  curl -si http://LABEL.localhost:6001/ -d '{\"num\": 60000}' -o reply.txt
  orama verify reply.txt --method POST --url http://LABEL.localhost:6001/ --data '{\"num\": 60000}' --address 0x…
  orama receipts keys > keys.json
  orama verify reply.txt --request request.txt --keys keys.json --receipts receipts.jsonl
  orama verify --receipts receipts.jsonl --keys keys.json

Exit codes: 0 everything that was asked for is true, 1 something is not, 2 a file or an option cannot be used")]
pub struct Args {
    /// File with the reply, head and body, as `curl -i` writes it
    #[arg(value_name = "REPLY", required_unless_present = "receipts")]
    reply: Option<PathBuf>,
    /// File with the request, head and body, as it was sent
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "url", "data", "data_file"])]
    request: Option<PathBuf>,
    /// Method of the request [default: GET, or POST with data]
    #[arg(long)]
    method: Option<String>,
    /// Address of the request
    #[arg(long)]
    url: Option<String>,
    /// Value of the `Host` header, where it is not that of the address
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Body of the request
    #[arg(long, conflicts_with = "data_file")]
    data: Option<String>,
    /// File with the body of the request
    #[arg(long, value_name = "FILE")]
    data_file: Option<PathBuf>,
    /// The node's public keys, as `/.well-known/orama-keys.json` has them
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Address of Ethereum that must have signed the reply
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Receipts, as `orama receipts` prints them
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
    /// The code that must have run: a file
    #[arg(long, value_name = "FILE", conflicts_with = "cid")]
    code: Option<PathBuf>,
    /// The code that must have run: its identifier
    #[arg(long)]
    cid: Option<String>,
}

/// What was found to be true, for people and for scripts.
#[derive(Default)]
struct Findings {
    rows: Vec<(&'static str, String)>,
}

impl Findings {
    fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.rows.push((name, value.into()));
    }

    fn show(&self, shared: &Shared) {
        if shared.json {
            let fields = self.rows.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
            let mut document: serde_json::Map<_, _> = fields.collect();
            document.insert("verified".to_owned(), json!(true));
            return screen::json(&document);
        }
        let mut table = Table::plain();
        self.rows.iter().for_each(|(name, value)| table.row([(*name).to_owned(), printable::line(value).to_string()]));
        screen::data(table.render().as_bytes());
        screen::line("verified");
    }
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let keys = args.keys.as_deref().map(read_keys).transpose()?;
    let receipts = args.receipts.as_deref().map(read_receipts).transpose()?;
    let mut findings = Findings::default();
    if let Some(receipts) = &receipts {
        let keys = keys.as_ref().ok_or_else(|| {
            Failure::usage("receipts are checked with the keys of the node").hint("add `--keys FILE`")
        })?;
        receipts::check(receipts, keys)?;
        findings.add("receipts", receipts::summary(receipts));
    }
    let wanted = wanted_code(args)?;
    match &args.reply {
        None => receipts.iter().flatten().try_for_each(|receipt| receipts::check_code(receipt, wanted.as_ref()))?,
        Some(reply) => {
            let (reply, request) = (read(reply)?, Request::of(args)?);
            let exchange = Exchange::read(reply.as_slice(), &request)?;
            exchange.check_signer(args.address.as_deref(), keys.as_ref(), &mut findings)?;
            let receipt = receipts.as_deref().map(|receipts| exchange.receipt_in(receipts)).transpose()?;
            match (receipt, &wanted) {
                (Some(receipt), wanted) => receipts::check_code(receipt, wanted.as_ref())?,
                (None, Some(_)) => {
                    let hint = "add `--receipts FILE`: only a receipt says which code ran";
                    return Err(Failure::usage("the code cannot be checked without a receipt").hint(hint));
                }
                (None, None) => {}
            }
            receipt.iter().for_each(|receipt| describe(receipt, &mut findings));
        }
    }
    findings.show(shared);
    Ok(())
}

fn describe(receipt: &Receipt, findings: &mut Findings) {
    let (facts, link) = (&receipt.facts, &receipt.link);
    findings.add("receipt", facts.request_id.as_str());
    findings.add("function", format!("{}/{}@{}", facts.namespace, facts.function, facts.version));
    findings.add("code", facts.code.to_string());
    findings.add("sequence", link.sequence.to_string());
}

/// The request as its options say it.
struct Request {
    file: Option<Vec<u8>>,
    method: Option<String>,
    url: Option<String>,
    host: Option<String>,
    body: Option<Vec<u8>>,
}

impl Request {
    fn of(args: &Args) -> Outcome<Self> {
        let given = args.data.clone().map(String::into_bytes);
        let body = match given {
            Some(data) => Some(data),
            None => args.data_file.as_deref().map(read).transpose()?,
        };
        let file = args.request.as_deref().map(read).transpose()?;
        if file.is_none() && args.url.is_none() {
            return Err(Failure::usage("the request is missing").hint("add `--request FILE`, or `--url` and `--data`"));
        }
        Ok(Self { file, method: args.method.clone(), url: args.url.clone(), host: args.host.clone(), body })
    }
}

fn wanted_code(args: &Args) -> Outcome<Option<Cid>> {
    let parsed =
        args.cid.as_deref().map(|text| Cid::parse(text).map_err(|invalid| Failure::usage(invalid.to_string())));
    match (parsed.transpose()?, &args.code) {
        (Some(cid), _) => Ok(Some(cid)),
        (None, Some(file)) => Ok(Some(Cid::of(&read(file)?))),
        (None, None) => Ok(None),
    }
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| Failure::usage(format!("failed to read `{}`: {error}", path.display())))
}

fn read_keys(path: &Path) -> Outcome<PublishedKeys> {
    serde_json::from_slice(&read(path)?).map_err(|error| {
        Failure::usage(format!("`{}` holds no keys of a node: {error}", path.display()))
            .hint("save them with `orama receipts keys > FILE`")
    })
}

fn read_receipts(path: &Path) -> Outcome<Vec<Receipt>> {
    let receipts = read_all(&read(path)?);
    let receipts = receipts.map_err(|wrong| Failure::usage(format!("`{}`: {wrong}", path.display())))?;
    match receipts.is_empty() {
        true => Err(Failure::usage(format!("`{}` holds no receipt", path.display()))),
        false => Ok(receipts),
    }
}

#[cfg(test)]
mod tests;
