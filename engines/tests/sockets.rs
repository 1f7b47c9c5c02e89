//! Instances of WebSockets: what they are asked, what they cost, and how they end.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Caller, Cid, ErrorCode, FailureKind, Namespace, Scope, Scopes};
use expect_test::expect;
use ports::memory::{HouseAnswers, RecordingHouse};
use ports::{Ended, Failed, Flow};
use support::{Bench, Socket, call, fixture, refuse};

const PERSISTENT: &str = "ws_persistent: true\ntimeout: 20";

/// A bench whose sockets are heard, and the deployed fixture `socket`.
async fn heard() -> (Bench, Arc<RecordingHouse>, Cid) {
    let mut bench = Bench::new();
    let house = bench.record(HouseAnswers::default());
    let code = bench.deploy(&fixture("socket"), PERSISTENT).await;
    (bench, house, code)
}

async fn opened() -> (Bench, Arc<RecordingHouse>, Socket) {
    let (bench, house, code) = heard().await;
    let socket = bench.open_socket(&code, PERSISTENT, b"{}").await.expect("it opens");
    (bench, house, socket)
}

fn lines(ended: &Ended) -> Vec<&str> {
    ended.logs.iter().map(|line| line.message.as_str()).collect()
}

fn shown(failed: Failed) -> String {
    format!("{} {:?}: {}", failed.error.code, failed.error.kind, failed.error)
}

/// What the fixture counts: started, frames, buffers not given back, bytes of memory.
fn counts(house: &RecordingHouse) -> Vec<u32> {
    let asked = house.asked().pop().expect("it answers");
    let bytes = asked.strip_prefix("send \"\" b\"").and_then(|rest| rest.strip_suffix('"')).expect("a frame");
    let bytes = unescaped(bytes);
    bytes.chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().expect("four bytes"))).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut left) = (Vec::new(), text.bytes());
    while let Some(byte) = left.next() {
        match (byte, if byte == b'\\' { left.next() } else { None }) {
            (b'\\', Some(b'x')) => {
                let digits: String = left.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            }
            (b'\\', Some(b'0')) => bytes.push(0),
            (b'\\', Some(b't')) => bytes.push(9),
            (b'\\', Some(b'n')) => bytes.push(10),
            (b'\\', Some(b'r')) => bytes.push(13),
            (b'\\', Some(other)) => bytes.push(other),
            (byte, _) => bytes.push(byte),
        }
    }
    bytes
}

#[tokio::test]
async fn socket() {
    let (bench, house, code) = heard().await;
    let mut socket = bench.open_socket(&code, PERSISTENT, br#"{"client_id":"ws-1"}"#).await.expect("it opens");
    assert_eq!(socket.flow, Flow::Continue);
    assert_eq!(lines(&socket.opened), [r#"{"client_id":"ws-1"}"#]);
    assert_eq!(socket.opened.usage.memory_peak_bytes, 18 << 16);
    let long = vec![b'x'; 1 << 20];
    for frame in [&b"hello"[..], b"", b"\0\xff", &long] {
        let (flow, ended) = socket.frame(frame).await.expect("a frame");
        assert_eq!(flow, Flow::Continue);
        assert!(ended.logs.is_empty(), "each call has a log of its own");
        assert_eq!(ended.usage.memory_peak_bytes, 18 << 16);
        assert!(ended.usage.cpu > Duration::ZERO);
        assert_eq!(house.asked(), [format!("send \"\" {:?}", bytes::Bytes::copy_from_slice(frame))]);
    }
    socket.frame(b"c").await.expect("a frame");
    assert_eq!(counts(&house), [1, 5, 0, 18 << 16], "it started once, and every buffer was given back");
    assert_eq!(socket.frame(b"bye").await.expect("a frame").0, Flow::Close);
    assert_eq!(lines(&socket.close(b"client_disconnect").await.expect("closed")), ["client_disconnect"]);
}

#[tokio::test]
async fn an_opening_may_be_refused() {
    let (bench, _house, code) = heard().await;
    let mut socket = bench.open_socket(&code, PERSISTENT, b"!").await.expect("it starts");
    assert_eq!(socket.flow, Flow::Close);
    assert_eq!(lines(&socket.close(b"rejected_by_open").await.expect("closed")), ["rejected_by_open"]);
}

#[tokio::test]
async fn a_trap_ends_the_instance_and_no_other() {
    let (bench, house, mut socket) = opened().await;
    let failed = socket.frame(b"trap").await.expect_err("it traps");
    assert_eq!(failed.error.kind, Some(FailureKind::Trap));
    assert_eq!(failed.ended.usage.memory_peak_bytes, 18 << 16);
    let ended = shown(socket.frame(b"x").await.expect_err("nothing is left to ask"));
    expect!["FUNCTION_EXECUTION_FAILED None: the instance has ended"].assert_eq(&ended);
    let code = Cid::of(&fixture("socket"));
    let mut next = bench.open_socket(&code, PERSISTENT, b"{}").await.expect("another opens");
    next.frame(b"c").await.expect("a frame");
    assert_eq!(counts(&house)[1], 1, "nothing is left of the one before");
}

#[tokio::test]
async fn a_frame_ends_at_its_deadline_and_disturbs_nobody() {
    let (bench, house, mut looping) = opened().await;
    let mut other = bench.open_socket(&Cid::of(&fixture("socket")), PERSISTENT, b"{}").await.expect("it opens");
    let started = Instant::now();
    let (failed, ()) = tokio::join!(looping.frame_within(b"loop", Duration::from_millis(500)), async {
        other.frame_within(b"hello", Duration::from_millis(400)).await.expect("it gets its turn");
    });
    assert_eq!(failed.expect_err("no end of its own").error.code, ErrorCode::Timeout);
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert_eq!(house.asked(), ["send \"\" b\"hello\""]);
    assert!(looping.frame(b"x").await.is_err());
    assert_eq!(other.frame(b"b").await.expect("it goes on").0, Flow::Close);
}

#[tokio::test]
async fn a_frame_that_comes_too_late_runs_nothing() {
    let (_bench, house, mut socket) = opened().await;
    let failed = socket.frame_within(b"hello", Duration::ZERO).await.expect_err("too late");
    assert_eq!(failed.error.code, ErrorCode::Timeout);
    assert!(house.asked().is_empty());
}

#[tokio::test]
async fn a_frame_that_is_given_up_ends_the_guest() {
    let bench = Bench::with_sockets(|config| config.sockets_max = 1);
    let code = bench.deploy(&fixture("socket"), PERSISTENT).await;
    let mut socket = bench.open_socket(&code, PERSISTENT, b"{}").await.expect("it opens");
    let given_up = tokio::time::timeout(Duration::from_millis(50), socket.frame(b"loop")).await;
    assert!(given_up.is_err());
    // Its place is free as soon as the guest has been unwound.
    let freed = async {
        while bench.open_socket(&code, PERSISTENT, b"{}").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("the place becomes free");
}

#[tokio::test]
async fn memory_has_its_limit() {
    let (_bench, _house, mut socket) = opened().await;
    let failed = socket.frame(b"more").await.expect_err("out of memory");
    assert_eq!(failed.error.kind, Some(FailureKind::Memory));
    assert_eq!(failed.error.message, "the function ran out of memory: its limit is 64 MB");
}

#[tokio::test]
async fn standard_output_goes_nowhere() {
    let (_bench, house, mut socket) = opened().await;
    let output = vec![b'o'; 1 << 20];
    for _ in 0..20 {
        socket.frame(&output).await.expect("more than a call may answer");
    }
    assert!(house.asked().is_empty());
}

#[tokio::test]
async fn a_frame_has_the_caller_of_its_moment() {
    let (_bench, house, mut socket) = opened().await;
    let key = |name: &str| Caller::key("k", Namespace::parse(name).expect("a name"), Scopes::of([Scope::Invoke]));
    socket.frame_by(b"who", key("one")).await.expect("a frame");
    socket.frame_by(b"who", key("two")).await.expect("a frame");
    assert_eq!(house.asked(), ["send \"\" b\"one\"", "send \"\" b\"two\""]);
}

#[tokio::test]
async fn there_is_room_for_so_many_and_no_more() {
    let bench = Bench::with_sockets(|config| config.sockets_max = 2);
    let code = bench.deploy(&fixture("socket"), PERSISTENT).await;
    let first = bench.open_socket(&code, PERSISTENT, b"{}").await.expect("it opens");
    let _second = bench.open_socket(&code, PERSISTENT, b"{}").await.expect("it opens");
    let failed = bench.open_socket(&code, PERSISTENT, b"{}").await.expect_err("full");
    expect!["SERVICE_UNAVAILABLE None: no place is free for another WebSocket of a function"].assert_eq(&shown(failed));
    drop(first);
    bench.open_socket(&code, PERSISTENT, b"{}").await.expect("a place is free again");
    assert_eq!(call(&bench, "echo", "", b"calls have places of their own").await.expect("success").body.len(), 30);
}

/// A module of which `%` is the rest, fit for a socket.
fn module(rest: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (import "env" "log_info" (func $log (param i32 i32)))
             (memory (export "memory") 1)
             (func (export "ws_open") (param i32 i32) (result i32) (call $log (local.get 0) (local.get 1)) (i32.const 0))
             (func (export "ws_frame") (param i32 i32) (result i32) (i32.const 0))
             (func (export "ws_close") (param i32 i32)) {rest})"#
    ))
    .expect("the module assembles")
}

const MALLOC: &str = r#"(func (export "malloc") (param i32) (result i32) (i32.const 64))"#;

async fn open_module(rest: &str, manifest: &str) -> Result<Socket, Failed> {
    let bench = Bench::new();
    let code = bench.deploy(&module(rest), manifest).await;
    bench.open_socket(&code, manifest, b"opening").await
}

#[tokio::test]
async fn an_instance_starts_by_what_it_has() {
    for start in [
        r#"(func (export "_start"))"#,
        r#"(func (export "_start") (call $exit (i32.const 0)))"#,
        r#"(func (export "_initialize")) (func (export "_start") (unreachable))"#,
        "",
    ] {
        let socket = open_module(&format!("{MALLOC} {start}"), PERSISTENT).await.expect("it starts");
        assert_eq!((socket.flow, lines(&socket.opened)), (Flow::Continue, vec!["opening"]), "{start}");
    }
    let failed =
        open_module(&format!(r#"{MALLOC} (func (export "_start") (call $exit (i32.const 3)))"#), PERSISTENT).await;
    expect!["FUNCTION_EXECUTION_FAILED Some(Exit): exit code 3"].assert_eq(&shown(failed.expect_err("it failed")));
}

#[tokio::test]
async fn an_instance_has_five_seconds_to_start() {
    let endless = format!(r#"{MALLOC} (func (export "_initialize") (loop $on (br $on)))"#);
    let started = Instant::now();
    let failed = open_module(&endless, PERSISTENT).await.expect_err("it never starts");
    expect!["TIMEOUT None: the instance did not start within 5 s"].assert_eq(&shown(failed));
    assert!((5..10).contains(&started.elapsed().as_secs()));
    let failed = open_module(&endless, "ws_persistent: true\ntimeout: 1").await.expect_err("it never starts");
    expect!["TIMEOUT None: the function did not finish within 1 s"].assert_eq(&shown(failed));
}

#[tokio::test]
async fn an_allocator_that_lies_ends_the_socket() {
    let bench = Bench::new();
    let mut seen = String::new();
    for answer in ["0", "-1", "65534", "(unreachable)"] {
        let answer = if answer.starts_with('(') { answer.to_owned() } else { format!("(i32.const {answer})") };
        let code = module(&format!(r#"(func (export "malloc") (param i32) (result i32) {answer})"#));
        let code = bench.deploy(&code, PERSISTENT).await;
        seen += &format!("{}\n", shown(bench.open_socket(&code, PERSISTENT, b"opening").await.expect_err("no place")));
    }
    let freeing = format!(r#"{MALLOC} (func (export "free") (param i32) (unreachable))"#);
    seen += &format!("{}\n", shown(open_module(&freeing, PERSISTENT).await.expect_err("it cannot take it back")));
    expect![[r#"
        FUNCTION_EXECUTION_FAILED Some(Abi): the module's allocator found no place for 7 bytes
        FUNCTION_EXECUTION_FAILED Some(Abi): the module's allocator names a place outside its memory
        FUNCTION_EXECUTION_FAILED Some(Abi): the module's allocator names a place outside its memory
        FUNCTION_EXECUTION_FAILED Some(Trap): the function trapped: wasm trap: wasm `unreachable` instruction executed
        FUNCTION_EXECUTION_FAILED Some(Trap): the function trapped: wasm trap: wasm `unreachable` instruction executed
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn both_kinds_of_allocator_take_their_buffers_back() {
    let ours = r#"
        (global $given (mut i32) (i32.const 0))
        (func (export "orama_alloc") (param $size i32) (result i32)
          (global.set $given (i32.add (global.get $given) (local.get $size))) (i32.const 64))
        (func (export "orama_free") (param $at i32) (param $size i32)
          (if (i32.ne (local.get $at) (i32.const 64)) (then (unreachable)))
          (global.set $given (i32.sub (global.get $given) (local.get $size)))
          (if (global.get $given) (then (unreachable))))
        (func (export "malloc") (param i32) (result i32) (unreachable))
        (func (export "free") (param i32) (unreachable))"#;
    let mut socket = open_module(ours, PERSISTENT).await.expect("it opens");
    for frame in [&b"a"[..], b"bc", b""] {
        socket.frame(frame).await.expect("the buffer goes back to where it came from");
    }
}

#[tokio::test]
async fn what_is_unfit_for_sockets_is_refused() {
    let bench = Bench::new();
    let (memory, malloc) = (r#"(memory (export "memory") 1)"#, MALLOC);
    let function = |name: &str, params: &str, results: &str| {
        format!(r#"(func (export "{name}") (param {params}) (result {results}) unreachable)"#)
    };
    let (open, frame) = (function("ws_open", "i32 i32", "i32"), function("ws_frame", "i32 i32", "i32"));
    let close = function("ws_close", "i32 i32", "");
    let mut seen = String::new();
    for exports in [
        vec![r#"(func (export "_start"))"#],
        vec![memory, malloc, &frame, &close],
        vec![memory, malloc, &open, &close],
        vec![memory, malloc, &open, &frame],
        vec![memory, &open, &frame, &close],
        vec![malloc, &open, &frame, &close],
        vec![memory, malloc, &open, &function("ws_frame", "i32 i32", ""), &close],
        vec![memory, malloc, &function("ws_open", "i64", "i32"), &frame, &close],
        vec![memory, &function("malloc", "i64", "i32"), &open, &frame, &close],
        vec![memory, malloc, &function("free", "i32 i32", ""), &open, &frame, &close],
        vec![memory, malloc, &function("_initialize", "i32", ""), &open, &frame, &close],
    ] {
        let module = wat::parse_str(format!("(module {})", exports.join(" "))).expect("it assembles");
        seen += &format!("{}\n", refuse(&bench, &module, PERSISTENT).await);
    }
    let whole = format!("(module {memory} {malloc} {open} {frame} {close})");
    let whole = wat::parse_str(whole).expect("it assembles");
    seen += &format!("{}\n", refuse(&bench, &whole, "").await);
    let accepted = bench.prepare(&whole, PERSISTENT).await.expect("it is fit");
    seen += &format!("accepted: {:?}", accepted.warnings);
    expect![[r#"
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but the module exports no `memory` / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but the module exports no `ws_open` / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but the module exports no `ws_frame` / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but the module exports no `ws_close` / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but the module exports no allocator, neither `orama_alloc` nor `malloc` / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but the module exports no `memory` / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but `ws_frame` has the type (i32, i32) -> (), it must be (i32, i32) -> (i32) / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but `ws_open` has the type (i64) -> (i32), it must be (i32, i32) -> (i32) / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but `malloc` has the type (i64) -> (i32), it must be (i32) -> (i32) / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but `free` has the type (i32, i32) -> (), it must be (i32) -> () / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the manifest says `ws_persistent: true`, but `_initialize` has the type (i32) -> (), it must be () -> () / docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own
        VALIDATION_FAILED the module exports no `_start`, but a `ws_frame` / to keep an instance for each WebSocket, write `ws_persistent: true` into function.yaml
        accepted: ["the module exports `malloc` but no `free`: the memory of a socket grows with every frame"]"#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn a_function_of_sockets_may_answer_other_calls_as_well() {
    let bench = Bench::new();
    let sockets_only = bench.deploy(&module(MALLOC), PERSISTENT).await;
    let failed = bench.call_code(&sockets_only, PERSISTENT, b"").await.expect_err("nothing to call");
    expect!["VALIDATION_FAILED None: the function answers WebSockets only"].assert_eq(&shown(failed));
    let both = bench.deploy(&module(&format!(r#"{MALLOC} (func (export "_start"))"#)), PERSISTENT).await;
    assert_eq!(bench.call_code(&both, PERSISTENT, b"").await.expect("it has a `_start`").body, "");
    bench.open_socket(&both, PERSISTENT, b"{}").await.expect("and opens sockets");
    // Without the manifest's word for it, there are no instances to open.
    let failed = bench.open_socket(&both, "", b"{}").await.expect_err("stateless");
    expect!["VALIDATION_FAILED None: the function keeps no instance for a WebSocket"].assert_eq(&shown(failed));
}

#[tokio::test]
async fn an_open_socket_outlives_its_code() {
    let (bench, house, mut socket) = opened().await;
    bench.forget(&Cid::of(&fixture("socket"))).await;
    socket.frame(b"still here").await.expect("a frame");
    assert_eq!(house.asked(), ["send \"\" b\"still here\""]);
}
