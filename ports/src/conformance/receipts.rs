use std::time::Duration;

use domain::{
    Cid, ContentDigest, FunctionName, Namespace, Receipt, ReceiptFacts, ReceiptLink, RequestId, Timestamp,
    VersionNumber,
};

use crate::{ReceiptTail, Receipts, Retention};

const SINCE: u64 = 1_767_225_600;

fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).expect("a valid namespace")
}

fn function(text: &str) -> FunctionName {
    FunctionName::parse(text).expect("a valid name")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(SINCE as i64 + second).expect("a date within range")
}

fn receipt(id: &str, owner: &str, name: &str, sequence: u64, second: u64) -> Receipt {
    Receipt {
        facts: ReceiptFacts {
            request_id: RequestId::new(id),
            namespace: namespace(owner),
            function: function(name),
            version: VersionNumber::new(2).expect("from 1"),
            code: Cid::of(b"code"),
            timestamp: SINCE + second,
            method: "GET".to_owned(),
            authority: "localhost:6001".to_owned(),
            path: "/%C3%A9".to_owned(),
            query: "?".to_owned(),
            request_digest: ContentDigest::of(b""),
            status: 204,
            reply_digest: ContentDigest::of(id.as_bytes()),
            oyster_signature: "0f".repeat(65),
        },
        link: ReceiptLink { sequence, previous: (sequence > 1).then(|| ContentDigest::of(b"before")) },
        kid: "a-key".to_owned(),
        signature: "c2lnbmVk".to_owned(),
    }
}

async fn ids(receipts: &dyn Receipts, owner: &str, name: &str, after: u64, limit: usize) -> Vec<String> {
    let found = receipts.receipts(&namespace(owner), &function(name), after, limit).await.expect("list");
    found.into_iter().map(|receipt| receipt.facts.request_id.to_string()).collect()
}

/// Panics when `receipts`, which must be empty, does not behave as a store of receipts.
pub async fn receipts(receipts: &dyn Receipts) {
    let (one, hello) = (namespace("one"), function("hello"));
    assert_eq!(receipts.receipt_tail(&one, &hello).await.expect("tail"), None);
    let batch = [
        receipt("a", "one", "hello", 1, 0),
        receipt("b", "two", "hello", 1, 0),
        receipt("c", "one", "hello", 2, 10),
        receipt("d", "one", "other", 1, 20),
    ];
    receipts.append_receipts(&batch).await.expect("append");
    receipts.append_receipts(&[]).await.expect("an empty batch is fine");
    receipts.append_receipts(&[receipt("e", "one", "hello", 3, 30)]).await.expect("append");

    // What went in comes out, and nothing of another namespace.
    let found = receipts.receipt(&one, &RequestId::new("c")).await.expect("get");
    assert_eq!(found.as_ref(), Some(&batch[2]));
    assert_eq!(receipts.receipt(&one, &RequestId::new("b")).await.expect("get"), None);
    assert_eq!(receipts.receipt(&one, &RequestId::new("z")).await.expect("get"), None);
    assert_eq!(ids(receipts, "one", "hello", 0, 10).await, ["a", "c", "e"]);
    assert_eq!(ids(receipts, "one", "hello", 1, 1).await, ["c"]);
    assert_eq!(ids(receipts, "one", "hello", 3, 10).await, [""; 0]);
    assert_eq!(ids(receipts, "three", "hello", 0, 10).await, [""; 0]);
    let end = receipts.receipt_tail(&one, &hello).await.expect("tail");
    let last = receipt("e", "one", "hello", 3, 30);
    assert_eq!(end, Some(ReceiptTail { sequence: 3, digest: last.digest() }));

    // The oldest go, by age and by size; the chain goes on where it was.
    let keep = Retention { age_max: Duration::from_secs(15), bytes_max: u64::MAX };
    assert_eq!(receipts.prune_receipts(&keep, at(25)).await.expect("prune"), 2);
    assert_eq!(ids(receipts, "one", "hello", 0, 10).await, ["c", "e"]);
    let keep = Retention { age_max: Duration::from_secs(3600), bytes_max: last.to_json().len() as u64 };
    assert_eq!(receipts.prune_receipts(&keep, at(25)).await.expect("prune"), 2);
    assert_eq!(ids(receipts, "one", "hello", 0, 10).await, ["e"]);
    let keep = Retention { age_max: Duration::from_secs(1), bytes_max: u64::MAX };
    assert_eq!(receipts.prune_receipts(&keep, at(900)).await.expect("prune"), 1);
    assert_eq!(receipts.receipt_tail(&one, &hello).await.expect("tail"), end);

    // A namespace that ends takes its chains along, and nobody else's.
    receipts.append_receipts(&[receipt("f", "one", "hello", 4, 40)]).await.expect("append");
    receipts.remove_receipts(&one).await.expect("remove");
    assert_eq!(receipts.receipt(&one, &RequestId::new("f")).await.expect("get"), None);
    assert_eq!(receipts.receipt_tail(&one, &hello).await.expect("tail"), None);
    assert!(receipts.receipt_tail(&namespace("two"), &hello).await.expect("tail").is_some());
    receipts.remove_receipts(&one).await.expect("there is nothing left to remove");
}
