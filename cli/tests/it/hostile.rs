//! Bad input, by HTTP and on the command line: each is refused with a reason, and nobody else notices.
//!
//! What single functions and parsers refuse is tested beside them; here the whole program is under attack.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};

use crate::support::{FORM, Http, Reply, Server, compiled, file_head, fixture, form, normalised};

const MIB: usize = 1 << 20;

/// Status, code and message of a refusal.
fn shown(reply: &Reply) -> String {
    let document = reply.json();
    assert_eq!(document["ok"], false, "{document}");
    assert_eq!(document["error"]["request_id"], reply.header("x-request-id").expect("an id"));
    let text = |key: &str| document[key].as_str().expect("text").to_owned();
    format!("{} {}: {}\n", reply.status, text("code"), text("message"))
}

#[track_caller]
fn check(replies: &[Reply], want: Expect) {
    want.assert_eq(&replies.iter().map(shown).collect::<String>());
}

#[test]
fn an_upload_of_300_mb_is_refused_and_never_held() {
    const UPLOAD: usize = 300 * MIB;
    let server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    let before = peak_memory_kb(server.pid());
    let started = Instant::now();

    let length = UPLOAD.to_string();
    let (announced, sent) = upload(&server.http(), ("content-length", &length), UPLOAD, |bytes| bytes.to_vec());
    check(
        &[announced],
        expect![[r#"
        413 PAYLOAD_TOO_LARGE: the upload is 314572800 bytes, the limit is 67108864
    "#]],
    );
    assert!(sent < 100 * MIB, "{sent} bytes were taken of an upload whose length said that it is too large");

    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let (unannounced, sent) = upload(&server.http(), ("transfer-encoding", "chunked"), UPLOAD, chunk);
    check(
        &[unannounced],
        expect![[r#"
        413 PAYLOAD_TOO_LARGE: the part "wasm" is larger than 67108864 bytes
    "#]],
    );
    assert!(sent < 200 * MIB, "{sent} bytes were taken");

    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let grown = peak_memory_kb(server.pid()) - before;
    assert!(grown < 100 * 1024, "the server grew by {grown} kB");
    assert_eq!(server.http().post("/v1/functions/echo/invoke", b"[]").body, "[]");
}

/// Sends a deploy piece by piece until all is sent or the server stops reading; returns its answer and what was sent.
fn upload(http: &Http, framing: (&str, &str), bytes: usize, frame: impl Fn(&[u8]) -> Vec<u8>) -> (Reply, usize) {
    let head = http.head("POST", "/v1/functions", &[("content-type", FORM), framing]);
    let mut stream = http.connect().expect("the server accepts");
    stream.write_all(head.as_bytes()).expect("the server reads a head");
    let piece = frame(&[b'x'; 64 * 1024]);
    let mut sent = 0;
    let mut last = frame(file_head().as_bytes());
    while sent < bytes && stream.write_all(&last).is_ok() {
        sent += last.len();
        last.clone_from(&piece);
    }
    (reply_of(stream), sent)
}

/// The answer, although the connection may be reset behind it.
fn reply_of(mut stream: TcpStream) -> Reply {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    Reply::parse(&answer).unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&answer)))
}

/// The most memory that a process has had.
fn peak_memory_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn uploads_that_lack_something_are_refused() {
    let server = Server::start();
    let send = |kind: &str, body: &[u8]| server.http().send("POST", "/v1/functions", &[("content-type", kind)], body);
    let code = fixture("echo");
    let whole = form(&[("name", "x")], Some(&code));
    check(
        &[
            send(FORM, &form(&[("name", "x")], None)),
            send(FORM, &form(&[], Some(&code))),
            send(FORM, &whole[..whole.len() - 40]),
            send(FORM, b""),
            send("multipart/form-data", &whole),
            send("application/json", b"{\"name\": \"x\"}"),
            send("application/wasm", &code),
        ],
        expect![[r#"
            400 VALIDATION_FAILED: WASM file required: send the module as the part `wasm`
            400 VALIDATION_FAILED: Function name required: send it as `name`, in `metadata` or as a field
            400 VALIDATION_FAILED: the upload is not valid multipart/form-data: field "wasm" received with incomplete data
            400 VALIDATION_FAILED: the upload is not valid multipart/form-data: incomplete multipart stream
            400 VALIDATION_FAILED: the `Content-Type` has no boundary; use the one that your HTTP library makes
            400 VALIDATION_FAILED: WASM bytecode required: send multipart/form-data with the module as the part `wasm`
            400 VALIDATION_FAILED: WASM bytecode required: send multipart/form-data with the module as the part `wasm`
        "#]],
    );
    assert_eq!(server.http().get("/v1/functions").json()["count"], 0);
}

#[test]
fn names_that_cannot_be_are_refused_by_the_server() {
    let server = Server::start();
    let long = "a".repeat(300);
    let names = ["a/b", "..", ".", "a@b", &long, "secrets", "-rf", "", "a\0b", "ünlaut"];
    let code = fixture("echo");
    let deploy = |name: &str| server.http().deploy(name, &code, &[]).expect("the server answers");
    check(
        &names.map(deploy),
        expect![[r#"
        400 VALIDATION_FAILED: `name` is refused: the name contains '/'; use only letters, digits, `-` and `_`
        400 VALIDATION_FAILED: `name` is refused: the name contains '.'; use only letters, digits, `-` and `_`
        400 VALIDATION_FAILED: `name` is refused: the name contains '.'; use only letters, digits, `-` and `_`
        400 VALIDATION_FAILED: `name` is refused: the name contains '@'; use only letters, digits, `-` and `_`
        400 VALIDATION_FAILED: `name` is refused: the name is 300 characters long; use 1 to 63 letters, digits, `-` or `_`
        400 VALIDATION_FAILED: `name` is refused: `secrets` is a reserved word; choose another name
        400 VALIDATION_FAILED: `name` is refused: the name starts with `-`; start with a letter, a digit or `_`
        400 VALIDATION_FAILED: Function name required: send it as `name`, in `metadata` or as a field
        400 VALIDATION_FAILED: `name` is refused: the name contains '\0'; use only letters, digits, `-` and `_`
        400 VALIDATION_FAILED: `name` is refused: the name contains 'ü'; use only letters, digits, `-` and `_`
    "#]],
    );
    let paths =
        ["a%2fb", "..%2f..%2fetc", "%00", "%ff", "f@", "@2", "f@0", "f@-1", "f@2@3", "f@99999999999", "f@latest"];
    let call = |path: &str| server.http().post(&format!("/v1/functions/{path}/invoke"), b"{}");
    check(
        &paths.map(call),
        expect![[r#"
        400 VALIDATION_FAILED: the name contains '/'; use only letters, digits, `-` and `_`
        400 VALIDATION_FAILED: the name contains '.'; use only letters, digits, `-` and `_`
        400 VALIDATION_FAILED: the name contains '\0'; use only letters, digits, `-` and `_`
        400 VALIDATION_FAILED: the path has an escape that is not UTF-8 text
        400 VALIDATION_FAILED: the version "" is not a whole number from 1; write `name@2`, or `name` for the active version
        400 VALIDATION_FAILED: Function name required
        400 VALIDATION_FAILED: the version "0" is not a whole number from 1; write `name@2`, or `name` for the active version
        400 VALIDATION_FAILED: the version "-1" is not a whole number from 1; write `name@2`, or `name` for the active version
        400 VALIDATION_FAILED: the version "2@3" is not a whole number from 1; write `name@2`, or `name` for the active version
        400 VALIDATION_FAILED: the version "99999999999" is not a whole number from 1; write `name@2`, or `name` for the active version
        400 VALIDATION_FAILED: the version "latest" is not a whole number from 1; write `name@2`, or `name` for the active version
    "#]],
    );
    assert_eq!(server.http().get("/v1/functions").json()["count"], 0);
}

#[test]
fn names_that_cannot_be_are_refused_by_the_command_line() {
    let server = Server::start();
    let long = "a".repeat(300);
    let mut said = String::new();
    for name in ["a/b", "..", "a@b", "a@0", &long, "secrets"] {
        let printed = server.orama(["function", "get", name]);
        assert_eq!((printed.code, &*printed.stdout), (Some(2), ""), "{name}");
        said.push_str(printed.stderr.lines().next().expect("a line"));
        said.push('\n');
    }
    expect![[r#"
        error: invalid value 'a/b' for '<NAME>': the name contains '/'; use only letters, digits, `-` and `_`
        error: invalid value '..' for '<NAME>': the name contains '.'; use only letters, digits, `-` and `_`
        error: invalid value 'a@b' for '<NAME>': the version "b" is not a whole number from 1; write `name@2`, or `name` for the active version
        error: invalid value 'a@0' for '<NAME>': the version "0" is not a whole number from 1; write `name@2`, or `name` for the active version
        error: invalid value '<300 letters>' for '<NAME>': the name is 300 characters long; use 1 to 63 letters, digits, `-` or `_`
        error: invalid value 'secrets' for '<NAME>': `secrets` is a reserved word; choose another name
    "#]].assert_eq(&said.replace(&long, "<300 letters>"));
}

#[test]
fn versions_that_do_not_exist_are_not_found() {
    let server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    let http = server.http();
    check(
        &[
            http.post("/v1/functions/echo@2/invoke", b"{}"),
            http.post("/v1/functions/nothing/invoke", b"{}"),
            http.post("/v1/invoke/elsewhere/echo", b"{}"),
            http.get("/v1/functions/echo@2"),
            http.send("DELETE", "/v1/functions/echo@2", &[], b""),
            http.post("/v1/functions/echo/rollback", b"{\"version\": 2}"),
            http.post("/v1/functions/echo/rollback", b"{}"),
        ],
        expect![[r#"
            404 NOT_FOUND: function `echo` has no version 2
            404 NOT_FOUND: function `nothing` not found
            404 NOT_FOUND: function `echo` not found
            404 NOT_FOUND: function `echo` has no version 2
            404 NOT_FOUND: function `echo` has no version 2
            404 NOT_FOUND: function `echo` has no version 2
            409 CONFLICT: function `echo` has no version before 1
        "#]],
    );
    assert_eq!(http.post("/v1/functions/echo/invoke", b"[1]").body, "[1]");
}

#[test]
fn input_of_the_wrong_kind_is_refused_or_passed_on_as_it_is() {
    let server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    let http = server.http();
    let call =
        |kind: &str, body: &[u8]| http.send("POST", "/v1/functions/echo/invoke", &[("content-type", kind)], body);
    assert_eq!(call("text/plain", b"{\"a\": 1}").body, "{\"a\": 1}");
    assert_eq!(call("application/json", b"not JSON").json()["output"], "not JSON");
    assert_eq!(call("application/json", b"\xff\xfe").status, 200);
    check(
        &[
            http.post("/v1/functions/echo/rollback", b"not JSON"),
            http.post("/v1/functions/echo/rollback", b"{\"version\": \"1\"}"),
            http.post("/v1/functions/echo/rollback", b"{\"version\": -1}"),
            http.deploy("x", &fixture("echo"), &[("metadata", "not JSON")]).expect("the server answers"),
            http.deploy("x", &fixture("echo"), &[("memory_limit_mb", "{}")]).expect("the server answers"),
        ],
        expect![[r#"
            400 VALIDATION_FAILED: the body is not valid JSON: see line 1, column 2
            400 VALIDATION_FAILED: `version` must be a whole number from 1
            400 VALIDATION_FAILED: `version` must be a whole number from 1
            400 VALIDATION_FAILED: `metadata` is not a JSON object: expected ident at line 1 column 2
            400 VALIDATION_FAILED: `memory_limit_mb` must be a whole number, 1 to 256
        "#]],
    );
}

#[test]
fn what_is_no_function_is_refused_at_deploy_with_the_fix() {
    let server = Server::start();
    let echo = fixture("echo");
    let unknown = compiled(r#"(module (import "wasi_snapshot_preview2" "run" (func)) (func (export "_start")))"#);
    let large = compiled(r#"(module (memory (export "memory") 2000) (func (export "_start")))"#);
    let no_start = compiled(r#"(module (memory (export "memory") 1) (func (export "main")))"#);
    let modules: [(&str, &[u8]); 8] = [
        ("text", b"(module)"),
        ("elf", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
        ("component", b"\0asm\x0d\0\x01\0"),
        ("truncated", &echo[..echo.len() / 2]),
        ("empty", b""),
        ("no_start", &no_start),
        ("unknown_import", &unknown),
        ("large", &large),
    ];
    let mut said = String::new();
    for (name, code) in modules {
        let file = server.folder().join(format!("{name}.wasm"));
        fs::write(&file, code).expect("written");
        let printed = server.orama(["function".as_ref(), "deploy".as_ref(), file.as_os_str()]);
        assert_ne!(printed.code, Some(0), "{name} is refused");
        said.push_str(&format!("{name}, exit code {}\n{}", printed.code.unwrap_or(-1), printed.stderr));
    }
    let said = said.replace(&*server.folder().to_string_lossy(), "FOLDER");
    expect![[r#"
        text, exit code 2
        error: `FOLDER/text.wasm` is not a WebAssembly module
        hint: build it with `orama function build`, or name a WebAssembly file
        elf, exit code 2
        error: `FOLDER/elf.wasm` is not a WebAssembly module
        hint: build it with `orama function build`, or name a WebAssembly file
        component, exit code 2
        error: `FOLDER/component.wasm` is a WebAssembly component, and a module is needed (target wasm32-wasip1)
        hint: build it with `orama function build`, or name a WebAssembly file
        truncated, exit code 1
        error: the module is damaged or cut off: unexpected end-of-file at byte 103 (VALIDATION_FAILED)
        empty, exit code 2
        error: `FOLDER/empty.wasm` is not a WebAssembly module
        hint: build it with `orama function build`, or name a WebAssembly file
        no_start, exit code 1
        error: the module exports no `_start` (VALIDATION_FAILED)
        hint: build a program with a `main`, not a library
        unknown_import, exit code 1
        error: module[wasi_snapshot_preview2] not instantiated (VALIDATION_FAILED)
        hint: build for WASI preview 1 (`wasi_snapshot_preview1`), such as `--target wasm32-wasip1`
        large, exit code 1
        error: the module needs at least 125 MB of memory, its limit is 64 MB (VALIDATION_FAILED)
        hint: set `memory: 125` in function.yaml (at most 256)
    "#]]
    .assert_eq(&said);
    assert_eq!(server.http().get("/v1/functions").json()["count"], 0);
}

#[test]
fn endless_loops_end_in_time_and_nobody_waits_for_them() {
    let server = Server::start();
    server.deploy("loop", &fixture("infinite_loop"), [("timeout_seconds", "1")]);
    server.deploy("echo", &fixture("echo"), []);
    let http = server.http();
    let spinning = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let loops: Vec<_> = (0..4).map(|_| scope.spawn(|| timed(&http, "loop"))).collect();
        let others = scope.spawn(|| {
            let mut times = Vec::new();
            while spinning.load(Ordering::Relaxed) {
                let (reply, time) = timed(&http, "echo");
                assert_eq!(reply.status, 200, "{reply:?}");
                times.push(time);
            }
            times
        });
        let ended: Vec<_> = loops.into_iter().map(|thread| thread.join().expect("it is answered")).collect();
        spinning.store(false, Ordering::Relaxed);
        for (reply, time) in &ended {
            assert_eq!(shown(reply), "504 TIMEOUT: the function did not finish within 1 s\n");
            assert!((1.0..4.0).contains(&time.as_secs_f64()), "{time:?}");
        }
        let times = others.join().expect("others are answered");
        let slowest = times.iter().max().expect("there were others");
        println!("{} other calls meanwhile, the slowest took {slowest:?}", times.len());
        assert!(times.len() >= 20, "only {} other calls were answered", times.len());
        assert!(*slowest < Duration::from_millis(500), "another call took {slowest:?}");
    });
}

fn timed(http: &Http, name: &str) -> (Reply, Duration) {
    let started = Instant::now();
    let reply = http.post(&format!("/v1/functions/{name}/invoke"), b"{}");
    (reply, started.elapsed())
}

#[test]
fn functions_that_fail_say_how_and_the_next_call_works() {
    let server = Server::start();
    let names =
        ["exit_3", "trap_unreachable", "infinite_recursion", "memory_growth", "endless_output", "allocator_traps"];
    for name in names {
        server.deploy(name, &fixture(name), []);
    }
    server.deploy("echo", &fixture("echo"), []);
    let mut replies = Vec::new();
    for name in names {
        replies.push(timed(&server.http(), name).0);
        assert_eq!(timed(&server.http(), "echo").0.body, "{}");
    }
    let said: String =
        replies.iter().map(|reply| format!("{:?} {}", reply.json()["error"]["kind"].as_str(), shown(reply))).collect();
    expect![[r#"
        Some("exit") 500 FUNCTION_EXECUTION_FAILED: exit code 3; standard error: disk is full
        Some("trap") 500 FUNCTION_EXECUTION_FAILED: the function trapped: wasm trap: wasm `unreachable` instruction executed in `inner`
        Some("stack_overflow") 500 FUNCTION_EXECUTION_FAILED: the function recursed too deep: its stack overflowed
        Some("memory") 500 FUNCTION_EXECUTION_FAILED: the function ran out of memory: its limit is 64 MB
        Some("output_limit") 500 FUNCTION_EXECUTION_FAILED: the reply is larger than 8 MiB
        Some("trap") 500 FUNCTION_EXECUTION_FAILED: the function trapped: wasm trap: wasm `unreachable` instruction executed
    "#]].assert_eq(&said);

    let printed = server.orama(["function", "invoke", "exit_3"]);
    assert_eq!(printed.code, Some(1));
    expect![[r#"
        error: exit code 3; standard error: disk is full (FUNCTION_EXECUTION_FAILED)
               request id ID
        hint: run `orama function logs exit_3 --request-id ID`
    "#]]
    .assert_eq(&normalised(&printed.stderr));
}

#[test]
fn two_requests_with_the_same_id_are_two_calls() {
    let server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    let call = || server.http().send("POST", "/v1/functions/echo/invoke", &[("x-request-id", "mine-1")], b"{}");
    let ids = [call(), call()].map(|reply| reply.header("x-request-id").expect("an id").to_owned());
    assert_ne!(ids[0], ids[1]);
    for record in server.records("echo", 2) {
        assert_eq!(record["client_request_id"], "mine-1");
        assert!(ids.iter().any(|id| record["request_id"] == **id), "{record}");
    }
}

#[test]
fn an_idempotency_key_calls_once() {
    let server = Server::start();
    server.deploy("random", &fixture("random_and_clock"), []);
    let call = |key| server.http().send("POST", "/v1/functions/random/invoke", &[("idempotency-key", key)], b"{}");
    let (first, again, other) = (call("one"), call("one"), call("two"));
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!((&first.body, first.header("x-request-id")), (&again.body, again.header("x-request-id")));
    assert_ne!(first.header("x-request-id"), other.header("x-request-id"));
    server.records("random", 2);
}

#[test]
fn input_over_the_limit_is_refused_and_never_cut() {
    let server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    let text = |bytes: usize| format!("[\"{}\"]", "x".repeat(bytes - 4));
    let call = |body: String| server.http().post("/v1/functions/echo/invoke", body.as_bytes());
    assert!(call(text(MIB)).body == text(MIB), "all of it comes back");
    check(
        &[call(text(MIB + 1))],
        expect![[r#"
        413 PAYLOAD_TOO_LARGE: the body has 1048577 bytes or more, the limit is 1048576
    "#]],
    );
}

#[test]
fn a_client_that_goes_away_leaves_a_record() {
    let server = Server::start();
    server.deploy("sleeps", &fixture("sleeps"), []);
    let minute = 60_000u32.to_le_bytes();
    let call = server.http().open("POST", "/v1/functions/sleeps/invoke", &[], &minute).expect("the server reads");
    server.wait_for_running(1);
    drop(call);
    let started = Instant::now();
    let records = server.records("sleeps", 1);
    assert!(started.elapsed() < Duration::from_secs(20), "the call went on: {:?}", started.elapsed());
    assert_eq!(records[0]["status"], "error");
    expect!["the client went away before the function finished"]
        .assert_eq(records[0]["error_message"].as_str().expect("a reason"));
}

#[test]
fn unknown_paths_and_methods_are_answered_in_json() {
    let server = Server::start();
    let http = server.http();
    let replies = [
        http.get("/"),
        http.get("/v2/functions"),
        http.get("/v1/functions/x/unknown"),
        http.send("PUT", "/v1/functions", &[], b""),
        http.send("PATCH", "/health", &[], b""),
        http.send("GET", "/v1/functions/x/invoke", &[], b""),
    ];
    for reply in &replies {
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    check(
        &replies,
        expect![[r#"
        404 NOT_FOUND: no such route
        404 NOT_FOUND: no such route
        404 NOT_FOUND: no such route
        405 VALIDATION_FAILED: PUT is not allowed here; use GET, HEAD, POST
        405 VALIDATION_FAILED: PATCH is not allowed here; use GET, HEAD
        405 VALIDATION_FAILED: GET is not allowed here; use POST
    "#]],
    );
}

#[test]
fn half_sent_requests_are_closed() {
    let server = Server::start();
    let http = server.http();
    let head = http.head("POST", "/v1/functions/x/invoke", &[]);
    let halves: [&[u8]; 4] = [b"", b"GET", b"GET /health HTTP/1.1\r\nhost: a", &head.as_bytes()[..head.len() - 2]];
    let started = Instant::now();
    std::thread::scope(|scope| {
        for half in halves {
            let http = &http;
            scope.spawn(move || {
                let mut stream = http.connect().expect("the server accepts");
                stream.write_all(half).expect("the server reads");
                let mut answer = Vec::new();
                let closed = stream.read_to_end(&mut answer);
                assert!(closed.is_ok(), "{half:?} is closed: {closed:?}");
                assert!(!answer.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(&answer));
            });
        }
    });
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

/// A folder or file that the command line should not trust.
#[test]
fn manifests_with_mistakes_name_line_and_column() {
    let server = Server::start();
    let file = server.folder().join("function.yaml");
    fs::write(server.folder().join("function.wasm"), fixture("echo")).expect("written");
    let mut said = String::new();
    for manifest in [
        "name: x\nmemroy: 64\n",
        "name: x\nmemory: 300\n",
        "name: x\ntimeout: -1\n",
        "name: a/b\n",
        "name: secrets\n",
        "name: [\n",
        "name: x\nname: y\n",
        "",
    ] {
        fs::write(&file, manifest).expect("written");
        let printed = server.orama(["function", "deploy"]);
        assert_eq!(printed.code, Some(2), "{manifest:?}: {printed:?}");
        said.push_str(&format!("{manifest:?}\n{}", printed.stderr));
    }
    expect![[r#"
        "name: x\nmemroy: 64\n"
        error: ./function.yaml:2:1: unknown key `memroy`; did you mean `memory`?
        "name: x\nmemory: 300\n"
        error: ./function.yaml:2:9: `memory` must be 1 to 256 MB
        "name: x\ntimeout: -1\n"
        error: ./function.yaml:2:10: `timeout` must be 1 to 300 seconds
        "name: a/b\n"
        error: ./function.yaml:1:7: `name` is refused: the name contains '/'; use only letters, digits, `-` and `_`
        "name: secrets\n"
        error: ./function.yaml:1:7: `name` is refused: `secrets` is a reserved word; choose another name
        "name: [\n"
        error: ./function.yaml:1:7: unclosed bracket '['
        "name: x\nname: y\n"
        error: ./function.yaml:2:1: the key `name` stands twice
        ""
        error: ./function.yaml:1:1: `name` is required; write `name: my-function`
    "#]]
    .assert_eq(&without(&said, &server.folder()));
}

fn without(text: &str, folder: &Path) -> String {
    text.replace(&*folder.to_string_lossy(), "FOLDER")
}
