//! What a function asks of the services of its namespace: a guest for each host call, and a test of the same name.

mod cache;
mod database;
mod later;
mod outside;
mod realtime;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use domain::{Cid, ErrorCode};
use expect_test::expect;
use ports::Observed;
use ports::memory::{MemorySecrets, ScriptedFetcher};
use support::stuck::Stuck;
use support::{Bench, ask, call, show};

#[tokio::test]
async fn get_caller_jwt_subject() {
    assert_eq!(ask(&Bench::new(), "get_caller_jwt_subject", &[]).await.expect("success").body, "0xada");
}

#[tokio::test]
async fn get_caller_claim() {
    let bench = Bench::new();
    for (name, want) in [(&b"tier"[..], "gold"), (b"Tier", ""), (b"tie", ""), (b"", ""), (b"\xff", "")] {
        assert_eq!(ask(&bench, "get_caller_claim", &[name]).await.expect("success").body, want);
    }
}

#[tokio::test]
async fn get_secret() {
    let mut bench = Bench::new();
    bench.services.secrets = Arc::new(MemorySecrets::of(&[("KEY", b"hunter22"), ("BYTES", b"\0\xff")]));
    assert_eq!(ask(&bench, "get_secret", &[b"KEY"]).await.expect("success").body, "hunter22");
    assert_eq!(ask(&bench, "get_secret", &[b"BYTES"]).await.expect("success").body, &b"\0\xff"[..]);
    assert_eq!(ask(&bench, "get_secret", &[b"OTHER"]).await.expect("success").body, "");
    show(
        ask(&bench, "get_secret", &[b"\xff"]).await,
        expect![[r#"

            log warn: `get_secret`: the name of a secret is not valid UTF-8
        "#]],
    );
}

#[tokio::test]
async fn leaks() {
    let mut bench = Bench::new();
    bench.services.secrets = Arc::new(MemorySecrets::of(&[("KEY", b"hunter22")]));
    show(
        call(&bench, "leaks", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(Exit): exit code 3; standard error: ***
            ***
            log error: ***
            log debug: ***
            log debug: ***
        "#]],
    );
}

#[tokio::test]
async fn a_long_secret_is_masked_across_every_cut() {
    let mut bench = Bench::new();
    // Longer than a log line and than what is shown of standard error.
    let secret: String = (0..6_000).map(|number| format!("{number:05}")).collect();
    bench.services.secrets = Arc::new(MemorySecrets::of(&[("KEY", secret.as_bytes())]));
    show(
        call(&bench, "leaks", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(Exit): exit code 3; standard error: ***
            ***
            log error: ***
            log debug: ***
            log debug: ***
        "#]],
    );
}

#[tokio::test]
async fn leaks_in_abort() {
    let mut bench = Bench::new();
    bench.services.secrets = Arc::new(MemorySecrets::of(&[("KEY", b"hunter22")]));
    show(
        call(&bench, "leaks_in_abort", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(Trap): the function aborted: *** (:1:2)
        "#]],
    );
}

#[tokio::test]
async fn allocator_grows() {
    assert_eq!(call(&Bench::new(), "allocator_grows", "", b"").await.expect("success").body, "request-1");
}

#[tokio::test]
async fn a_service_that_never_answers_ends_at_the_deadline() {
    let mut bench = Bench::new();
    let stuck = Arc::new(Stuck::default());
    bench.services.cache = stuck.clone();
    bench.services.database = stuck.clone();
    bench.services.storage = stuck.clone();
    bench.services.fetcher = stuck.clone();
    bench.services.invoker = stuck.clone();
    bench.services.bus = stuck.clone();
    bench.services.sockets = stuck.clone();
    bench.services.ephemeral = stuck.clone();
    bench.services.jobs = stuck.clone();
    bench.services.notifier = stuck;
    (bench.socket, bench.job) = (Some("ws-1".into()), Some("job-1".into()));
    let cid = Cid::of(b"x").to_string();
    let ttl = 1i64.to_le_bytes();
    let ops = br#"{"ops":[{"kind":"exec","sql":"x"}]}"#;
    let calls: [(&str, &[&[u8]]); 35] = [
        ("db_query", &[b"x", b""]),
        ("db_execute", &[b"x", b""]),
        ("db_query_v2", &[b"x", b""]),
        ("db_execute_v2", &[b"x", b""]),
        ("db_transaction", &[ops]),
        ("db_query_batch", &[ops]),
        ("cache_get", &[b"x"]),
        ("cache_set", &[b"x", b"x", &ttl]),
        ("cache_delete", &[b"x"]),
        ("cache_incr", &[b"x"]),
        ("http_fetch", &[b"GET", b"http://x/", b"", b""]),
        ("storage_put", &[b"x", b"x"]),
        ("storage_get", &[cid.as_bytes()]),
        ("storage_head", &[cid.as_bytes()]),
        ("function_invoke", &[b"x", b"x"]),
        ("function_invoke_v2", &[b"x", b"x"]),
        ("function_invoke_async", &[b"x", b"x"]),
        ("pubsub_publish", &[b"x", b"x"]),
        ("pubsub_publish_batch", &[br#"[{"topic":"x","data_base64":""}]"#]),
        ("exec_and_publish", &[br#"{"ops":[]}"#, b"x", b"x"]),
        ("ws_send", &[b"x", b"x"]),
        ("ws_broadcast", &[b"x", b"x"]),
        ("ws_pubsub_bridge", &[b"x", b"x"]),
        ("ws_pubsub_unbridge", &[b"x", b"x"]),
        ("ephemeral_state_set", &[b"x", b"x", b"x", &ttl]),
        ("ephemeral_state_clear", &[b"x", b"x"]),
        ("ephemeral_state_list", &[b"x"]),
        ("push_send", &[b"x", b"{}"]),
        ("push_send_v2", &[b"x", b"{}"]),
        ("notify", &[b"x", b"{}"]),
        ("schedule_once", &[b"x", b"x", &ttl]),
        ("enqueue_background", &[b"x", b"x"]),
        ("job_status", &[b"x"]),
        ("job_cancel", &[b"x"]),
        ("job_progress", &[&ttl]),
    ];
    let waiting = calls.map(|(name, arguments)| {
        let bench = &bench;
        async move {
            let failed = support::ask_within(bench, name, "timeout: 1", arguments).await.expect_err("it never answers");
            assert_eq!(failed.error.code, ErrorCode::Timeout, "{name}: {failed:?}");
            assert!(failed.ended.usage.cpu < Duration::from_millis(500), "{name}: waiting costs nothing");
        }
    });
    futures_util::future::join_all(waiting).await;
}

#[tokio::test]
async fn a_panic_in_a_service_ends_its_call_only() {
    let mut bench = Bench::new();
    bench.services.fetcher = Arc::new(ScriptedFetcher::new(|_| panic!("planted")));
    let failed = ask(&bench, "http_fetch", &[b"GET", b"http://x/", b"", b""]).await.expect_err("the fault is ours");
    assert_eq!(failed.error.code, ErrorCode::Internal);
    assert!(failed.cause.expect("the operator learns it").to_string().contains("planted"));
    assert_eq!(call(&bench, "echo", "", b"next").await.expect("success").body, "next");
}

#[tokio::test]
async fn a_dropped_call_leaves_what_it_used_and_logged() {
    let mut bench = Bench::new();
    let stuck = Arc::new(Stuck::default());
    bench.services.cache = stuck.clone();
    let module = wat::parse_str(
        r#"(module
             (import "env" "log_info" (func $log (param i32 i32)))
             (import "env" "cache_delete" (func $wait (param i32 i32) (result i32)))
             (memory (export "memory") 3)
             (data (i32.const 16) "before")
             (func (export "_start")
               (call $log (i32.const 16) (i32.const 6))
               (drop (call $wait (i32.const 16) (i32.const 6)))))"#,
    )
    .expect("the module assembles");
    let code = bench.deploy(&module, "").await;
    let observed = Observed::default();
    tokio::select! {
        ended = bench.call_observed(&code, "timeout: 60", b"", "request-1", observed.clone()) => panic!("{ended:?}"),
        () = stuck.reached.notified() => {}
    }
    let ended = observed.take();
    assert_eq!(ended.logs.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["before"]);
    assert_eq!(ended.usage.memory_peak_bytes, 3 * 65_536);
    assert!(ended.usage.cpu > Duration::ZERO);
}

#[tokio::test]
async fn a_module_without_a_memory_gets_nothing_and_goes_on() {
    let shapes = [
        "",
        "(func (export \"memory\"))",
        "(global (export \"memory\") i32 (i32.const 1))",
        "(table (export \"memory\") 1 funcref)",
        "(memory (export \"other\") 1)",
    ];
    let bench = Bench::new();
    for shape in shapes {
        let module = wat::parse_str(format!(
            r#"(module
                 (import "env" "cache_incr" (func $incr (param i32 i32) (result i64)))
                 (import "env" "db_query_v2" (func $query (param i32 i32 i32 i32) (result i64)))
                 (import "env" "get_request_id" (func $id (result i64)))
                 {shape}
                 (func (export "malloc") (param i32) (result i32) (i32.const 8))
                 (func (export "_start")
                   (if (i64.ne (i64.const 0) (call $incr (i32.const 0) (i32.const 1))) (then unreachable))
                   (if (i64.ne (i64.const 0) (call $query (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
                     (then unreachable))
                   (if (i64.ne (i64.const 0) (call $id)) (then unreachable))))"#
        ))
        .expect("the module assembles");
        let code = bench.deploy(&module, "").await;
        bench.call_code(&code, "", b"").await.unwrap_or_else(|failed| panic!("{shape}: {failed:?}"));
    }
    assert!(bench.databases.asked().is_empty());
}
