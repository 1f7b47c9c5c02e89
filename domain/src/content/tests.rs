use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn check(bytes: &[u8], want: Expect) {
    want.assert_eq(&Cid::of(bytes).to_string());
}

#[test]
fn a_block_is_named_by_its_raw_hash() {
    // The empty file and "hello world" as every IPFS tool prints them.
    check(b"", expect!["bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"]);
    check(b"hello world", expect!["bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"]);
}

#[test]
fn only_the_canonical_text_is_a_cid() {
    let good = Cid::of(b"x").to_string();
    assert_eq!(Cid::parse(&good).map(|cid| cid.to_string()), Ok(good.clone()));
    for bad in ["", "x", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", &good.to_uppercase(), &good[..20], "../etc"]
    {
        assert!(Cid::parse(bad).is_err(), "{bad}");
    }
}
