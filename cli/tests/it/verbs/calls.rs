//! Functions called, here and on the server.

use std::fs;

use expect_test::expect;

use super::{module, with_echo};
use crate::support::{Server, check_failed, check_failure, check_json, with_input};

#[test]
fn invoke() {
    let server = with_echo();
    let invoke = ["function", "invoke", "echo"];
    assert_eq!(server.orama(invoke).ok(), "{}");
    assert_eq!(server.orama([&invoke[..], &["--data", "[1]"]].concat()).ok(), "[1]");
    fs::write(server.folder().join("input.json"), "[2]").expect("written");
    assert_eq!(server.orama([&invoke[..], &["--data", "@input.json"]].concat()).ok(), "[2]");
    assert_eq!(with_input(&server, &[&invoke[..], &["--data", "-"]].concat(), b"[3]").ok(), "[3]");
    check_json(
        &server,
        &invoke,
        expect![[r#"
        {
          "body": {},
          "duration_ms": "NUMBER",
          "request_id": "ID",
          "status": 200
        }
    "#]],
    );
    check_failure(
        &server,
        &["function", "invoke", "missing"],
        1,
        expect![[r#"
        error: function `missing` not found (NOT_FOUND)
               request id ID
        hint: run `orama function list` to see what there is
    "#]],
    );
    check_failure(
        &server,
        &[&invoke[..], &["--data", "@missing"]].concat(),
        1,
        expect![[r#"
        error: failed to read `missing`: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn invoke_many_times() {
    let server = with_echo();
    let many = ["function", "invoke", "echo", "--data", "[1]", "--repeat", "20", "--concurrency", "4"];
    let printed = server.orama(many);
    assert_eq!(printed.ok(), "[1]\n".repeat(20));
    assert!(printed.stderr.starts_with("20 ok, 0 failed, p50 "), "{}", printed.stderr);
    let printed = server.orama([&many[..], &["--json"]].concat());
    assert_eq!(printed.ok().lines().count(), 20);
    module(&server, "fails", "exit_3");
    server.orama(["function", "deploy", "fails.wasm"]).ok();
    let failed = server.orama(["function", "invoke", "fails", "--repeat", "3"]);
    assert_eq!((failed.code, &*failed.stdout), (Some(1), ""));
    assert!(failed.stderr.contains("3 of 3 calls failed"), "{}", failed.stderr);
}

#[test]
fn run() {
    let server = Server::start();
    module(&server, "echo", "echo");
    module(&server, "fails", "exit_3");
    module(&server, "chatty", "context");
    assert_eq!(server.orama(["function", "run", "echo.wasm", "--data", "[1]"]).ok(), "[1]");
    check_json(
        &server,
        &["function", "run", "chatty.wasm"],
        expect![[r#"
        {
          "body": "ID\n\n\n\n",
          "cpu_ms": "NUMBER",
          "duration_ms": "NUMBER",
          "logs": [
            {
              "level": "info",
              "message": "MY_",
              "timestamp": "TIME"
            },
            {
              "level": "error",
              "message": "VAR",
              "timestamp": "TIME"
            }
          ],
          "memory_peak_bytes": "NUMBER",
          "request_id": "ID"
        }
    "#]],
    );
    let failed = server.orama(["function", "run", "fails.wasm"]);
    check_failed(
        &server,
        &failed,
        1,
        expect![[r#"
        [debug] disk is full
        error: exit code 3; standard error: disk is full (FUNCTION_EXECUTION_FAILED)
    "#]],
    );
    check_failure(
        &server,
        &["function", "run", "missing.wasm"],
        2,
        expect![[r#"
        error: there is no folder and no module `missing.wasm`
    "#]],
    );
}
