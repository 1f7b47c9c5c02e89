//! Programs as the toolchains of each language build them: all of them run, and answer alike.
//!
//! `cargo xtask guests` builds them beside the target folder.

mod support;

use std::path::{Path, PathBuf};

use support::Bench;

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
