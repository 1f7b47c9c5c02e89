//! Programs as the toolchains of each language build them: all of them run, and answer alike.
//!
//! `cargo xtask guests` builds them beside the target folder.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::{ErrorCode, FailureKind};
use ports::memory::{HouseAnswers, RecordingHouse};
use ports::{Ended, Flow};
use support::{Bench, Socket};

/// The module of `guests/NAME`.
fn built(name: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().map(PathBuf::from).expect("the target folder");
    let path = target.join("guests").join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|cause| panic!("{}: {cause}; build it: cargo xtask guests", path.display()))
}

async fn answers(name: &str, manifest: &str, input: &str) -> String {
    let bench = Bench::new();
    let code = bench.deploy(&built(name), manifest).await;
    let reply = bench.call_code(&code, manifest, input.as_bytes()).await;
    let body = reply.unwrap_or_else(|failed| panic!("{name}: {failed:?}")).body;
    String::from_utf8(body.to_vec()).expect("the guests answer text")
}

async fn echoes(name: &str) {
    let long = format!("[{}0]", "1,".repeat(100_000));
    for input in ["", r#"{"name":"Ada","n":[1,2,3],"s":"ü"}"#, &long] {
        let want = format!("{{\"echo\":{}}}", if input.is_empty() { "null" } else { input });
        assert_eq!(answers(name, "", input).await, want, "{name}");
    }
}

#[tokio::test]
async fn go() {
    echoes("echo-go").await;
    assert_eq!(answers("hello-go", "", "{}").await, r#"{"result":"Hello!"}"#);
}

#[tokio::test]
async fn rust() {
    echoes("echo-rust").await;
}

#[tokio::test]
async fn c() {
    echoes("echo-c").await;
}

#[tokio::test]
async fn zig() {
    echoes("echo-zig").await;
}

#[tokio::test]
async fn assemblyscript() {
    echoes("echo-as").await;
}

#[tokio::test]
async fn the_shape_of_tinygo() {
    assert!(!answers("tinygo-shape", "", "{}").await.is_empty());
}

#[tokio::test]
async fn reactors() {
    for name in ["reactor-c", "reactor-go"] {
        let answer = answers(name, "reactor: true", r#"{"a":1}"#).await;
        assert!(answer.contains(r#"{"a":1}"#) && answer.contains(r#""calls":1"#), "{name}: {answer}");
    }
}

#[tokio::test]
async fn everything_that_a_call_knows_of_itself() {
    let answer = answers("probe-c", "env: {MY_VAR: value}", "{}").await;
    for part in [
        r#""request_id":"request-1""#,
        r#""wallet":"0xada""#,
        r#""my_var":"value""#,
        r#""secret":"""#,
        r#""argument":"guest""#,
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
}

const PERSISTENT: &str = "ws_persistent: true";

async fn open(name: &str, info: &str) -> (Bench, Arc<RecordingHouse>, Socket) {
    let mut bench = Bench::new();
    let house = bench.record(HouseAnswers::default());
    let code = bench.deploy(&built(name), PERSISTENT).await;
    let socket = bench.open_socket(&code, PERSISTENT, info.as_bytes()).await;
    let socket = socket.unwrap_or_else(|failed| panic!("{name}: {failed:?}"));
    (bench, house, socket)
}

/// What the house is asked for a frame.
async fn frame(socket: &mut Socket, house: &RecordingHouse, data: &str) -> Vec<String> {
    let (flow, _) = socket.frame(data.as_bytes()).await.unwrap_or_else(|failed| panic!("{data}: {failed:?}"));
    assert_eq!(flow, Flow::Continue, "{data}");
    house.asked()
}

fn lines(ended: &Ended) -> Vec<&str> {
    ended.logs.iter().map(|line| line.message.as_str()).collect()
}

#[tokio::test]
async fn a_socket_in_c() {
    let (_bench, house, mut socket) = open("socket-c", r#"{"client_id":"ws-1"}"#).await;
    assert_eq!((socket.flow, lines(&socket.opened)), (Flow::Continue, vec![r#"{"client_id":"ws-1"}"#]));
    for (data, want) in [
        ("hello", r#"send "" b"hello""#),
        ("count", r#"send "" b"{\"frames\":2}""#),
        ("", r#"send "" b"""#),
        ("who", r#"send "" b"{\"client\":\"ws-1\",\"wallet\":\"\"}""#),
        ("bridge room", r#"bridge "" room"#),
        ("unbridge room", r#"unbridge "" room"#),
        ("publish room two words", r#"publish room=b"two words""#),
        ("broadcast room hi", r#"broadcast room b"hi""#),
        ("set room ada typing now", r#"set room ada b"typing now" 60000 of ws-1"#),
        ("clear room ada", "clear room ada of ws-1"),
        ("list room", "list room"),
        ("count of words", r#"send "" b"count of words""#),
    ] {
        assert_eq!(frame(&mut socket, &house, data).await[0], want, "{data}");
    }
    let long = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        socket.frame(&long).await.expect("buffers are given back, or these would not fit");
    }
    assert_eq!(socket.frame(b"bye").await.expect("a frame").0, Flow::Close);
    assert_eq!(lines(&socket.close(b"client_disconnect").await.expect("closed")), ["client_disconnect"]);
}

#[tokio::test]
async fn a_socket_in_c_that_fails() {
    for (data, code, kind) in [
        ("trap", ErrorCode::FunctionExecutionFailed, Some(FailureKind::Trap)),
        ("exit", ErrorCode::FunctionExecutionFailed, Some(FailureKind::Exit)),
        ("eat", ErrorCode::FunctionExecutionFailed, Some(FailureKind::Memory)),
        ("loop", ErrorCode::Timeout, None),
    ] {
        let (_bench, _house, mut socket) = open("socket-c", "{}").await;
        let failed = socket.frame_within(data.as_bytes(), Duration::from_secs(1)).await.expect_err(data);
        assert_eq!((failed.error.code, failed.error.kind), (code, kind), "{data}: {failed:?}");
        assert!(socket.frame(b"hello").await.is_err(), "{data}: nothing is left to ask");
    }
}

#[tokio::test]
async fn a_socket_in_go() {
    let (bench, house, mut socket) = open("socket-go", r#"{"client_id":"ws-1","namespace":"n"}"#).await;
    assert_eq!(house.asked(), [r#"send "" b"{\"hello\":\"ws-1\"}""#]);
    for number in 1..=300 {
        assert_eq!(frame(&mut socket, &house, &format!("hello {number}")).await.len(), 1);
    }
    for (data, want) in [
        ("count", r#"send "" b"{\"frames\":301}""#),
        ("who", r#"send "" b"{\"client\":\"ws-1\",\"wallet\":\"\"}""#),
        ("publish room two words", r#"publish room=b"two words""#),
        ("type room", r#"set room typing b"" 30000 of ws-1"#),
        ("\u{fc}ber", r#"send "" b"\xc3\xbcber""#),
    ] {
        assert_eq!(frame(&mut socket, &house, data).await[0], want, "{data}");
    }
    let (flow, ended) = socket.frame(b"fail").await.expect("the function closes it itself");
    assert_eq!((flow, lines(&ended)), (Flow::Close, vec!["as it was told"]));
    assert_eq!(lines(&socket.close(b"client_disconnect").await.expect("closed")), ["closed: client_disconnect"]);
    let code = domain::Cid::of(&built("socket-go"));
    let refused =
        bench.open_socket(&code, PERSISTENT, br#"{"client_id":"ws-2","wallet":"nobody"}"#).await.expect("it starts");
    assert_eq!((refused.flow, lines(&refused.opened)), (Flow::Close, vec!["not you"]));
    let mut broken = bench.open_socket(&code, PERSISTENT, b"{}").await.expect("it opens");
    let failed = broken.frame(b"panic").await.expect_err("it ends");
    assert_eq!(failed.error.kind, Some(FailureKind::Trap));
    assert!(failed.error.message.contains("panic: as it was told"), "{}", failed.error);
}

#[tokio::test]
async fn a_socket_in_rust() {
    let (bench, house, mut socket) = open("socket-rust", r#"{"client_id":"ws-1","namespace":"n"}"#).await;
    assert_eq!(house.asked(), [r#"send "" b"{\"hello\":\"ws-1\"}""#]);
    assert_eq!(frame(&mut socket, &house, "hi").await, [r#"publish frames=b"hi""#, r#"send "" b"hi""#]);
    let long = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        socket.frame(&long).await.expect("buffers are given back, or these would not fit");
    }
    house.asked();
    assert_eq!(frame(&mut socket, &house, "count").await, [r#"send "" b"{\"frames\":102}""#]);
    let (flow, ended) = socket.frame(b"fail").await.expect("the function closes it itself");
    assert_eq!((flow, lines(&ended)), (Flow::Close, vec!["as it was told"]));
    assert_eq!(lines(&socket.close(b"client_disconnect").await.expect("closed")), ["closed: client_disconnect"]);
    let code = domain::Cid::of(&built("socket-rust"));
    let mut broken = bench.open_socket(&code, PERSISTENT, br#"{"client_id":"ws-2"}"#).await.expect("it opens");
    assert_eq!(broken.frame(b"panic").await.expect_err("it ends").error.kind, Some(FailureKind::Trap));
}

#[tokio::test]
async fn frames_without_an_instance_of_their_own() {
    let mut bench = Bench::new();
    let house = bench.record(HouseAnswers::default());
    bench.socket = Some("ws-1".into());
    let code = bench.deploy(&built("frames-c"), "").await;
    let reply = bench.call_code(&code, "", b"send hi").await.expect("success");
    assert_eq!(reply.body, "{\"client\":\"ws-1\",\"echo\":\"send hi\"}\n");
    assert_eq!(house.asked(), [r#"send "" b"hi""#]);
}
