use std::sync::Arc;

use domain::{Cid, Manifest, Timestamp, VersionNumber};
use ports::memory::{MemoryKeys, MemoryRecords};
use ports::{Keys, NodeKey, Receipts};

use super::*;

const HOST: &str = "FSPLPQB5EBRFC3FAVAUMQSZ2Q7IDMXCH64OTE3VBS34RAMPO7SWA.oyster.run";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a date")
}

fn signers(keys: &Arc<MemoryKeys>) -> Signers {
    Signers::load(keys.clone(), at(1_703_482_000)).expect("load")
}

/// The exchange of the document's example.
fn exchanged(id: &str) -> Exchanged {
    let version = FunctionVersion {
        id: "id".to_owned(),
        namespace: Namespace::parse("team").expect("a namespace"),
        name: FunctionName::parse("factors").expect("a name"),
        version: VersionNumber::new(1).expect("from 1"),
        code: Cid::of(b"code"),
        code_bytes: 4,
        manifest: Manifest::parse("name: factors").expect("a manifest"),
        created_at: at(0),
        created_by: String::new(),
    };
    Exchanged {
        request_id: RequestId::new(id),
        version: Arc::new(version),
        timestamp: 1_703_482_196,
        method: "POST".to_owned(),
        target: "/".to_owned(),
        host: Bytes::from_static(HOST.as_bytes()),
        kept_query: None,
        request_body: Bytes::from_static(br#"{"num": 60000}"#),
        status: 200,
        reply_body: Bytes::from_static(b"2,2,2,2,2,3,5,5,5,5"),
    }
}

fn message<'a>(exchanged: &'a Exchanged) -> SignedExchange<'a> {
    SignedExchange {
        timestamp: exchanged.timestamp,
        method: exchanged.method.as_bytes(),
        path_and_query: exchanged.target.as_bytes(),
        host: &exchanged.host,
        request_body: &exchanged.request_body,
        reply_body: &exchanged.reply_body,
    }
}

#[test]
fn the_signature_is_that_of_the_vector() {
    let keys = Arc::new(MemoryKeys::default());
    keys.replace_signer("oyster", &NodeKey::new([1; 32])).expect("replace");
    let signers = signers(&keys);
    let signature = signers.current().sign_oyster(&message(&exchanged("a")).message());
    assert_eq!(
        signature,
        "ee21a96c7945c0176d60551ae652376d79868c7305455a5a9e0bb300388f218c2382ea5389ff7dfd24233b510eeba00dddb93869271226312e4bec5319c4fb571b"
    );
    let published = signers.published();
    let key = published.keys.iter().find(|key| key.purpose == KeyUse::Oyster).expect("published");
    assert_eq!(key.public_key, "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f");
    assert_eq!(key.ethereum_address.as_deref(), Some("0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1"));
    assert_eq!(oyster_signer(&message(&exchanged("a")), &signature), key.ethereum_address);
}

#[test]
fn the_signer_of_the_documents_sample_is_recovered() {
    let signature = "37ca998deec540de877833274f46f11b4e814341edb05dd3d41e66aac806cf714fcb1558677ab9374caa45021f87189101b5cd2cc3bdb4b9f1e65f17f6880ed31b";
    let signer = oyster_signer(&message(&exchanged("a")), signature);
    assert_eq!(signer.as_deref(), Some("0x2D85A4823E608e58aE3dd5B95431b2963deF0F0D"));
    for wrong in [signature.to_uppercase(), format!("0x{signature}"), signature.replace("d31b", "d31d"), String::new()]
    {
        assert_eq!(oyster_signer(&message(&exchanged("a")), &wrong), None, "{wrong}");
    }
    // The other form of the same signature, which no key makes.
    let high = "37ca998deec540de877833274f46f11b4e814341edb05dd3d41e66aac806cf71b034eaa7988546c8b355bafde078e76db8f90fb9eb93eb81cdec0f74d9ae326e1c";
    assert_eq!(oyster_signer(&message(&exchanged("a")), high), None);
}

#[test]
fn every_changed_byte_of_an_exchange_changes_its_signer() {
    let keys = Arc::new(MemoryKeys::default());
    let signers = signers(&keys);
    let original = exchanged("a");
    let signature = signers.current().sign_oyster(&message(&original).message());
    let signer = oyster_signer(&message(&original), &signature).expect("recovered");
    let changes: [fn(&mut Exchanged); 6] = [
        |exchanged| exchanged.timestamp += 1,
        |exchanged| exchanged.method = "PUT".to_owned(),
        |exchanged| exchanged.target = "/?".to_owned(),
        |exchanged| exchanged.host = Bytes::from(HOST.to_lowercase()),
        |exchanged| exchanged.request_body = Bytes::from_static(br#"{"num": 60001}"#),
        |exchanged| exchanged.reply_body = Bytes::from_static(b"2,2,2,2,2,3,5,5,5,5\n"),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = original.clone();
        change(&mut changed);
        assert_ne!(oyster_signer(&message(&changed), &signature).as_ref(), Some(&signer), "change {number}");
    }
}

#[tokio::test]
async fn receipts_are_chained_and_every_changed_field_is_found() {
    let keys = Arc::new(MemoryKeys::default());
    let (records, signers) = (Arc::new(MemoryRecords::default()), Arc::new(signers(&keys)));
    let writer = ReceiptWriter::start(records.clone(), signers.clone());
    for id in ["a", "b", "c"] {
        let exchanged = exchanged(id);
        let hashed = hash(&signers.current(), &exchanged);
        writer.write(facts(exchanged, hashed)).await;
    }
    writer.flush().await;
    let version = exchanged("a").version;
    let chain = records.receipts(&version.namespace, &version.name, 0, 10).await.expect("read");
    assert_eq!(chain.len(), 3);
    assert_eq!(chain[0].link.previous, None);
    for (before, after) in chain.iter().zip(&chain[1..]) {
        assert_eq!(after.link.sequence, before.link.sequence + 1);
        assert_eq!(after.link.previous, Some(before.digest()));
    }
    let published = signers.published();
    assert!(chain.iter().all(|receipt| verify_receipt(receipt, &published).is_ok()));
    let json = serde_json::to_value(&chain[1]).expect("it serializes");
    for field in json.as_object().expect("an object").keys() {
        let mut changed = json.clone();
        changed[field] = altered(&json[field]);
        let parsed = Receipt::parse(changed.to_string().as_bytes());
        let found = parsed.map_or(true, |receipt| verify_receipt(&receipt, &published).is_err());
        assert!(found, "a changed `{field}` is found");
    }
    writer.close().await;
}

/// Another value of the same kind.
fn altered(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => (number.as_u64().expect("a whole number") + 1).into(),
        serde_json::Value::String(text) if text.starts_with("sha-256") => {
            ContentDigest::of(b"other").to_string().into()
        }
        serde_json::Value::String(text) if text.starts_with("bafk") => Cid::of(b"other").to_string().into(),
        serde_json::Value::String(text) => match text.split_at_checked(1) {
            Some(("a", rest)) => format!("b{rest}").into(),
            Some((_, rest)) => format!("a{rest}").into(),
            None => "a".into(),
        },
        other => panic!("{other} is of no kind that a receipt has"),
    }
}

#[test]
fn earlier_keys_stay_published_and_sign_no_more() {
    let keys = Arc::new(MemoryKeys::default());
    let signers = signers(&keys);
    let first = signers.published();
    assert_eq!(first.keys.len(), 2);
    let next = signers.rotate(KeyUse::Receipts, at(1_703_490_000)).expect("rotate");
    let both = signers.published();
    assert_eq!(both.keys.len(), 3);
    assert_eq!(both.find(&next.kid), Some(&next));
    assert_eq!(signers.current().receipts_kid(), next.kid);
    let old = first.keys.iter().find(|key| key.purpose == KeyUse::Receipts).expect("the first");
    let old = both.find(&old.kid).expect("it stays");
    assert!(old.not_after.is_some_and(|end| end > next.not_before), "there is a time in which both hold");
    // It is all there at the next start, and a key that an operator puts there is published as well.
    let again = Signers::load(keys.clone(), at(1_703_490_100)).expect("load");
    assert_eq!(again.published(), both);
    keys.replace_signer("oyster", &NodeKey::new([1; 32])).expect("replace");
    let brought = Signers::load(keys.clone(), at(1_703_490_200)).expect("load").published();
    assert_eq!(brought.keys.len(), 4);
    let in_use: Vec<KeyUse> =
        brought.keys.iter().filter(|key| key.not_after.is_none()).map(|key| key.purpose).collect();
    assert_eq!(in_use, [KeyUse::Receipts, KeyUse::Oyster]);
}

#[test]
fn what_is_no_key_of_the_curve_is_refused() {
    let keys = Arc::new(MemoryKeys::default());
    keys.replace_signer("oyster", &NodeKey::new([0; 32])).expect("replace");
    assert!(Signers::load(keys, at(0)).is_err());
}

#[test]
fn a_receipt_of_a_key_that_was_not_in_use_is_refused() {
    let keys = Arc::new(MemoryKeys::default());
    let signers = signers(&keys);
    let exchanged = exchanged("a");
    let hashed = hash(&signers.current(), &exchanged);
    let receipt = writer_signed(facts(exchanged, hashed), &signers);
    let mut published = signers.published();
    assert_eq!(verify_receipt(&receipt, &published), Ok(()));
    let kid = receipt.kid.clone();
    let key = published.keys.iter_mut().find(|key| key.kid == kid).expect("published");
    key.not_after = Some(at(1_703_482_100));
    assert_eq!(verify_receipt(&receipt, &published), Err(ReceiptFault::KeyNotInUse(kid.clone())));
    published.keys.retain(|key| key.kid != kid);
    assert_eq!(verify_receipt(&receipt, &published), Err(ReceiptFault::UnknownKey(kid)));
}

fn writer_signed(facts: ReceiptFacts, signers: &Signers) -> Receipt {
    writer::signed(facts, None, &signers.current())
}

#[test]
fn addresses_are_read_with_and_without_their_checksum() {
    let address = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1";
    for text in [address.to_owned(), address.to_lowercase(), address[2..].to_owned(), address[2..].to_uppercase()] {
        assert_eq!(checksummed_address(&text).as_deref(), Some(address));
    }
    for wrong in [address.replace("1a", "1A"), address[..41].to_owned(), "0x".to_owned(), "é".repeat(20)] {
        assert_eq!(checksummed_address(&wrong), None, "{wrong}");
    }
}
