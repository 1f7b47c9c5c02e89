//! The cache and storage, asked for what they do not do.

use std::fs;
use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{FORM, PATIENCE, Reply, Server, Tenant, fixture};

fn post(tenant: &Tenant, path: &str, body: &Value) -> Reply {
    tenant.http().post(path, body.to_string().as_bytes())
}

#[test]
fn a_time_to_live_that_is_none_stores_nothing() {
    let server = Server::start();
    let tenant = Tenant::found(&server, "home");
    let year = "87601h";
    for ttl in [
        json!("-1s"),
        json!("-5"),
        json!("5"),
        json!("abc"),
        json!("1y"),
        json!("1e3s"),
        json!("NaN"),
        json!("∞"),
        json!("10s "),
        json!("99999999999999999999s"),
        json!(year),
        json!(7),
        json!(-7),
        json!(true),
        json!(["1s"]),
    ] {
        let reply = post(&tenant, "/v1/cache/put", &json!({ "dmap": "m", "key": "k", "value": 1, "ttl": ttl }));
        assert_eq!((reply.status, &reply.json()["code"]), (400, &json!("VALIDATION_FAILED")), "{ttl}: {reply:?}");
    }
    assert_eq!(tenant.ask("POST", "/v1/cache/scan", &json!({ "dmap": "m" }))["count"], 0);
    for name in ["cache_set", "cache_get"] {
        tenant.deploy(name, &fixture(name), &[]);
    }
    for ttl in [-1, i64::MIN, i64::MAX] {
        tenant.host_call("cache_set", &[b"k", b"value", &ttl.to_le_bytes()]);
        assert_eq!(tenant.host_call("cache_get", &[b"k"]), "", "{ttl}");
    }
}

#[test]
fn what_is_no_counter_is_not_counted() {
    let server = Server::start();
    let tenant = Tenant::found(&server, "home");
    tenant.deploy("cache_incr", &fixture("cache_incr"), &[]);
    let values = [json!("hello"), json!("1"), json!(1.5), json!(true), json!([1]), json!({ "a": 1 }), json!(i64::MAX)];
    for value in values {
        let place = json!({ "dmap": "serverless_cache", "key": "k" });
        tenant.ask("POST", "/v1/cache/put", &json!({ "dmap": "serverless_cache", "key": "k", "value": value }));
        let reply = post(&tenant, "/v1/cache/incr", &place);
        assert_eq!((reply.status, &reply.json()["code"]), (409, &json!("CONFLICT")), "{value}: {reply:?}");
        assert_eq!(tenant.host_call("cache_incr", &[b"k"]), "\0".repeat(8), "{value}");
        assert_eq!(tenant.ask("POST", "/v1/cache/get", &place)["value"], value, "unchanged");
    }
    for delta in [json!("1"), json!(1.5), json!(9_223_372_036_854_775_808_u64), json!(true)] {
        let reply = post(&tenant, "/v1/cache/incr", &json!({ "dmap": "m", "key": "new", "delta": delta }));
        assert_eq!(reply.status, 400, "{delta}: {reply:?}");
    }
    assert_eq!(tenant.ask("POST", "/v1/cache/scan", &json!({ "dmap": "m" }))["count"], 0);
}

#[test]
fn keys_that_are_too_long_empty_or_no_text_are_refused() {
    let server = Server::start();
    let tenant = Tenant::found(&server, "home");
    for name in ["cache_set", "cache_get", "cache_incr", "get_secret"] {
        tenant.deploy(name, &fixture(name), &[]);
    }
    let long = "k".repeat(10 << 10);
    let cases = [
        ("a key of 10 KB", json!({ "dmap": "m", "key": long, "value": 1 }), 413),
        ("a map of 10 KB", json!({ "dmap": long, "key": "k", "value": 1 }), 413),
        ("a value of 2 MB", json!({ "dmap": "m", "key": "k", "value": "x".repeat(2 << 20) }), 413),
        ("no key", json!({ "dmap": "m", "key": "", "value": 1 }), 400),
        ("no map", json!({ "dmap": "", "key": "k", "value": 1 }), 400),
        ("no value", json!({ "dmap": "m", "key": "k" }), 400),
        ("a number for the key", json!({ "dmap": "m", "key": 1, "value": 1 }), 400),
    ];
    for (case, body, status) in &cases {
        let reply = post(&tenant, "/v1/cache/put", body);
        assert_eq!(reply.status, *status, "{case}: {reply:?}");
    }
    assert_eq!(tenant.http().post("/v1/cache/put", b"{\"dmap\":\"m\",\"key\":\"\xff\",\"value\":1}").status, 400);
    assert_eq!(post(&tenant, "/v1/cache/scan", &json!({ "dmap": "m", "match": "(" })).status, 400);
    for key in [long.as_bytes(), b"", b"\xff\xfe"] {
        tenant.host_call("cache_set", &[key, b"value", &0_i64.to_le_bytes()]);
        assert_eq!(tenant.host_call("cache_get", &[key]), "");
        assert_eq!(tenant.host_call("cache_incr", &[key]), "\0".repeat(8));
        assert_eq!(tenant.host_call("get_secret", &[key]), "");
    }
    for map in ["m", "serverless_cache"] {
        assert_eq!(tenant.ask("POST", "/v1/cache/scan", &json!({ "dmap": map }))["count"], 0);
    }
}

#[test]
fn an_identifier_of_another_kind_names_nothing() {
    let server = Server::start();
    let tenant = Tenant::found(&server, "home");
    for name in ["storage_get", "storage_head"] {
        tenant.deploy(name, &fixture(name), &[]);
    }
    let cases = [
        ("version 0", "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"),
        ("dag-cbor", "bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi"),
        ("dag-json", "baguqeerasords4njcts6vs7qvdjfcvgnume4hqohf65zsfguprqphs3icwea"),
        ("base58", "zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7"),
        ("a key of libp2p", "k51qzi5uqu5dgutdk6i1ynyzgkqngpha5xpgia3a5qqp4jsh0u4csozksxel2r"),
        ("the identity hash", "bafkqaaa"),
        ("one character less", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52z"),
        ("upper case", "BAFKREIGH2AKISCAILDCQABSYG3DFR6CHU3FGPREGIYMSCK7E7AQA4S52ZY"),
        ("a path", "..%2f..%2fsystem.db"),
        ("a name", "readme.txt"),
        ("one that nobody stored", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"),
    ];
    for (case, cid) in cases {
        let replies = [
            tenant.http().get(&format!("/v1/storage/get/{cid}")),
            tenant.http().get(&format!("/v1/storage/status/{cid}")),
            tenant.http().send("DELETE", &format!("/v1/storage/unpin/{cid}"), &[], b""),
            post(&tenant, "/v1/storage/pin", &json!({ "cid": cid })),
        ];
        for reply in replies {
            assert_eq!((reply.status, &reply.json()["code"]), (404, &json!("NOT_FOUND")), "{case}: {reply:?}");
        }
        for call in ["storage_get", "storage_head"] {
            assert_eq!(tenant.host_call(call, &[cid.as_bytes()]), "", "{call}: {case}");
        }
    }
}

/// Files that are being written, of every kind of store.
fn unfinished(server: &Server) -> usize {
    let files = |folder: &str| fs::read_dir(server.data().join(folder)).map_or(0, |entries| entries.count());
    files("content/tmp") + files("tmp")
}

#[track_caller]
fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "never {what}");
        std::thread::yield_now();
    }
}

#[test]
fn an_upload_that_is_cut_leaves_nothing() {
    let server = Server::start();
    let tenant = Tenant::found(&server, "home");
    let before = unfinished(&server);
    let part = "--of-this-form\r\ncontent-disposition: form-data; name=\"file\"; filename=\"cut\"\r\n\r\n";
    let ways = [("content-length", "100000000"), ("transfer-encoding", "chunked")];
    for (name, value) in ways {
        let mut stream = tenant.http().connect().expect("the server listens");
        let head = tenant.http().head("POST", "/v1/storage/upload", &[("content-type", FORM), (name, value)]);
        let content = [part.as_bytes(), &vec![b'c'; 3 << 20]].concat();
        let size = format!("{:x}\r\n", content.len() + 1000);
        let size = if value == "chunked" { size.as_bytes() } else { b"" };
        stream.write_all(&[head.as_bytes(), size, &content].concat()).expect("the server reads");
        wait_until("an upload under way", || unfinished(&server) > before);
        drop(stream);
        wait_until("cleaned", || unfinished(&server) == before);
    }
    let list = tenant.ask("GET", "/v1/storage/list", &Value::Null);
    assert_eq!((&list["count"], &list["used_bytes"]), (&json!(0), &json!(0)), "{list}");
}

#[test]
fn content_past_the_quota_leaves_nothing() {
    let server = Server::start();
    let tenant = Tenant::found(&server, "home");
    let before = unfinished(&server);
    let settings = server.http().send("PUT", "/v1/namespaces/home/settings", &[], br#"{"storage_bytes_max": 100000}"#);
    assert_eq!(settings.status, 200, "{settings:?}");
    let content = json!({ "name": "large", "data": "QUJD".repeat(50_000) });
    let reply = post(&tenant, "/v1/storage/upload", &content);
    assert_eq!((reply.status, &reply.json()["code"]), (507, &json!("STORAGE_QUOTA_EXCEEDED")), "{reply:?}");
    wait_until("cleaned", || unfinished(&server) == before);
    assert_eq!(tenant.ask("GET", "/v1/storage/list", &Value::Null)["used_bytes"], 0);
    let cases = [
        ("no base64", json!({ "name": "x", "data": "!!" })),
        ("no content", json!({ "name": "x" })),
        ("no name", json!({ "data": "YQ==" })),
        ("a name with a line break", json!({ "name": "a\nb", "data": "YQ==" })),
        ("a name of 300 bytes", json!({ "name": "x".repeat(300), "data": "YQ==" })),
    ];
    for (case, body) in &cases {
        assert_eq!(post(&tenant, "/v1/storage/upload", body).status, 400, "{case}");
    }
    assert_eq!(tenant.ask("GET", "/v1/storage/list", &Value::Null)["count"], 0);
}
