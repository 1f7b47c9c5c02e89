//! A node signs in memory; the verb reads what it left behind in files.

use std::path::Path;

use clap::Parser;
use domain::oyster::SignedExchange;
use domain::{
    ContentDigest, FunctionName, KeyUse, Namespace, PublishedKey, ReceiptFacts, ReceiptLink, RequestId, Timestamp,
    VersionNumber, authority_text, split_target,
};
use ed25519_dalek::Signer as _;
use sha3::{Digest, Keccak256};

use super::*;
use crate::args::{Cli, Verb};
use crate::failure::Exit;

const HOST: &str = "Label.localhost:6001";
const TARGET: &str = "/a%20b?x";
const ASKED: &str = r#"{"num": 60000}"#;
const REPLY: &str = "2,2,2,2,2,3,5,5,5,5";
const TIME: u64 = 1_703_482_196;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn node() -> (k256::ecdsa::SigningKey, ed25519_dalek::SigningKey) {
    let oyster = k256::ecdsa::SigningKey::from_slice(&[1; 32]).expect("a key");
    (oyster, ed25519_dalek::SigningKey::from_bytes(&[2; 32]))
}

fn published() -> PublishedKeys {
    let (_, receipts) = node();
    let key = |kid: &str, purpose: KeyUse, public_key: String, address: Option<&str>| PublishedKey {
        kid: kid.to_owned(),
        purpose,
        algorithm: purpose.algorithm().to_owned(),
        public_key,
        ethereum_address: address.map(str::to_owned),
        not_before: Timestamp::from_second(TIME as i64 - 10).expect("a date"),
        not_after: None,
    };
    let address = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1";
    PublishedKeys {
        keys: vec![
            key("o", KeyUse::Oyster, String::new(), Some(address)),
            key("r", KeyUse::Receipts, hex(receipts.verifying_key().as_bytes()), None),
        ],
    }
}

fn signature() -> String {
    let exchange = SignedExchange {
        timestamp: TIME,
        method: b"POST",
        path_and_query: TARGET.as_bytes(),
        host: HOST.as_bytes(),
        request_body: ASKED.as_bytes(),
        reply_body: REPLY.as_bytes(),
    };
    let (signature, recovery) = node().0.sign_prehash_recoverable(&Keccak256::digest(exchange.message()));
    hex(&signature.to_bytes()) + &hex(&[27 + recovery.to_byte()])
}

fn receipt(sequence: u64, previous: Option<&Receipt>) -> Receipt {
    let (path, query) = split_target(TARGET);
    let mut receipt = Receipt {
        facts: ReceiptFacts {
            request_id: RequestId::new(format!("call-{sequence}")),
            namespace: Namespace::default_namespace(),
            function: FunctionName::parse("factors").expect("a name"),
            version: VersionNumber::new(1).expect("from 1"),
            code: Cid::of(b"code"),
            timestamp: TIME,
            method: "POST".to_owned(),
            authority: authority_text(HOST.as_bytes()),
            path,
            query,
            request_digest: ContentDigest::of(ASKED.as_bytes()),
            status: 200,
            reply_digest: ContentDigest::of(REPLY.as_bytes()),
            oyster_signature: if sequence == 2 { signature() } else { "00".to_owned() },
        },
        link: ReceiptLink { sequence, previous: previous.map(Receipt::digest) },
        kid: "r".to_owned(),
        signature: String::new(),
    };
    let signed = node().1.sign(receipt.signature_base().as_bytes());
    receipt.signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signed.to_bytes());
    receipt
}

fn chain() -> [Receipt; 3] {
    let first = receipt(1, None);
    let second = receipt(2, Some(&first));
    let third = receipt(3, Some(&second));
    [first, second, third]
}

fn reply() -> String {
    let signature = signature();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 19\r\nx-oyster-signature: {signature}\r\nx-oyster-timestamp: {TIME}\r\n\r\n{REPLY}"
    )
}

/// The files of a person who saved everything.
struct Saved(tempfile::TempDir);

impl Saved {
    fn new() -> Self {
        let saved = Self(tempfile::tempdir().expect("a folder"));
        saved.write("reply", &reply());
        saved.write("request", &format!("POST {TARGET} HTTP/1.1\r\nHost: {HOST}\r\n\r\n{ASKED}"));
        saved.write("keys", &serde_json::to_string(&published()).expect("keys serialize"));
        saved.write("receipts", &chain().map(|receipt| receipt.to_json()).join("\n"));
        saved.write("code", "code");
        saved
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("written");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).expect("read")
    }

    /// How the verb ends; `@name` is a file.
    fn verify(&self, arguments: &[&str]) -> Outcome {
        let place = |name: &str| self.0.path().join(Path::new(name)).display().to_string();
        let filled = arguments.iter().map(|argument| match argument.strip_prefix('@') {
            Some(name) => place(name),
            None => (*argument).to_owned(),
        });
        let all = ["orama".to_owned(), "verify".to_owned()].into_iter().chain(filled);
        let cli = Cli::try_parse_from(all).map_err(|refused| Failure::usage(refused.to_string()))?;
        match &cli.verb {
            Verb::Verify(args) => run(args, &cli.shared),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> (Exit, String) {
        let failure = self.verify(arguments).expect_err("refused");
        (failure.exit, failure.message)
    }
}

const EVERYTHING: [&str; 9] =
    ["@reply", "--request", "@request", "--keys", "@keys", "--receipts", "@receipts", "--code", "@code"];

#[test]
fn what_was_saved_whole_is_verified() {
    let saved = Saved::new();
    let address = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1";
    assert_eq!(saved.verify(&EVERYTHING), Ok(()));
    assert_eq!(saved.verify(&["@reply", "--request", "@request", "--address", address]), Ok(()));
    let url = format!("http://{HOST}{TARGET}");
    assert_eq!(saved.verify(&["@reply", "--url", &url, "--data", ASKED, "--address", address]), Ok(()));
    assert_eq!(saved.verify(&["--receipts", "@receipts", "--keys", "@keys"]), Ok(()));
    assert_eq!(saved.verify(&[&EVERYTHING[..], &["--json"]].concat()), Ok(()));
}

/// The text with one bit changed, for each of its bytes.
fn each_changed(text: &str) -> impl Iterator<Item = String> + '_ {
    (0..text.len()).map(move |at| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1;
        String::from_utf8(bytes).expect("ASCII stays ASCII")
    })
}

#[test]
fn every_changed_byte_of_a_saved_exchange_is_found() {
    let saved = Saved::new();
    let (reply, request) = (reply(), saved.read("request"));
    // What no signature covers: the version and the reason, other fields and spaces.
    let harmless = |changed: &str, original: &str| {
        let at = changed.bytes().zip(original.bytes()).position(|(new, old)| new != old).unwrap_or(0);
        let line = original[..at].rfind('\n').map_or(0, |end| end + 1);
        let column = at - line;
        let first = line == 0;
        (first && !(9..12).contains(&column)) || original[line..].starts_with("Content-Length")
    };
    let mut tried = 0;
    for changed in each_changed(&reply).filter(|changed| !harmless(changed, &reply)) {
        saved.write("reply", &changed);
        assert!(saved.verify(&EVERYTHING).is_err(), "{changed}");
        tried += 1;
    }
    saved.write("reply", &reply);
    let version = "POST /a%20b?x HTTP/1.1".len();
    // The version, and the carriage return behind it.
    let counts = |at: usize| at < version - "HTTP/1.1".len() || at > version;
    for (at, changed) in (0..).zip(each_changed(&request)).filter(|(at, _)| counts(*at)) {
        saved.write("request", &changed);
        assert!(saved.verify(&EVERYTHING).is_err(), "{at}: {changed}");
        tried += 1;
    }
    assert!(tried > 250, "{tried}");
}

#[test]
fn every_changed_byte_of_a_receipt_is_found() {
    let saved = Saved::new();
    let [first, second, third] = chain().map(|receipt| receipt.to_json());
    for changed in each_changed(&second) {
        saved.write("receipts", &[first.as_str(), &changed, &third].join("\n"));
        assert!(saved.verify(&EVERYTHING).is_err(), "{changed}");
    }
}

#[test]
fn receipts_that_are_left_out_or_put_elsewhere_are_missed() {
    let saved = Saved::new();
    let [first, second, third] = chain().map(|receipt| receipt.to_json());
    let told = |receipts: &[&str]| {
        saved.write("receipts", &receipts.join("\n"));
        saved.refused(&["--receipts", "@receipts", "--keys", "@keys"]).1
    };
    assert_eq!(told(&[&first, &third]), "receipts are missing behind the number 1 of `factors`");
    assert_eq!(told(&[&first, &second, &second]), "two receipts have the number 2 of `factors`");
    let other = receipt(2, Some(&receipt(7, None))).to_json();
    assert_eq!(told(&[&first, &other]), "the receipt 2 of `factors` does not follow the one before it");
    // The end of a chain, or its middle, stands by itself, in any order.
    saved.write("receipts", &[third.as_str(), &second].join("\n"));
    assert_eq!(saved.verify(&["--receipts", "@receipts", "--keys", "@keys"]), Ok(()));
}

#[test]
fn what_is_wrong_is_said() {
    let saved = Saved::new();
    let other = "0x2D85A4823E608e58aE3dd5B95431b2963deF0F0D";
    let (exit, told) = saved.refused(&["@reply", "--request", "@request", "--address", other]);
    assert_eq!(exit, Exit::Failed);
    assert!(
        told.starts_with(&format!("this was not signed by {other}: the signature is that of 0x1a642f0E")),
        "{told}"
    );
    let (exit, told) = saved.refused(&["@reply", "--request", "@request"]);
    assert_eq!(exit, Exit::Failed);
    assert!(told.contains("nothing says who it should be"), "{told}");
    let (exit, told) = saved.refused(&["@reply", "--request", "@request", "--keys", "@keys", "--code", "@code"]);
    assert_eq!((exit, told.as_str()), (Exit::Usage, "the code cannot be checked without a receipt"));
    saved.write("code", "other code");
    let (exit, told) = saved.refused(&EVERYTHING);
    assert_eq!(exit, Exit::Failed);
    assert!(told.contains("is about the code"), "{told}");
    saved.write("reply", "HTTP/1.1 200 OK\r\n\r\nbody");
    let (exit, told) = saved.refused(&EVERYTHING[..7]);
    assert_eq!((exit, told.as_str()), (Exit::Failed, "the reply has no `x-oyster-signature`: nobody signed it"));
    for (name, text) in [("keys", "[]"), ("receipts", "{}"), ("receipts", ""), ("request", "GET"), ("reply", "body")] {
        let saved = Saved::new();
        saved.write(name, text);
        assert_eq!(saved.refused(&EVERYTHING).0, Exit::Usage, "{name} {text}");
    }
    assert_eq!(saved.refused(&["@none", "--request", "@request", "--keys", "@keys"]).0, Exit::Usage);
    assert_eq!(saved.refused(&["@reply", "--keys", "@keys"]).1, "the request is missing");
}
