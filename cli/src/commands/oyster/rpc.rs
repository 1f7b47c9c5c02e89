//! The JSON-RPC of a chain, as far as storing code needs it.

use std::time::{Duration, Instant};

use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::failure::{Exit, Failure, Outcome};
use crate::gateway;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// The pause between two looks for a transaction.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) struct Rpc {
    client: Client,
    url: Url,
    runtime: Runtime,
}

impl Rpc {
    pub(super) fn open(url: Url) -> Outcome<Self> {
        let set_up = |cause: String| Failure::failed(format!("failed to set up HTTP: {cause}"));
        let client = gateway::client(&url).map_err(|error| set_up(gateway::chain(&error)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { client, url, runtime: runtime.map_err(|error| set_up(error.to_string()))? })
    }

    fn ask(&self, method: &str, parameters: Value) -> Outcome<Value> {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let body = self.runtime.block_on(self.post(&question))?;
        let unreadable = || Failure::failed(format!("the chain's answer to `{method}` is not understood"));
        let mut answer: Value = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        let told = answer["error"]["message"].as_str().map(str::to_owned);
        match told {
            Some(told) => Err(Failure::failed(format!("the chain refuses `{method}`: {told}"))),
            None => answer.get_mut("result").map(Value::take).ok_or_else(unreadable),
        }
    }

    async fn post(&self, question: &Value) -> Outcome<Vec<u8>> {
        let unreachable = |error: reqwest::Error| {
            Failure::new(Exit::Unreachable, format!("{} is not reachable: {}", self.url, gateway::chain(&error)))
        };
        let request = self.client.post(self.url.clone()).timeout(ANSWER_TIMEOUT).json(question);
        let mut response = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Failure::failed(format!("{} answers too much", self.url)));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Answers that are one number.
    pub(super) fn number(&self, method: &str, parameters: Value) -> Outcome<u128> {
        let answer = self.ask(method, parameters)?;
        let digits = answer.as_str().and_then(|text| text.strip_prefix("0x"));
        digits
            .and_then(|digits| u128::from_str_radix(digits, 16).ok())
            .ok_or_else(|| Failure::failed(format!("the chain's answer to `{method}` is no number")))
    }

    /// Twice what the chain asks for now: a block or two may pass until it is our turn, and what is left comes back.
    pub(super) fn gas_price(&self) -> Outcome<u128> {
        Ok(self.number("eth_gasPrice", json!([]))?.saturating_mul(2))
    }

    /// A quarter more than the chain says: what it says holds for this moment.
    pub(super) fn gas_for(&self, from: &str, to: &str, calldata: &[u8]) -> Outcome<u128> {
        let call = json!({ "from": from, "to": to, "data": hex(calldata) });
        let gas = self.number("eth_estimateGas", json!([call]))?;
        Ok(gas.saturating_add(gas / 4))
    }

    /// Sends with an account that the chain's node has unlocked; returns the hash.
    pub(super) fn send(&self, from: Option<&str>, to: &str, calldata: &[u8]) -> Outcome<[u8; 32]> {
        let from = match from {
            Some(from) => from.to_owned(),
            None => self.first_account()?,
        };
        let gas = format!("{:#x}", self.gas_for(&from, to, calldata)?);
        let call = json!({ "from": from, "to": to, "data": hex(calldata), "gas": gas });
        self.sent("eth_sendTransaction", json!([call]))
    }

    fn first_account(&self) -> Outcome<String> {
        let accounts = self.ask("eth_accounts", json!([]))?;
        accounts[0].as_str().map(str::to_owned).ok_or_else(|| {
            Failure::failed("the chain's node has no unlocked account").hint("pay with a key: `--key-file FILE`")
        })
    }

    pub(super) fn send_raw(&self, transaction: &[u8]) -> Outcome<[u8; 32]> {
        self.sent("eth_sendRawTransaction", json!([hex(transaction)]))
    }

    fn sent(&self, method: &str, parameters: Value) -> Outcome<[u8; 32]> {
        let answer = self.ask(method, parameters)?;
        answer
            .as_str()
            .and_then(bytes)
            .ok_or_else(|| Failure::failed("the chain does not say which transaction it took"))
    }

    /// Returns when the transaction is in a block.
    pub(super) fn wait_for(&self, transaction: &[u8; 32], limit: Duration) -> Outcome {
        let began = Instant::now();
        loop {
            let receipt = self.ask("eth_getTransactionReceipt", json!([hex(transaction)]))?;
            match receipt["status"].as_str() {
                Some("0x1") => return Ok(()),
                Some(_) => return Err(Failure::failed(format!("the transaction {} failed", hex(transaction)))),
                None if began.elapsed() >= limit => {
                    let message = format!("the transaction {} is in no block yet", hex(transaction));
                    return Err(Failure::failed(message).hint("it may still come: `--wait` gives it longer"));
                }
                None => std::thread::sleep(PAUSE),
            }
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Exactly `N` bytes behind `0x`.
pub(super) fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Reads the hash of a transaction.
pub(super) fn hash(text: &str) -> Result<[u8; 32], String> {
    bytes(text).ok_or_else(|| format!("`{text}` is no hash of a transaction: write `0x` and 64 hexadecimal digits"))
}
