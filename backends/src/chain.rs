//! Transactions of an Ethereum-like chain, asked for by JSON-RPC over HTTP (`eth_getTransactionByHash`).
//!
//! The node that answers is the operator's choice, and may be anywhere, private addresses included. It is trusted for what a
//! transaction says, and for nothing else: an answer has a size, a time, and must be about the transaction that was asked for.

mod answer;

use std::time::Duration;

use async_trait::async_trait;
use ports::{BoxError, ChainTransaction, CodeSource, CodeSourceError};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::json;

/// The time for a connection, and for an answer all in all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// What an answer may have besides the calldata, in bytes.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;

/// A chain behind a JSON-RPC address.
#[derive(Debug, Clone)]
pub struct JsonRpcChain {
    client: Client,
    rpc: Url,
}

/// Opens nothing yet: the chain is asked when somebody wants a transaction.
pub fn open(rpc: Url) -> Result<JsonRpcChain, BoxError> {
    open_with(rpc, ANSWER_TIMEOUT)
}

/// The same with another limit on the time of an answer.
pub fn open_with(rpc: Url, timeout: Duration) -> Result<JsonRpcChain, BoxError> {
    let client = Client::builder()
        .tls_backend_preconfigured(crate::egress::client_tls(&[])?)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .build()?;
    Ok(JsonRpcChain { client, rpc })
}

#[async_trait]
impl CodeSource for JsonRpcChain {
    async fn transaction(&self, hash: &[u8; 32], input_bytes_max: usize) -> Result<ChainTransaction, CodeSourceError> {
        let named = answer::hex(hash);
        let question =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionByHash", "params": [named.clone()] });
        let sent = self.client.post(self.rpc.clone()).json(&question).send().await;
        let response = sent.map_err(unavailable)?;
        if response.status() != StatusCode::OK {
            return Err(unavailable(format!("the node answered {}", response.status())));
        }
        // Calldata is written in hexadecimal.
        let body = read(response, 2 * input_bytes_max + ENVELOPE_BYTES_MAX, input_bytes_max).await?;
        answer::transaction(&body, &named, input_bytes_max)
    }
}

async fn read(mut response: Response, bytes_max: usize, limit: usize) -> Result<Vec<u8>, CodeSourceError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unavailable)? {
        if piece.len() > bytes_max - body.len() {
            return Err(CodeSourceError::TooLarge { limit });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn unavailable(cause: impl Into<BoxError>) -> CodeSourceError {
    CodeSourceError::Unavailable(cause.into())
}
