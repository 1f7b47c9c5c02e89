//! Topics, WebSockets, ephemeral state, jobs and push: what reaches the house, what comes back, and what the author reads.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Error, ErrorCode, FunctionRef, SqlChanged, SqlRows, Timestamp};
use expect_test::{Expect, expect};
use ports::memory::{HouseAnswers, RecordingHouse};
use ports::{DeviceResult, EphemeralEntry, JobStatus, JobView, Notified, PushResult, SqlError};

use crate::support::{Bench, ask, ask_number};

/// A bench whose calls come from a WebSocket and carry out a job, and its house.
fn recording(answers: HouseAnswers) -> (Bench, Arc<RecordingHouse>) {
    let mut bench = Bench::new();
    (bench.socket, bench.job) = (Some("ws-1".into()), Some("job-1".into()));
    let house = bench.record(answers);
    (bench, house)
}

fn unavailable() -> HouseAnswers {
    refusing(Error::new(ErrorCode::ServiceUnavailable, "not now"))
}

fn refusing(refusal: Error) -> HouseAnswers {
    HouseAnswers { refusal: Some(refusal), ..HouseAnswers::default() }
}

/// Asks `name` for each list of arguments; a line for each answer, and for what the house was asked and the author was told.
async fn ask_all(bench: &Bench, house: &RecordingHouse, name: &str, cases: &[&[&[u8]]], want: Expect) {
    let returns_bytes = !matches!(
        name,
        "pubsub_publish"
            | "pubsub_publish_batch"
            | "ws_send"
            | "ws_broadcast"
            | "ws_pubsub_bridge"
            | "ws_pubsub_unbridge"
    ) && !matches!(
        name,
        "ephemeral_state_set" | "ephemeral_state_clear" | "push_send" | "job_cancel" | "job_progress"
    );
    let mut seen = String::new();
    for arguments in cases {
        let reply = ask(bench, name, arguments).await.expect("a refused host call is no failure of the function");
        let answer = match returns_bytes {
            true => format!("`{}`", String::from_utf8_lossy(&reply.body)),
            false => i64::from_le_bytes(reply.body[..].try_into().expect("eight bytes")).to_string(),
        };
        let asked = house.asked().into_iter().map(|line| line.chars().take(100).collect());
        let told = reply.ended.logs.iter().map(|line| format!("log {}: {}", line.level.as_str(), line.message));
        let lines: Vec<String> = std::iter::once(answer).chain(asked).chain(told).collect();
        seen += &format!("{}\n", lines.join(" | "));
    }
    want.assert_eq(&seen);
}

#[tokio::test]
async fn get_ws_client_id() {
    let mut bench = Bench::new();
    assert_eq!(ask(&bench, "get_ws_client_id", &[]).await.expect("success").body, "");
    bench.socket = Some("ws-7".into());
    assert_eq!(ask(&bench, "get_ws_client_id", &[]).await.expect("success").body, "ws-7");
}

#[tokio::test]
async fn pubsub_publish() {
    let (bench, house) = recording(HouseAnswers::default());
    let (long, huge) = (vec![b't'; 257], vec![b'x'; (1 << 20) + 1]);
    let cases: [&[&[u8]]; 7] = [
        &[b"orders:new", b"{\"id\":1}"],
        &[b"bytes", b"\0\xff"],
        &[b"empty", b""],
        &[b"", b"x"],
        &[&long, b"x"],
        &[b"\xff", b"x"],
        &[b"large", &huge],
    ];
    ask_all(
        &bench,
        &house,
        "pubsub_publish",
        &cases,
        expect![[r#"
        1 | publish orders:new=b"{\"id\":1}"
        1 | publish bytes=b"\0\xff"
        1 | publish empty=b""
        0 | log warn: `pubsub_publish`: the topic is empty; use 1 to 256 bytes, such as `orders:new`
        0 | log warn: `pubsub_publish`: the topic is 257 bytes long, the limit is 256
        0 | log warn: `pubsub_publish`: the topic is not valid UTF-8
        0 | log warn: `pubsub_publish`: the message is larger than 1048576 bytes
    "#]],
    )
    .await;
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "pubsub_publish",
        &[&[b"t", b"x"]],
        expect![[r#"
        0 | publish t=b"x" | log warn: `pubsub_publish`: not now
    "#]],
    )
    .await;
}

#[tokio::test]
async fn pubsub_publish_batch() {
    let (bench, house) = recording(HouseAnswers::default());
    let message = r#"{"topic":"t","data_base64":"AP8="}"#;
    let batch = |count: usize| format!("[{}]", vec![message; count].join(","));
    let (two, hundred, more) = (batch(2), batch(100), batch(101));
    let large = format!(r#"[{{"topic":"t","data_base64":"{}"}}]"#, STANDARD.encode(vec![0; (1 << 20) + 1]));
    let cases: [&[&[u8]]; 11] = [
        &[two.as_bytes()],
        &[hundred.as_bytes()],
        &[more.as_bytes()],
        &[b"[]"],
        &[br#"[{"topic":"t"}]"#],
        &[br#"[{"topic":"a","data_base64":""},{"topic":"","data_base64":""}]"#],
        &[br#"[{"topic":"t","data_base64":"no base64"}]"#],
        &[br#"[{"data_base64":""}]"#],
        &[b""],
        &[b"{}"],
        &[large.as_bytes()],
    ];
    ask_all(&bench, &house, "pubsub_publish_batch", &cases, expect![[r#"
        1 | publish t=b"\0\xff" t=b"\0\xff"
        1 | publish t=b"\0\xff" t=b"\0\xff" t=b"\0\xff" t=b"\0\xff" t=b"\0\xff" t=b"\0\xff" t=b"\0\xff" t=b"\0\x
        0 | log warn: `pubsub_publish_batch`: 101 messages are too many for one batch, the limit is 100
        1
        0 | log warn: `pubsub_publish_batch`: the messages are no JSON array of {topic, data_base64}: missing field `data_base64` at line 1 column 14
        0 | log warn: `pubsub_publish_batch`: message 1: the topic is empty; use 1 to 256 bytes, such as `orders:new`
        0 | log warn: `pubsub_publish_batch`: message 0: `data_base64`: Invalid symbol 32, offset 2.
        0 | log warn: `pubsub_publish_batch`: the messages are no JSON array of {topic, data_base64}: missing field `topic` at line 1 column 19
        0 | log warn: `pubsub_publish_batch`: the messages are no JSON array of {topic, data_base64}: EOF while parsing a value at line 1 column 0
        0 | log warn: `pubsub_publish_batch`: the messages are no JSON array of {topic, data_base64}: invalid type: map, expected a sequence at line 1 column 0
        0 | log warn: `pubsub_publish_batch`: the message is larger than 1048576 bytes
    "#]]).await;
}

#[tokio::test]
async fn a_call_publishes_a_thousand_messages_and_no_more() {
    let (bench, house) = recording(HouseAnswers::default());
    let module = wat::parse_str(
        r#"(module
             (import "env" "pubsub_publish" (func $publish (param i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
             (memory (export "memory") 1)
             (data (i32.const 16) "t")
             (func (export "_start") (local $left i32)
               (i32.store (i32.const 0) (i32.const 32))
               (i32.store (i32.const 4) (i32.const 4))
               (local.set $left (i32.const 1005))
               (loop $more
                 (i32.store (i32.const 32) (i32.add (i32.load (i32.const 32))
                   (call $publish (i32.const 16) (i32.const 1) (i32.const 16) (i32.const 1))))
                 (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                 (br_if $more (local.get $left)))
               (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
    )
    .expect("the module assembles");
    let code = bench.deploy(&module, "").await;
    for _ in 0..2 {
        let reply = bench.call_code(&code, "", b"").await.expect("success");
        assert_eq!(reply.body[..], 1000u32.to_le_bytes(), "each call has its own");
        assert_eq!(house.asked().len(), 1000);
        let told: Vec<_> = reply.ended.logs.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(told, vec!["`pubsub_publish`: a call publishes at most 1000 messages"; 5]);
    }
}

#[tokio::test]
async fn exec_and_publish() {
    let (bench, house) = recording(HouseAnswers::default());
    bench.databases.answer("INSERT", SqlChanged { rows_affected: 1, last_insert_id: Some(7) });
    bench.databases.answer("SELECT", SqlRows { columns: ["n".to_owned()].into(), rows: vec![] });
    bench.databases.fail("BROKEN", || SqlError::Constraint("UNIQUE constraint failed: t.a".into()));
    let both: &[u8] = br#"{"ops":[{"kind":"exec","sql":"INSERT"},{"kind":"query","sql":"SELECT"}]}"#;
    let broken: &[u8] = br#"{"ops":[{"kind":"exec","sql":"INSERT"},{"kind":"exec","sql":"BROKEN"}]}"#;
    let grows = "{{seq}}".repeat((1 << 20) / 7);
    let cases: [&[&[u8]]; 9] = [
        &[both, b"t", b"plain"],
        &[both, b"t", b"{\"seq\":{{seq}},\"again\":{{seq}}}"],
        &[br#"{"ops":[]}"#, b"t", b"{{seq}}"],
        &[broken, b"t", b"{{seq}}"],
        &[br#"{"ops":[]}"#, b"t", b"{{seq}} {{seq} {seq}}"],
        &[both, b"", b"x"],
        &[b"{}", b"t", b"x"],
        &[br#"{"ops":[{"kind":"exec"}]}"#, b"t", b"x"],
        &[br#"{"ops":[]}"#, b"t", grows.as_bytes()],
    ];
    ask_all(&bench, &house, "exec_and_publish", &cases, expect![[r#"
        `{"results":[{"kind":"exec","rows_affected":1,"last_insert_id":7},{"kind":"query","rows":[]}],"committed":true,"published":true}` | publish t=b"plain"
        `{"results":[{"kind":"exec","rows_affected":1,"last_insert_id":7},{"kind":"query","rows":[]}],"committed":true,"seq":1,"published":true}` | publish t=b"{\"seq\":1,\"again\":1}"
        `{"results":[],"committed":true,"seq":2,"published":true}` | publish t=b"2"
        `{"results":[],"committed":false,"failed_index":1,"error":"UNIQUE constraint failed: t.a","code":"CONSTRAINT_VIOLATION"}`
        `{"results":[],"committed":true,"seq":3,"published":true}` | publish t=b"3 {{seq} {seq}}"
        `{"results":[],"committed":false,"failed_index":-1,"error":"the topic is empty; use 1 to 256 bytes, such as `orders:new`","code":"INVALID_ARGUMENT"}`
        `{"results":[],"committed":false,"failed_index":-1,"error":"`ops` is missing: {\"ops\":[…]}","code":"INVALID_ARGUMENT"}`
        `{"results":[],"committed":false,"failed_index":0,"error":"`sql` is missing","code":"INVALID_ARGUMENT"}`
        `{"results":[],"committed":true,"seq":4,"published":true}` | publish t=b"4444444444444444444444444444444444444444444444444444444444444444444444444444444444444444
    "#]]).await;
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "exec_and_publish",
        &[&[br#"{"ops":[]}"#, b"t", b"{{seq}}"]],
        expect![[r#"
        `{"results":[],"committed":true,"seq":1,"published":false,"publish_error":"not now"}` | publish t=b"1"
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ws_send() {
    let (bench, house) = recording(HouseAnswers::default());
    let cases: [&[&[u8]]; 4] = [&[b"ws-2", b"hello"], &[b"", b"\0\xff"], &[b"", b""], &[b"\xff", b"x"]];
    ask_all(
        &bench,
        &house,
        "ws_send",
        &cases,
        expect![[r#"
        1 | send "ws-2" b"hello"
        1 | send "" b"\0\xff"
        1 | send "" b""
        0 | log warn: `ws_send`: the id of a client is not valid UTF-8
    "#]],
    )
    .await;
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "ws_send",
        &[&[b"ws-2", b"x"]],
        expect![[r#"
        0 | send "ws-2" b"x" | log warn: `ws_send`: not now
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ws_broadcast() {
    let (bench, house) = recording(HouseAnswers::default());
    let cases: [&[&[u8]]; 3] = [&[b"room", b"hello"], &[b"", b"x"], &[b"a\nb", b"x"]];
    ask_all(
        &bench,
        &house,
        "ws_broadcast",
        &cases,
        expect![[r#"
        1 | broadcast room b"hello"
        0 | log warn: `ws_broadcast`: the topic is empty; use 1 to 256 bytes, such as `orders:new`
        0 | log warn: `ws_broadcast`: the topic contains the control character '\n'
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ws_pubsub_bridge() {
    let (bench, house) = recording(HouseAnswers::default());
    let cases: [&[&[u8]]; 4] = [&[b"ws-2", b"room"], &[b"", b"room"], &[b"ws-2", b""], &[b"\xff", b"room"]];
    ask_all(
        &bench,
        &house,
        "ws_pubsub_bridge",
        &cases,
        expect![[r#"
        1 | bridge "ws-2" room
        1 | bridge "" room
        0 | log warn: `ws_pubsub_bridge`: the topic is empty; use 1 to 256 bytes, such as `orders:new`
        0 | log warn: `ws_pubsub_bridge`: the id of a client is not valid UTF-8
    "#]],
    )
    .await;
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "ws_pubsub_bridge",
        &[&[b"", b"room"]],
        expect![[r#"
        0 | bridge "" room | log warn: `ws_pubsub_bridge`: not now
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ws_pubsub_unbridge() {
    let (bench, house) = recording(HouseAnswers::default());
    let cases: [&[&[u8]]; 2] = [&[b"ws-2", b"room"], &[b"ws-2", b""]];
    ask_all(
        &bench,
        &house,
        "ws_pubsub_unbridge",
        &cases,
        expect![[r#"
        1 | unbridge "ws-2" room
        0 | log warn: `ws_pubsub_unbridge`: the topic is empty; use 1 to 256 bytes, such as `orders:new`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ephemeral_state_set() {
    let (mut bench, house) = recording(HouseAnswers::default());
    let ttl = |ms: i64| ms.to_le_bytes();
    let largest = vec![b'p'; 16 << 10];
    let larger = vec![b'p'; (16 << 10) + 1];
    let (ms, below, above) = (ttl(30_000), ttl(-1), ttl(i64::MAX));
    let cases: [&[&[u8]]; 8] = [
        &[b"typing:room1", b"user-7", b"", &ms],
        &[b"typing:room1", b"user-7", b"\0\xff", &below],
        &[b"typing:room1", b"user-7", b"x", &above],
        &[b"typing:room1", b"user-7", &larger, &ms],
        &[b"", b"user-7", b"", &ms],
        &[b"typing:room1", b"", b"", &ms],
        &[b"typing:room1", b"\xff", b"", &ms],
        &[b"t", b"k", &largest, &ms],
    ];
    ask_all(
        &bench,
        &house,
        "ephemeral_state_set",
        &cases,
        expect![[r#"
        1 | set typing:room1 user-7 b"" 30000 of ws-1
        1 | set typing:room1 user-7 b"\0\xff" -1 of ws-1
        1 | set typing:room1 user-7 b"x" 9223372036854775807 of ws-1
        0 | log warn: `ephemeral_state_set`: the payload is larger than 16384 bytes
        0 | log warn: `ephemeral_state_set`: the topic is empty; use 1 to 256 bytes, such as `orders:new`
        0 | log warn: `ephemeral_state_set`: the key is empty
        0 | log warn: `ephemeral_state_set`: the key is not valid UTF-8
        1 | set t k b"pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp
    "#]],
    )
    .await;
    bench.socket = None;
    ask_all(
        &bench,
        &house,
        "ephemeral_state_set",
        &[&[b"t", b"k", b"", &ms]],
        expect![[r#"
        0 | log warn: `ephemeral_state_set`: the call came from no WebSocket, so nobody would own the state
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ephemeral_state_clear() {
    let (mut bench, house) = recording(HouseAnswers::default());
    let cases: [&[&[u8]]; 3] = [&[b"typing:room1", b"user-7"], &[b"", b"k"], &[b"t", b""]];
    ask_all(
        &bench,
        &house,
        "ephemeral_state_clear",
        &cases,
        expect![[r#"
        1 | clear typing:room1 user-7 of ws-1
        0 | log warn: `ephemeral_state_clear`: the topic is empty; use 1 to 256 bytes, such as `orders:new`
        0 | log warn: `ephemeral_state_clear`: the key is empty
    "#]],
    )
    .await;
    bench.socket = None;
    ask_all(
        &bench,
        &house,
        "ephemeral_state_clear",
        &[&[b"t", b"k"]],
        expect![[r#"
        0 | log warn: `ephemeral_state_clear`: the call came from no WebSocket, so nobody would own the state
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ephemeral_state_list() {
    let entry = |key: &str, payload: &'static [u8]| EphemeralEntry {
        key: key.to_owned(),
        client_id: "ws-abc".into(),
        payload: Bytes::from_static(payload),
        expires_in_ms: 48_211,
    };
    let entries = vec![entry("user-7", b"\0\xff"), entry("user-8", b"")];
    let (mut bench, house) = recording(HouseAnswers { entries, ..HouseAnswers::default() });
    bench.socket = None;
    let cases: [&[&[u8]]; 2] = [&[b"typing:room1"], &[b""]];
    ask_all(&bench, &house, "ephemeral_state_list", &cases, expect![[r#"
        `{"entries":[{"key":"user-7","client_id":"ws-abc","payload":"AP8=","expires_in_ms":48211},{"key":"user-8","client_id":"ws-abc","expires_in_ms":48211}]}` | list typing:room1
        `` | log warn: `ephemeral_state_list`: the topic is empty; use 1 to 256 bytes, such as `orders:new`
    "#]]).await;
    let (bench, house) = recording(HouseAnswers::default());
    ask_all(
        &bench,
        &house,
        "ephemeral_state_list",
        &[&[b"quiet"]],
        expect![[r#"
        `{"entries":[]}` | list quiet
    "#]],
    )
    .await;
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "ephemeral_state_list",
        &[&[b"t"]],
        expect![[r#"
        `` | list t | log warn: `ephemeral_state_list`: not now
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_list_larger_than_the_memory_of_the_function_is_refused() {
    let entry = |number: usize| EphemeralEntry {
        key: format!("{number:05}"),
        client_id: "ws-abc".into(),
        payload: Bytes::from(vec![7; 512]),
        expires_in_ms: 1,
    };
    let entries = (0..10_000).map(entry).collect();
    let (bench, _house) = recording(HouseAnswers { entries, ..HouseAnswers::default() });
    let whole = ask(&bench, "ephemeral_state_list", &[b"t"]).await.expect("success").body;
    assert!(whole.starts_with(b"{\"entries\":[{\"key\":\"00000\"") && whole.len() > 5 << 20, "{}", whole.len());
    let code = bench.deploy(&small_list(), "memory: 1").await;
    let reply = bench.call_code(&code, "memory: 1", b"").await.expect("success");
    let told = &reply.ended.logs[0].message;
    expect!["`ephemeral_state_list`: the entries do not fit into the memory of the function"].assert_eq(told);
}

/// Lists a topic, in little memory.
fn small_list() -> Vec<u8> {
    wat::parse_str(
        r#"(module
             (import "env" "ephemeral_state_list" (func $list (param i32 i32) (result i64)))
             (memory (export "memory") 1)
             (data (i32.const 16) "t")
             (func (export "malloc") (param i32) (result i32) (i32.const 64))
             (func (export "_start") (if (i64.ne (i64.const 0) (call $list (i32.const 16) (i32.const 1))) (then unreachable))))"#,
    )
    .expect("the module assembles")
}

fn pushed() -> PushResult {
    let device = |id: &str, success| DeviceResult {
        device_id: id.to_owned(),
        provider: "ntfy".to_owned(),
        success,
        http_status: Some(if success { 200 } else { 410 }),
        reason: None,
        message: None,
        unregistered: !success,
    };
    PushResult {
        ok: true,
        devices_attempted: 2,
        devices_succeeded: 1,
        results: vec![device("a", true), device("b", false)],
    }
}

const MESSAGE: &[u8] = br#"{"title":"Hello"}"#;

#[tokio::test]
async fn push_send() {
    let (bench, house) = recording(HouseAnswers { pushed: pushed(), ..HouseAnswers::default() });
    let larger = format!("{{\"body\":\"{}\"}}", "x".repeat(16 << 10));
    let cases: [&[&[u8]]; 4] = [&[b"ada", MESSAGE], &[b"", MESSAGE], &[b"\xff", MESSAGE], &[b"ada", larger.as_bytes()]];
    ask_all(
        &bench,
        &house,
        "push_send",
        &cases,
        expect![[r#"
        1 | push ada {\"title\":\"Hello\"}
        0 | log warn: `push_send`: the user is empty
        0 | log warn: `push_send`: the user is not valid UTF-8
        0 | log warn: `push_send`: the message is larger than 16384 bytes
    "#]],
    )
    .await;
    let failed = PushResult { ok: false, devices_attempted: 2, ..PushResult::default() };
    let (bench, house) = recording(HouseAnswers { pushed: failed, ..HouseAnswers::default() });
    ask_all(
        &bench,
        &house,
        "push_send",
        &[&[b"ada", MESSAGE]],
        expect![[r#"
        0 | push ada {\"title\":\"Hello\"} | log warn: `push_send`: none of 2 devices took the message
    "#]],
    )
    .await;
}

#[tokio::test]
async fn push_send_v2() {
    let (bench, house) = recording(HouseAnswers { pushed: pushed(), ..HouseAnswers::default() });
    ask_all(&bench, &house, "push_send_v2", &[&[b"ada", MESSAGE], &[b"", MESSAGE]], expect![[r#"
        `{"ok":true,"devices_attempted":2,"devices_succeeded":1,"results":[{"device_id":"a","provider":"ntfy","success":true,"http_status":200},{"device_id":"b","provider":"ntfy","success":false,"http_status":410,"unregistered":true}]}` | push ada {\"title\":\"Hello\"}
        `{"ok":false,"devices_attempted":0,"devices_succeeded":0,"results":[],"error":"the user is empty","code":"VALIDATION_FAILED"}`
    "#]]).await;
    let (bench, house) = recording(unavailable());
    ask_all(&bench, &house, "push_send_v2", &[&[b"ada", MESSAGE]], expect![[r#"
        `{"ok":false,"devices_attempted":0,"devices_succeeded":0,"results":[],"error":"not now","code":"SERVICE_UNAVAILABLE"}` | push ada {\"title\":\"Hello\"}
    "#]]).await;
}

#[tokio::test]
async fn notify() {
    let expires_at = Timestamp::UNIX_EPOCH + Duration::from_secs(86_400);
    let ways = [
        Notified::Socket { sockets: 2 },
        Notified::Push { push: pushed() },
        Notified::Inbox { id: "m-1".to_owned(), expires_at },
    ];
    let mut seen = String::new();
    for way in ways {
        let (bench, _house) = recording(HouseAnswers { notified: Some(way), ..HouseAnswers::default() });
        let reply = ask(&bench, "notify", &[b"ada", MESSAGE]).await.expect("success");
        seen += &format!("{}\n", String::from_utf8_lossy(&reply.body));
    }
    expect![[r#"
        {"via":"socket","sockets":2}
        {"via":"push","push":{"ok":true,"devices_attempted":2,"devices_succeeded":1,"results":[{"device_id":"a","provider":"ntfy","success":true,"http_status":200},{"device_id":"b","provider":"ntfy","success":false,"http_status":410,"unregistered":true}]}}
        {"via":"inbox","id":"m-1","expires_at":"1970-01-02T00:00:00Z"}
    "#]].assert_eq(&seen);
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "notify",
        &[&[b"ada", MESSAGE], &[b"", MESSAGE]],
        expect![[r#"
        `{"error":"not now","code":"SERVICE_UNAVAILABLE"}` | notify ada {\"title\":\"Hello\"}
        `{"error":"the user is empty","code":"VALIDATION_FAILED"}`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn schedule_once() {
    let (bench, house) = recording(HouseAnswers::default());
    let at = |ms: i64| ms.to_le_bytes();
    let (soon, before, never) = (at(1_767_225_600_000), at(-1), at(i64::MAX));
    let larger = vec![b'x'; (1 << 20) + 1];
    let cases: [&[&[u8]]; 6] = [
        &[b"report", b"{\"day\":1}", &soon],
        &[b"report@3", b"", &before],
        &[b"report", b"", &never],
        &[b"", b"", &soon],
        &[b"no such name", b"", &soon],
        &[b"report", &larger, &soon],
    ];
    ask_all(
        &bench,
        &house,
        "schedule_once",
        &cases,
        expect![[r#"
        `job-1` | enqueue report b"{\"day\":1}" at 2026-01-01T00:00:00Z
        `job-1` | enqueue report@3 b"" at 1969-12-31T23:59:59.999Z
        `` | log warn: `schedule_once`: 9223372036854775807 ms since 1970 is no time that can be kept
        `` | log warn: `schedule_once`: the name is empty; use 1 to 63 letters, digits, `-` or `_`
        `` | log warn: `schedule_once`: the name contains ' '; use only letters, digits, `-` and `_`
        `` | log warn: `schedule_once`: the input is larger than 1048576 bytes
    "#]],
    )
    .await;
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "schedule_once",
        &[&[b"report", b"", &soon]],
        expect![[r#"
        `` | enqueue report b"" at 2026-01-01T00:00:00Z | log warn: `schedule_once`: not now
    "#]],
    )
    .await;
}

#[tokio::test]
async fn enqueue_background() {
    let (bench, house) = recording(HouseAnswers::default());
    let cases: [&[&[u8]]; 3] = [&[b"report", b"\0\xff"], &[b"report@2", b""], &[b"-", b""]];
    ask_all(
        &bench,
        &house,
        "enqueue_background",
        &cases,
        expect![[r#"
        `job-1` | enqueue report b"\0\xff" now
        `job-1` | enqueue report@2 b"" now
        `` | log warn: `enqueue_background`: the name starts with `-`; start with a letter, a digit or `_`
    "#]],
    )
    .await;
}

fn job(status: JobStatus) -> JobView {
    let at = |seconds: u64| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
    JobView {
        id: "job-1".to_owned(),
        function: FunctionRef::parse("report@3").expect("a reference"),
        status,
        progress: 40,
        run_at: at(10),
        created_at: at(1),
        started_at: None,
        completed_at: None,
        result: None,
        error: None,
    }
}

#[tokio::test]
async fn job_status() {
    let at = |seconds: u64| Some(Timestamp::UNIX_EPOCH + Duration::from_secs(seconds));
    let completed = |result: &'static [u8]| JobView {
        started_at: at(11),
        completed_at: at(12),
        result: Some(Bytes::from_static(result)),
        ..job(JobStatus::Completed)
    };
    let failed = JobView { error: Some("it trapped".to_owned()), completed_at: at(12), ..job(JobStatus::Failed) };
    let mut seen = String::new();
    for job in [job(JobStatus::Pending), completed(b"{\"ok\":true}"), completed(b"\0\xff"), failed] {
        let (bench, _house) = recording(HouseAnswers { job: Some(job), ..HouseAnswers::default() });
        let reply = ask(&bench, "job_status", &[b"job-1"]).await.expect("success");
        seen += &format!("{}\n", String::from_utf8_lossy(&reply.body));
    }
    expect![[r#"
        {"id":"job-1","function":"report@3","status":"pending","progress":40,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z"}
        {"id":"job-1","function":"report@3","status":"completed","progress":40,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z","started_at":"1970-01-01T00:00:11Z","completed_at":"1970-01-01T00:00:12Z","result":"{\"ok\":true}"}
        {"id":"job-1","function":"report@3","status":"completed","progress":40,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z","started_at":"1970-01-01T00:00:11Z","completed_at":"1970-01-01T00:00:12Z","result_base64":"AP8="}
        {"id":"job-1","function":"report@3","status":"failed","progress":40,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z","completed_at":"1970-01-01T00:00:12Z","error":"it trapped"}
    "#]].assert_eq(&seen);
    let (bench, house) = recording(HouseAnswers::default());
    ask_all(
        &bench,
        &house,
        "job_status",
        &[&[b"other"], &[b""], &[b"\xff"]],
        expect![[r#"
        `{"error":"no such job","code":"NOT_FOUND"}` | get "other"
        `{"error":"no such job","code":"NOT_FOUND"}` | get ""
        `{"error":"the id of the job is not valid UTF-8","code":"VALIDATION_FAILED"}`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn job_cancel() {
    let (bench, house) = recording(HouseAnswers::default());
    ask_all(
        &bench,
        &house,
        "job_cancel",
        &[&[b"job-1"], &[b"\xff"]],
        expect![[r#"
        1 | cancel "job-1"
        0 | log warn: `job_cancel`: the id of the job is not valid UTF-8
    "#]],
    )
    .await;
    let (bench, house) = recording(refusing(Error::new(ErrorCode::Conflict, "the job has ended")));
    ask_all(
        &bench,
        &house,
        "job_cancel",
        &[&[b"job-1"]],
        expect![[r#"
        0 | cancel "job-1" | log warn: `job_cancel`: the job has ended
    "#]],
    )
    .await;
}

#[tokio::test]
async fn job_progress() {
    let (mut bench, house) = recording(HouseAnswers::default());
    let percents = [0i64, 40, 100, 101, -1, 256, i64::from(i32::MIN)].map(i64::to_le_bytes);
    let cases: Vec<[&[u8]; 1]> = percents.iter().map(|percent| [&percent[..]]).collect();
    let cases: Vec<&[&[u8]]> = cases.iter().map(|case| &case[..]).collect();
    ask_all(
        &bench,
        &house,
        "job_progress",
        &cases,
        expect![[r#"
        1 | report 0 of job-1
        1 | report 40 of job-1
        1 | report 100 of job-1
        0 | log warn: `job_progress`: 101 is no percentage; use 0 to 100
        0 | log warn: `job_progress`: -1 is no percentage; use 0 to 100
        0 | log warn: `job_progress`: 256 is no percentage; use 0 to 100
        0 | log warn: `job_progress`: -2147483648 is no percentage; use 0 to 100
    "#]],
    )
    .await;
    bench.job = None;
    ask_all(
        &bench,
        &house,
        "job_progress",
        &cases[..1],
        expect![[r#"
        0 | log warn: `job_progress`: the call carries out no job
    "#]],
    )
    .await;
}

#[tokio::test]
async fn without_a_node_everything_says_so() {
    let bench = Bench::new();
    assert_eq!(ask_number(&bench, "pubsub_publish", &[b"t", b"x"]).await, 0);
    let reply = ask(&bench, "notify", &[b"ada", MESSAGE]).await.expect("success");
    assert_eq!(reply.body, r#"{"error":"push needs a running server","code":"SERVICE_UNAVAILABLE"}"#);
}
