//! What calls did, and what they printed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use expect_test::expect;

use super::{module, with_echo};
use crate::support::{Server, check, check_failed, check_failure, check_json, fixture};

#[test]
fn logs() {
    let server = with_echo();
    let none = server.orama(["function", "logs", "echo"]);
    assert_eq!((none.ok(), &*none.stderr), ("", "no calls found\n"));
    module(&server, "chatty", "context");
    server.orama(["function", "deploy", "chatty.wasm"]).ok();
    let reply = server.http().post("/v1/functions/chatty/invoke", b"{}");
    let id = reply.header("x-request-id").expect("an id").to_owned();
    server.records("chatty", 1);
    check(
        &server,
        &["function", "logs", "chatty"],
        expect![[r#"
        TIME  REQUEST-ID  STATUS  MS  IN  OUT
        TIME  ID  success  MS  2  47
            [info] MY_
            [error] VAR
    "#]],
    );
    check(
        &server,
        &["function", "logs", "chatty", "--request-id", &id],
        expect![[r#"
        TIME  REQUEST-ID  STATUS  MS  IN  OUT
        TIME  ID  success  MS  2  47
            [info] MY_
            [error] VAR
    "#]],
    );
    check_json(
        &server,
        &["function", "logs", "chatty", "--request-id", &id],
        expect![[r#"
        {
          "count": 1,
          "gaps": [],
          "invocations": [
            {
              "caller_wallet": "default",
              "completed_at": "TIME",
              "cpu_ms": "NUMBER",
              "duration_ms": "NUMBER",
              "id": "ID",
              "input_size": 2,
              "memory_used_mb": "NUMBER",
              "output_size": 47,
              "request_id": "ID",
              "started_at": "TIME",
              "status": "success",
              "trigger_type": "http",
              "version": 1,
              "wasm_logs": [
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
              ]
            }
          ],
          "logs": [
            {
              "level": "info",
              "message": "MY_",
              "request_id": "ID",
              "timestamp": "TIME"
            },
            {
              "level": "error",
              "message": "VAR",
              "request_id": "ID",
              "timestamp": "TIME"
            }
          ],
          "name": "chatty",
          "namespace": "default",
          "next": 1
        }
    "#]],
    );
    check(
        &server,
        &["function", "logs", "chatty", "--since", "15m", "--level", "error", "--limit", "1"],
        expect![[r#"
        TIME  REQUEST-ID  STATUS  MS  IN  OUT
        TIME  ID  success  MS  2  47
            [info] MY_
            [error] VAR
    "#]],
    );
    let unknown = server.orama(["function", "logs", "chatty", "--request-id", "unknown"]);
    check_failed(
        &server,
        &unknown,
        1,
        expect![[r#"
        error: `chatty` has no record of a call `unknown`
        hint: records are written within moments of a call and kept as long as the server's `retention` says
    "#]],
    );
    check_failure(
        &server,
        &["function", "logs", "missing"],
        1,
        expect![[r#"
        error: function `missing` not found (NOT_FOUND)
    "#]],
    );
}

#[test]
fn a_failed_call_is_in_the_log_with_its_reason() {
    let server = Server::start();
    server.deploy("fails", &fixture("exit_3"), []);
    server.http().post("/v1/functions/fails/invoke", b"{}");
    server.records("fails", 1);
    check(
        &server,
        &["function", "logs", "fails"],
        expect![[r#"
        TIME  REQUEST-ID  STATUS  MS  IN  OUT
        TIME  ID  error  MS  2  0
            error: exit code 3; standard error: disk is full
            [debug] disk is full
    "#]],
    );
}

#[test]
fn logs_are_followed() {
    let server = with_echo();
    for (flag, header) in [(None, true), (Some("--json"), false)] {
        let mut follower = Follower::start(&server, flag);
        if header {
            assert!(follower.line().starts_with("TIME "), "the header comes at once");
        }
        let reply = server.http().post("/v1/functions/echo/invoke", b"[1]");
        let id = reply.header("x-request-id").expect("an id");
        // What was called before may stand above.
        while !follower.line().contains(id) {}
    }
}

/// `orama function logs -f`, ended with the value.
struct Follower {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Follower {
    fn start(server: &Server, flag: Option<&str>) -> Self {
        let mut command = server.command(&server.folder());
        command.args(["function", "logs", "echo", "-f"]).args(flag).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the binary starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { process, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.lines.read_line(&mut line).expect("text"), 0, "the follower ended");
        line
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
