//! Code from a chain by its host name: what runs, and what is read of everything that does not.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::oyster::{calldata_of_code, label_of_hash};
use gateway::GatewayConfig;
use platform::ChainConfig;
use ports::{ChainTransaction, CodeSource, CodeSourceError};
use serde_json::Value;

use crate::server::{BASE, Server};
use crate::support::mirror::MIRROR;

const CONTRACT: &str = "0x44fe06d2940b8782a0a9a9ffd09c65852c0156b1";
const OTHER: &str = "0x00000000000000000000000000000000000000ff";

/// Every transaction that can be wrong, under a hash of its own.
struct Chain;

/// A hash that says what its transaction is.
fn hash(number: u8) -> [u8; 32] {
    [number; 32]
}

#[async_trait]
impl CodeSource for Chain {
    async fn transaction(&self, hash: &[u8; 32], input_bytes_max: usize) -> Result<ChainTransaction, CodeSourceError> {
        let to = |to: &str, input: &[u8]| {
            Ok(ChainTransaction { to: Some(to.to_owned()), input: Bytes::copy_from_slice(input) })
        };
        let code = calldata_of_code(MIRROR);
        match hash[0] {
            1 => to(CONTRACT, &code),
            2 => to(&CONTRACT.to_ascii_uppercase().replace("0X", "0x"), &code),
            3 => to(OTHER, &code),
            4 => Ok(ChainTransaction { to: None, input: code.into() }),
            5 => to(CONTRACT, b"abc"),
            6 => to(CONTRACT, &[&[0xde, 0xad, 0xbe, 0xef], &code[4..]].concat()),
            7 => to(CONTRACT, &code[..40]),
            8 => Err(CodeSourceError::TooLarge { limit: input_bytes_max }),
            9 => Err(CodeSourceError::OtherTransaction),
            10 => Err(CodeSourceError::Unavailable("connection refused on 10.1.2.3".into())),
            11 => Err(CodeSourceError::Malformed("calldata is not a valid hex string")),
            _ => Err(CodeSourceError::NotFound),
        }
    }
}

async fn server() -> Server {
    let chain = ChainConfig { source: Arc::new(Chain), contract: CONTRACT.to_owned() };
    Server::start_on(GatewayConfig::default(), Some(chain)).await
}

fn host(number: u8) -> String {
    format!("{}.{BASE}", label_of_hash(&hash(number)))
}

#[tokio::test]
async fn code_of_a_transaction_answers_and_signs() {
    let server = server().await;
    for number in [1, 2] {
        let reply = server.post(&host(number), "/any", "", b"mine").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "mine"));
        assert_eq!((reply.header("x-oyster-signature").len(), reply.header("x-oyster-timestamp").len()), (130, 10));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_transaction_is_said() {
    let server = server().await;
    let contract = format!("to address {OTHER} does not match expected {CONTRACT}");
    for (number, cause) in [
        (3, contract.as_str()),
        (4, "to field of transaction is not an address"),
        (5, "the calldata is 3 bytes, too short for a selector"),
        (6, "the calldata calls another function: its selector is deadbeef"),
        (7, "the calldata is cut short"),
        (8, "the code is larger than 1048576 bytes"),
        // What a node of the chain said, or where it is, is for the log.
        (9, "failed to retrieve calldata"),
        (10, "failed to retrieve calldata"),
        (11, "calldata is not a valid hex string"),
        (12, "tx not found"),
    ] {
        let want = format!("failed to create code file\n\nCaused by:\n    {cause}");
        let reply = server.get(&host(number), "/", "").await;
        assert_eq!((reply.status, reply.text()), (400, want.clone()), "{number}");
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(reply.header("x-oyster-signature"), "", "{number}: only replies of code are signed");
        let reply = server.get(&host(number), "/", "accept: application/json\r\n").await;
        let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!((reply.status, document["error"]["message"].as_str()), (400, Some(want.as_str())), "{number}");
        assert_eq!(document["error"]["request_id"].as_str().map(str::len), Some(36), "{number}");
    }
}
