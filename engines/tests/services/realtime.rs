//! Topics, WebSockets and ephemeral state: what reaches the house, what comes back, and what the author reads.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Error, ErrorCode, SqlChanged, SqlRows};
use expect_test::{Expect, expect};
use ports::memory::{HouseAnswers, RecordingHouse};
use ports::{EphemeralEntry, SqlError};

use crate::support::{Bench, ask, ask_number};

/// A bench whose calls come from a WebSocket and carry out a job, and its house.
pub fn recording(answers: HouseAnswers) -> (Bench, Arc<RecordingHouse>) {
    let mut bench = Bench::new();
    (bench.socket, bench.job) = (Some("ws-1".into()), Some("job-1".into()));
    let house = bench.record(answers);
    (bench, house)
}

pub fn unavailable() -> HouseAnswers {
    refusing(Error::new(ErrorCode::ServiceUnavailable, "not now"))
}

pub fn refusing(refusal: Error) -> HouseAnswers {
    HouseAnswers { refusal: Some(refusal), ..HouseAnswers::default() }
}

/// Asks `name` for each list of arguments; a line for each answer, and for what the house was asked and the author was told.
pub async fn ask_all(bench: &Bench, house: &RecordingHouse, name: &str, cases: &[&[&[u8]]], want: Expect) {
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

#[tokio::test]
async fn without_a_node_everything_says_so() {
    let bench = Bench::new();
    assert_eq!(ask_number(&bench, "pubsub_publish", &[b"t", b"x"]).await, 0);
    let reply = ask(&bench, "notify", &[b"ada", br#"{"title":"Hello"}"#]).await.expect("success");
    assert_eq!(reply.body, r#"{"error":"push needs a running server","code":"SERVICE_UNAVAILABLE"}"#);
}
