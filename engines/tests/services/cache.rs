//! The cache.

use std::time::Duration;

use expect_test::expect;
use ports::{CacheKey, FUNCTION_MAP};

use crate::support::{Bench, ask, ask_number, call};

#[tokio::test]
async fn overlaps() {
    assert_eq!(call(&Bench::new(), "overlaps", "", b"").await.expect("success").body, "cdefacdeff");
}

#[tokio::test]
async fn cache_get() {
    let bench = Bench::new();
    ask(&bench, "cache_set", &[b"key", b"\0\xff value", &0i64.to_le_bytes()]).await.expect("success");
    assert_eq!(ask(&bench, "cache_get", &[b"key"]).await.expect("success").body, &b"\0\xff value"[..]);
    assert!(ask(&bench, "cache_get", &[b"other"]).await.expect("success").body.is_empty());
}

#[tokio::test]
async fn cache_gets() {
    let body = call(&Bench::new(), "cache_gets", "", b"").await.expect("success").body;
    assert_eq!(body[..], 10_000i64.to_le_bytes());
}

#[tokio::test]
async fn cache_set() {
    let bench = Bench::new();
    let mut seen = String::new();
    for ttl in [0, 3600, 315_360_000, 315_360_001, -1, i64::MAX, i64::MIN] {
        let key = format!("key {ttl}");
        let reply = ask(&bench, "cache_set", &[key.as_bytes(), b"v", &ttl.to_le_bytes()]).await.expect("success");
        let key = CacheKey { map: FUNCTION_MAP, key: &key };
        let entry = bench.services.cache.get(key).await.expect("the cache is there");
        let as_asked = |left: Duration| (ttl - 60..=ttl).contains(&left.as_secs().cast_signed());
        let stored = entry.map(|entry| entry.ttl.is_none_or(as_asked));
        seen += &format!("{ttl}: {stored:?} {:?}\n", reply.ended.logs.first().map(|line| &line.message));
    }
    expect![[r#"
        0: Some(true) None
        3600: Some(true) None
        315360000: Some(true) None
        315360001: None Some("`cache_set`: the time to live is 315360001 s; it must be 0 (for ever) to 315360000 s (10 years); nothing was stored")
        -1: None Some("`cache_set`: the time to live is -1 s; it must be 0 (for ever) to 315360000 s (10 years); nothing was stored")
        9223372036854775807: None Some("`cache_set`: the time to live is 9223372036854775807 s; it must be 0 (for ever) to 315360000 s (10 years); nothing was stored")
        -9223372036854775808: None Some("`cache_set`: the time to live is -9223372036854775808 s; it must be 0 (for ever) to 315360000 s (10 years); nothing was stored")
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn what_is_no_key_or_value_is_refused_and_said() {
    let bench = Bench::new();
    let (long, huge) = (vec![b'k'; 10 << 10], vec![b'v'; (1 << 20) + 1]);
    let forever = 0i64.to_le_bytes();
    let mut seen = String::new();
    for (key, value) in
        [(&b""[..], &b"v"[..]), (b"\xff", b"v"), (b"\xed\xa0\x80", b"v"), (&long, b"v"), (b"k", &huge), (&huge, b"v")]
    {
        let reply = ask(&bench, "cache_set", &[key, value, &forever]).await.expect("success");
        seen += &format!("{}\n", reply.ended.logs[0].message);
    }
    // NUL, a byte order mark, an emoji: text like any other.
    for key in ["\0", "\u{feff}key", "🔑"] {
        let reply = ask(&bench, "cache_set", &[key.as_bytes(), b"v", &forever]).await.expect("success");
        assert!(reply.ended.logs.is_empty(), "{reply:?}");
        assert_eq!(ask(&bench, "cache_get", &[key.as_bytes()]).await.expect("success").body, "v");
    }
    expect![[r#"
        `cache_set`: the key is empty
        `cache_set`: the key is not valid UTF-8
        `cache_set`: the key is not valid UTF-8
        `cache_set`: the key is 10240 bytes, the limit is 1024
        `cache_set`: the value is larger than 1048576 bytes
        `cache_set`: the key is longer than 65536 bytes
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn cache_delete() {
    let bench = Bench::new();
    ask(&bench, "cache_set", &[b"key", b"v", &0i64.to_le_bytes()]).await.expect("success");
    assert_eq!(ask_number(&bench, "cache_delete", &[b"key"]).await, 1);
    assert_eq!(ask_number(&bench, "cache_delete", &[b"key"]).await, 1, "also when it is missing");
    assert_eq!(ask(&bench, "cache_get", &[b"key"]).await.expect("success").body, "");
    assert_eq!(ask_number(&bench, "cache_delete", &[b""]).await, 0);
}

#[tokio::test]
async fn cache_incr() {
    let bench = Bench::new();
    assert_eq!(ask_number(&bench, "cache_incr", &[b"n"]).await, 1);
    assert_eq!(ask_number(&bench, "cache_incr", &[b"n"]).await, 2);
    assert_eq!(ask(&bench, "cache_get", &[b"n"]).await.expect("success").body, "2");
    ask(&bench, "cache_set", &[b"text", b"abc", &0i64.to_le_bytes()]).await.expect("success");
    assert_eq!(ask_number(&bench, "cache_incr", &[b"text"]).await, 0);
    assert_eq!(ask(&bench, "cache_get", &[b"text"]).await.expect("success").body, "abc");
}

#[tokio::test]
async fn cache_incr_by() {
    let bench = Bench::new();
    let add = async |delta: i64| ask_number(&bench, "cache_incr_by", &[b"n", &delta.to_le_bytes()]).await;
    assert_eq!(add(-5).await, -5);
    assert_eq!(add(5).await, 0);
    assert_eq!(add(i64::MAX).await, i64::MAX);
    assert_eq!(add(1).await, 0, "it would leave 64 bits");
    assert_eq!(ask(&bench, "cache_get", &[b"n"]).await.expect("success").body, i64::MAX.to_string());
    assert_eq!(add(i64::MIN).await, -1);
    assert_eq!(add(i64::MIN).await, 0, "it would leave 64 bits");
}
