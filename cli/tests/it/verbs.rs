//! Every verb as people and scripts see it: its text, its JSON, its exit code.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use expect_test::{Expect, expect};

use crate::support::{Printed, Server, fixture, normalised, normalised_json};

/// A server with one version of `echo`.
fn with_echo() -> Server {
    let server = Server::start();
    module(&server, "echo", "echo");
    server.orama(["function", "deploy", "echo.wasm"]).ok();
    server
}

/// Puts a program of the fixtures into the folder of the verbs, as `NAME.wasm`.
fn module(server: &Server, name: &str, program: &str) -> PathBuf {
    let file = server.folder().join(format!("{name}.wasm"));
    fs::write(&file, fixture(program)).expect("written");
    file
}

#[track_caller]
fn check(server: &Server, arguments: &[&str], want: Expect) {
    want.assert_eq(&clean(server, server.orama(arguments).ok(), &[]));
}

#[track_caller]
fn check_json(server: &Server, arguments: &[&str], want: Expect) {
    let arguments = [arguments, &["--json"]].concat();
    want.assert_eq(&clean(server, server.orama(&arguments).ok(), &arguments));
}

fn clean(server: &Server, text: &str, arguments: &[&str]) -> String {
    let text = text.replace(server.address(), "GATEWAY").replace(&*server.folder().to_string_lossy(), "FOLDER");
    let text = text.replace(&*server.home().to_string_lossy(), "HOME");
    match arguments.contains(&"--json") {
        true => normalised_json(&text),
        false => normalised(&text),
    }
}

/// What a verb says that does not succeed.
#[track_caller]
fn check_failure(server: &Server, printed: &Printed, code: i32, want: Expect) {
    assert_eq!((printed.code, &*printed.stdout), (Some(code), ""), "{printed:?}");
    want.assert_eq(&clean(server, &printed.stderr, &[]));
}

#[test]
fn deploy() {
    let server = Server::start();
    module(&server, "echo", "echo");
    let deploy = ["function", "deploy", "echo.wasm"];
    let printed = server.orama([&deploy[..], &["--dry-run"]].concat());
    expect![[r#"
        name  echo
        cid  CID
        size  SIZE
        dry run: the function is good, and nothing was stored
    "#]]
    .assert_eq(&clean(&server, &format!("{}{}", printed.ok(), printed.stderr), &[]));
    assert_eq!(server.http().get("/v1/functions").json()["count"], 0, "a dry run stores nothing");

    check(
        &server,
        &deploy,
        expect![[r#"
        name  echo
        version  1
        cid  CID
        size  SIZE
        url  GATEWAY/v1/invoke/default/echo
    "#]],
    );
    let printed = server.orama([&deploy[..], &["--if-changed"]].concat());
    expect![[r#"
        name  echo
        version  1
        cid  CID
        size  SIZE
        url  GATEWAY/v1/invoke/default/echo
        nothing changed: the active version stays
    "#]]
    .assert_eq(&clean(&server, &format!("{}{}", printed.ok(), printed.stderr), &[]));
    check_json(
        &server,
        &deploy,
        expect![[r#"
        {
          "changed": true,
          "function": {
            "active": true,
            "concurrency": 100,
            "created_at": "TIME",
            "created_by": "default",
            "engine": "wasm",
            "env_vars": {},
            "http": false,
            "id": "ID",
            "is_internal": false,
            "is_public": false,
            "memory_limit_mb": 64,
            "name": "echo",
            "namespace": "default",
            "raw_http_response": false,
            "reactor": false,
            "retry_count": 0,
            "retry_delay_seconds": 5,
            "size_bytes": "NUMBER",
            "status": "active",
            "timeout_seconds": 30,
            "updated_at": "TIME",
            "version": 2,
            "wasm_cid": "CID"
          },
          "message": "Function deployed successfully",
          "warnings": []
        }
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["function", "deploy", "missing.wasm"]),
        2,
        expect![[r#"
        error: there is no folder and no module `missing.wasm`
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["function", "deploy"]),
        2,
        expect![[r#"
        error: failed to read `./function.yaml`: No such file or directory (os error 2)
        hint: make a function with `orama function init NAME`
    "#]],
    );
}

#[test]
fn list() {
    let server = Server::start();
    let empty = server.orama(["function", "list"]);
    assert_eq!(empty.ok(), "");
    expect![[r#"
        no functions yet
        hint: make one with `orama function init hello`, then run `orama function deploy hello`
    "#]]
    .assert_eq(&empty.stderr);
    check_json(
        &server,
        &["function", "list"],
        expect![[r#"
        {
          "count": 0,
          "functions": []
        }
    "#]],
    );
    module(&server, "b", "echo");
    module(&server, "a", "echo");
    server.orama(["function", "deploy", "b.wasm"]).ok();
    server.orama(["function", "deploy", "a.wasm"]).ok();
    check(
        &server,
        &["function", "list"],
        expect![[r#"
        NAME  VERSION  STATUS  PUBLIC  MEMORY  TIMEOUT  UPDATED
        a  1  active  no  64 MB  30 s  TIME
        b  1  active  no  64 MB  30 s  TIME
    "#]],
    );
    check_json(
        &server,
        &["function", "list"],
        expect![[r#"
        {
          "count": 2,
          "functions": [
            {
              "active": true,
              "concurrency": 100,
              "created_at": "TIME",
              "created_by": "default",
              "engine": "wasm",
              "env_vars": {},
              "http": false,
              "id": "ID",
              "is_internal": false,
              "is_public": false,
              "memory_limit_mb": 64,
              "name": "a",
              "namespace": "default",
              "raw_http_response": false,
              "reactor": false,
              "retry_count": 0,
              "retry_delay_seconds": 5,
              "size_bytes": "NUMBER",
              "status": "active",
              "timeout_seconds": 30,
              "updated_at": "TIME",
              "version": 1,
              "wasm_cid": "CID"
            },
            {
              "active": true,
              "concurrency": 100,
              "created_at": "TIME",
              "created_by": "default",
              "engine": "wasm",
              "env_vars": {},
              "http": false,
              "id": "ID",
              "is_internal": false,
              "is_public": false,
              "memory_limit_mb": 64,
              "name": "b",
              "namespace": "default",
              "raw_http_response": false,
              "reactor": false,
              "retry_count": 0,
              "retry_delay_seconds": 5,
              "size_bytes": "NUMBER",
              "status": "active",
              "timeout_seconds": 30,
              "updated_at": "TIME",
              "version": 1,
              "wasm_cid": "CID"
            }
          ]
        }
    "#]],
    );
}

#[test]
fn get() {
    let server = with_echo();
    check(
        &server,
        &["function", "get", "echo"],
        expect![[r#"
        name  echo
        namespace  default
        version  1
        active  true
        status  active
        is_public  false
        memory_limit_mb  64
        timeout_seconds  30
        wasm_cid  CID
        concurrency  100
        created_at  TIME
        created_by  default
        engine  wasm
        env_vars  {}
        http  false
        id  ID
        is_internal  false
        raw_http_response  false
        reactor  false
        retry_count  0
        retry_delay_seconds  5
        size_bytes  225
        updated_at  TIME
    "#]],
    );
    check_json(
        &server,
        &["function", "get", "echo@1"],
        expect![[r#"
        {
          "active": true,
          "concurrency": 100,
          "created_at": "TIME",
          "created_by": "default",
          "engine": "wasm",
          "env_vars": {},
          "http": false,
          "id": "ID",
          "is_internal": false,
          "is_public": false,
          "memory_limit_mb": 64,
          "name": "echo",
          "namespace": "default",
          "raw_http_response": false,
          "reactor": false,
          "retry_count": 0,
          "retry_delay_seconds": 5,
          "size_bytes": "NUMBER",
          "status": "active",
          "timeout_seconds": 30,
          "updated_at": "TIME",
          "version": 1,
          "wasm_cid": "CID"
        }
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["function", "get", "echo@2"]),
        1,
        expect![[r#"
        error: function `echo` has no version 2 (NOT_FOUND)
        hint: list the versions with `orama function versions echo`
    "#]],
    );
}

#[test]
fn versions_and_rollback() {
    let server = with_echo();
    server.orama(["function", "deploy", "echo.wasm"]).ok();
    check(
        &server,
        &["function", "versions", "echo"],
        expect![[r#"
        VERSION  CID  SIZE  CREATED  ACTIVE
        2  CID  SIZE  TIME  *
        1  CID  SIZE  TIME
    "#]],
    );
    check(
        &server,
        &["function", "rollback", "echo"],
        expect![[r#"
        echo is now version 1
    "#]],
    );
    check_json(
        &server,
        &["function", "versions", "echo"],
        expect![[r#"
        {
          "count": 2,
          "versions": [
            {
              "active": false,
              "concurrency": 100,
              "created_at": "TIME",
              "created_by": "default",
              "engine": "wasm",
              "env_vars": {},
              "http": false,
              "id": "ID",
              "is_internal": false,
              "is_public": false,
              "memory_limit_mb": 64,
              "name": "echo",
              "namespace": "default",
              "raw_http_response": false,
              "reactor": false,
              "retry_count": 0,
              "retry_delay_seconds": 5,
              "size_bytes": "NUMBER",
              "status": "active",
              "timeout_seconds": 30,
              "updated_at": "TIME",
              "version": 2,
              "wasm_cid": "CID"
            },
            {
              "active": true,
              "concurrency": 100,
              "created_at": "TIME",
              "created_by": "default",
              "engine": "wasm",
              "env_vars": {},
              "http": false,
              "id": "ID",
              "is_internal": false,
              "is_public": false,
              "memory_limit_mb": 64,
              "name": "echo",
              "namespace": "default",
              "raw_http_response": false,
              "reactor": false,
              "retry_count": 0,
              "retry_delay_seconds": 5,
              "size_bytes": "NUMBER",
              "status": "active",
              "timeout_seconds": 30,
              "updated_at": "TIME",
              "version": 1,
              "wasm_cid": "CID"
            }
          ]
        }
    "#]],
    );
    check(
        &server,
        &["function", "rollback", "echo", "2"],
        expect![[r#"
        echo is now version 2
    "#]],
    );
    check_json(
        &server,
        &["function", "rollback", "echo", "1"],
        expect![[r#"
        {
          "function": {
            "active": true,
            "concurrency": 100,
            "created_at": "TIME",
            "created_by": "default",
            "engine": "wasm",
            "env_vars": {},
            "http": false,
            "id": "ID",
            "is_internal": false,
            "is_public": false,
            "memory_limit_mb": 64,
            "name": "echo",
            "namespace": "default",
            "raw_http_response": false,
            "reactor": false,
            "retry_count": 0,
            "retry_delay_seconds": 5,
            "size_bytes": "NUMBER",
            "status": "active",
            "timeout_seconds": 30,
            "updated_at": "TIME",
            "version": 1,
            "wasm_cid": "CID"
          },
          "message": "Function rolled back to version 1"
        }
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["function", "rollback", "echo", "7"]),
        1,
        expect![[r#"
        error: function `echo` has no version 7 (NOT_FOUND)
        hint: list the versions with `orama function versions echo`
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["function", "rollback", "echo"]),
        1,
        expect![[r#"
        error: function `echo` has no version before 1 (CONFLICT)
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["function", "versions", "missing"]),
        1,
        expect![[r#"
        error: there is no function `missing`
        hint: run `orama function list` to see what there is
    "#]],
    );
}

#[test]
fn invoke() {
    let server = with_echo();
    let invoke = ["function", "invoke", "echo"];
    assert_eq!(server.orama(invoke).ok(), "{}");
    assert_eq!(server.orama([&invoke[..], &["--data", "[1]"]].concat()).ok(), "[1]");
    fs::write(server.folder().join("input.json"), "[2]").expect("written");
    assert_eq!(server.orama([&invoke[..], &["--data", "@input.json"]].concat()).ok(), "[2]");
    assert_eq!(with_input(&server, &[&invoke[..], &["--data", "-"]].concat(), "[3]").ok(), "[3]");
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
        &server.orama(["function", "invoke", "missing"]),
        1,
        expect![[r#"
        error: function `missing` not found (NOT_FOUND)
               request id ID
        hint: run `orama function list` to see what there is
    "#]],
    );
    check_failure(
        &server,
        &server.orama([&invoke[..], &["--data", "@missing"]].concat()),
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
    check_failure(
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
        &server.orama(["function", "logs", "missing"]),
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

#[test]
fn enable_and_disable() {
    let server = with_echo();
    check(
        &server,
        &["function", "disable", "echo"],
        expect![[r#"
        disabled echo
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["function", "invoke", "echo"]),
        1,
        expect![[r#"
        error: function `echo` is disabled (FUNCTION_UNAVAILABLE)
               request id ID
        hint: switch it on with `orama function enable echo`
    "#]],
    );
    check_json(
        &server,
        &["function", "enable", "echo"],
        expect![[r#"
        {
          "enabled": true,
          "function": "echo",
          "status": "ok"
        }
    "#]],
    );
    server.orama(["function", "invoke", "echo"]).ok();
    check_failure(
        &server,
        &server.orama(["function", "enable", "missing"]),
        1,
        expect![[r#"
        error: function `missing` not found (NOT_FOUND)
    "#]],
    );
}

#[test]
fn delete() {
    let server = with_echo();
    server.orama(["function", "deploy", "echo.wasm"]).ok();
    let unanswered = server.orama(["function", "delete", "echo@1"]);
    check_failure(
        &server,
        &unanswered,
        1,
        expect![[r#"
        Are you sure you want to delete echo@1? [y/N]
        error: nothing was deleted
        hint: answer `y`, or use `--force`
    "#]],
    );
    check_failure(
        &server,
        &with_input(&server, &["function", "delete", "echo@1"], "n\n"),
        1,
        expect![[r#"
        Are you sure you want to delete echo@1? [y/N] error: nothing was deleted
        hint: answer `y`, or use `--force`
    "#]],
    );
    assert_eq!(with_input(&server, &["function", "delete", "echo@1"], "y\n").ok(), "deleted echo@1\n");
    server.orama(["function", "deploy", "echo.wasm"]).ok();
    check_failure(
        &server,
        &server.orama(["function", "delete", "echo@3", "--force"]),
        1,
        expect![[r#"
        error: version 3 is the active one; roll back to another version first, or delete the whole function (CONFLICT)
    "#]],
    );
    check_json(
        &server,
        &["function", "delete", "echo", "--force"],
        expect![[r#"
        {
          "message": "Function deleted successfully"
        }
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["function", "delete", "echo", "--force"]),
        1,
        expect![[r#"
        error: function `echo` not found (NOT_FOUND)
    "#]],
    );
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
    check_failure(
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
        &server.orama(["function", "run", "missing.wasm"]),
        2,
        expect![[r#"
        error: there is no folder and no module `missing.wasm`
    "#]],
    );
}

#[test]
fn init() {
    let server = Server::start();
    for lang in ["go", "rust", "c", "zig", "assemblyscript"] {
        let name = format!("in-{lang}");
        let printed = server.orama(["function", "init", &name, "--lang", lang]);
        assert!(printed.ok().contains(&format!("{name}/function.yaml\n")), "{printed:?}");
        let again = server.orama(["function", "init", &name, "--lang", lang]);
        assert_ne!(again.code, Some(0), "an existing folder is refused");
    }
    check_failure(
        &server,
        &server.orama(["function", "init", "in-go"]),
        2,
        expect![[r#"
        error: `in-go` exists already
        hint: choose another name, or remove it first
    "#]],
    );
    check_json(
        &server,
        &["function", "init", "other"],
        expect![[r#"
        {
          "files": [
            "other/function.go",
            "other/function.yaml"
          ],
          "folder": "other",
          "language": "go",
          "name": "other"
        }
    "#]],
    );
}

#[test]
fn whoami_and_login() {
    let server = Server::start();
    check(
        &server,
        &["whoami"],
        expect![[r#"
        gateway  GATEWAY
        authenticated  true
        key_id  ID
        method  api_key
        namespace  default
        scopes  operator
        wallet  default
    "#]],
    );
    check_json(
        &server,
        &["whoami"],
        expect![[r#"
        {
          "authenticated": true,
          "key_id": "ID",
          "method": "api_key",
          "namespace": "default",
          "scopes": [
            "operator"
          ],
          "wallet": "default"
        }
    "#]],
    );
    check_json(
        &server,
        &["login", "--api-key", server.admin_key()],
        expect![[r#"
        {
          "credentials": "HOME/config/orama/credentials",
          "gateway": "GATEWAY",
          "namespace": "default"
        }
    "#]],
    );
    let printed = with_input(&server, &["login", "--api-key", "-"], &format!("{}\n", server.admin_key()));
    expect![[r#"
        logged in to GATEWAY, namespace default
    "#]]
    .assert_eq(&clean(&server, printed.ok(), &[]));
    check_failure(
        &server,
        &server.orama(["login", "--api-key", "ak_wrong:default"]),
        4,
        expect![[r#"
        error: invalid API key (UNAUTHORIZED)
        hint: check the key; keys are case-sensitive and look like `ak_…:namespace`
    "#]],
    );
    check_failure(
        &server,
        &server.orama(["login"]),
        2,
        expect![[r#"
            API key:
            error: no API key was given
            hint: write `orama login --api-key KEY`
        "#]],
    );
    // The key never shows.
    for verb in [&["whoami"][..], &["whoami", "--json"], &["login", "--api-key", server.admin_key()]] {
        let printed = server.orama(verb);
        assert!(!format!("{printed:?}").contains(server.admin_key()));
    }
}

#[test]
fn credentials_are_private() {
    let server = Server::start();
    let file = server.home().join("config/orama/credentials");
    let mode = fs::metadata(&file).expect("`serve` stored its key").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("changed");
    let printed = server.orama(["whoami"]);
    let said = printed.stderr.replace(&*file.to_string_lossy(), "FILE");
    assert_eq!(printed.code, Some(2));
    expect![[r#"
        error: others may read `FILE` (mode 644), so its keys are not used
        hint: run `chmod 600 FILE`
    "#]]
    .assert_eq(&said);
}

#[test]
fn config_show() {
    let server = Server::start();
    let show = ["config", "show", "--data", "somewhere"];
    let printed = server.orama(show);
    fs::write(server.folder().join("orama.yaml"), printed.ok()).expect("written");
    assert_eq!(server.orama(show).ok(), printed.ok(), "what it prints is a file that says the same");
    fs::write(server.folder().join("orama.yaml"), "limits:\n  queue_max: 7\n").expect("written");
    let mut command = server.command(&server.folder());
    command.args(show).arg("--origin").env("ORAMA_DRAIN_SECONDS", "9").stdin(Stdio::null());
    let printed: Printed = command.output().expect("it starts").into();
    expect![[r#"
        SETTING  VALUE  ORIGIN
        listen  127.0.0.1:6001  default
        data  somewhere  --data
        log.level  info  default
        log.format  text  default
        limits.node_concurrency  1000  default
        limits.namespace_concurrency  200  default
        limits.queue_max  7  orama.yaml:2
        limits.queue_wait_ms  10000  default
        limits.input_bytes_max  1048576  default
        limits.code_bytes_max  67108864  default
        limits.connections_max  10000  default
        limits.connections_per_address_max  1000  default
        limits.functions_max  0  default
        limits.storage_bytes_max  0  default
        limits.database_bytes_max  0  default
        limits.requests_per_minute  0  default
        limits.caller_requests_per_minute  0  default
        limits.sign_ins_per_minute  600  default
        auth.registration  closed  default
        cache.bytes_max_per_namespace  67108864  default
        egress.private  default
        secrets.master_key_file  default
        secrets.master_key_env  default
        secrets.master_key_command  default
        retention.audit_days  365  default
        retention.age_days  7  default
        retention.bytes_max_per_namespace  1073741824  default
        drain_seconds  9  ORAMA_DRAIN_SECONDS
        gateway.timeout_as_rate_limited  false  default
        engine.shards  0  default
        engine.memory_keep_resident_bytes  4194304  default
        engine.instances_max  1000  default
    "#]]
    .assert_eq(&normalised(printed.ok()));
    let document: serde_json::Value =
        serde_json::from_str(server.orama(["config", "show", "--json"]).ok()).expect("a document");
    assert_eq!(document["limits.queue_max"], 7);
}

#[test]
fn doctor() {
    let server = Server::start();
    let doctor = |more: &[&str]| server.orama([&["doctor", "--data", "somewhere"], more].concat());
    let printed = doctor(&[]);
    for check in
        ["orama", "go", "rust", "c", "zig", "assemblyscript", "configuration", "data folder", "gateway", "engine"]
    {
        assert!(printed.ok().lines().any(|line| line.starts_with(check)), "{check}: {printed:?}");
    }
    let document: serde_json::Value = serde_json::from_str(doctor(&["--json"]).ok()).expect("a document");
    assert!(document["checks"].as_array().is_some_and(|checks| checks.len() >= 10));
    fs::write(server.folder().join("orama.yaml"), "colour: red\n").expect("written");
    let printed = doctor(&[]);
    assert_eq!(printed.code, Some(1));
    assert_eq!(printed.stderr, "error: 1 problem found\n");
}

#[test]
fn fsck() {
    let mut server = with_echo();
    let data = server.data();
    let fsck = |server: &Server, more: &[&str]| {
        let arguments = [OsStr::new("fsck"), OsStr::new("--data"), data.as_os_str()];
        server.orama(arguments.into_iter().chain(more.iter().map(OsStr::new)))
    };
    let running = fsck(&server, &[]);
    let said = running.stderr.replace(&server.pid().to_string(), "PID").replace(&*data.to_string_lossy(), "DATA");
    assert_eq!(running.code, Some(1));
    expect![[r#"
        error: the data folder `DATA` is in use by process PID; stop that process, or choose another folder with `--data DIR`
    "#]].assert_eq(&said);
    server.terminate();
    server.ended();
    expect![[r#"
        CHECKED        COUNT
        functions      1
        versions       1
        code files     1
        code bytes     225
        content files  0
        content bytes  0
        databases      0
        records        0
    "#]]
    .assert_eq(fsck(&server, &[]).ok());
    expect![[r#"
        {
          "checked": {
            "code bytes": 225,
            "code files": 1,
            "content bytes": 0,
            "content files": 0,
            "databases": 0,
            "functions": 1,
            "records": 0,
            "versions": 1
          },
          "data": "DATA",
          "notices": [],
          "problems": []
        }
    "#]]
    .assert_eq(&normalised_json(&fsck(&server, &["--json"]).ok().replace(&*data.to_string_lossy(), "DATA")));
}

#[test]
fn completions_and_version() {
    let server = Server::start();
    for shell in ["bash", "zsh", "fish"] {
        let printed = server.orama(["completions", shell]);
        assert!(printed.ok().contains("orama"), "{shell}");
    }
    let folder = server.folder();
    fs::write(folder.join("completions"), server.orama(["completions", "bash"]).ok()).expect("written");
    let checked = std::process::Command::new("bash").arg("-n").arg(folder.join("completions")).status();
    assert!(checked.expect("bash is there").success());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(server.orama(["version"]).ok(), format!("orama {version}\n"));
    assert_eq!(server.orama(["--version"]).ok(), format!("orama {version}\n"));
    assert_eq!(server.orama(["version", "--json"]).ok(), format!("{{\"name\":\"orama\",\"version\":\"{version}\"}}\n"));
}

#[test]
fn wrong_usage() {
    let server = Server::start();
    let mut said = String::new();
    for arguments in [
        &["functoin"][..],
        &["function", "lsit"],
        &["function", "list", "--jsn"],
        &["function", "invoke"],
        &["function", "logs", "x", "--since", "soon"],
        &["function", "logs", "x", "--level", "loud"],
        &["function", "invoke", "x", "--repeat", "0"],
        &["function", "list", "--gateway", "nowhere"],
        &["function", "list", "--namespace", "a:b"],
        &["function", "rollback", "x", "0"],
    ] {
        let printed = server.orama(arguments);
        assert_eq!((printed.code, &*printed.stdout), (Some(2), ""), "{arguments:?}: {printed:?}");
        said.push_str(&format!("{}\n{}\n", arguments.join(" "), printed.stderr));
    }
    expect![[r#"
        functoin
        error: unrecognized subcommand 'functoin'

          tip: a similar subcommand exists: 'function'

        Usage: orama [OPTIONS] <COMMAND>

        For more information, try '--help'.

        function lsit
        error: unrecognized subcommand 'lsit'

          tip: a similar subcommand exists: 'list'

        Usage: orama function [OPTIONS] <COMMAND>

        For more information, try '--help'.

        function list --jsn
        error: unexpected argument '--jsn' found

          tip: a similar argument exists: '--json'

        Usage: orama function list --json

        For more information, try '--help'.

        function invoke
        error: the following required arguments were not provided:
          <NAME>

        Usage: orama function invoke <NAME>

        For more information, try '--help'.

        function logs x --since soon
        error: invalid value 'soon' for '--since <TIME>': `soon` is no duration such as `15m` and no time such as `2026-01-31T12:00:00Z`

        For more information, try '--help'.

        function logs x --level loud
        error: invalid value 'loud' for '--level <LEVEL>'
          [possible values: debug, info, warn, error]

        For more information, try '--help'.

        function invoke x --repeat 0
        error: invalid value '0' for '--repeat <N>': 0 is not in 1..=1000000

        For more information, try '--help'.

        function list --gateway nowhere
        error: `nowhere` is no address of a gateway: relative URL without a base
        hint: write for example `--gateway http://127.0.0.1:6001`

        function list --namespace a:b
        error: namespace `a:b` is refused: the name contains ':'; use only letters, digits, `-` and `_`

        function rollback x 0
        error: invalid value '0' for '[N]': must be a whole number from 1

        For more information, try '--help'.

    "#]].assert_eq(&said);
}

#[test]
fn not_reachable_and_not_allowed() {
    let server = Server::start();
    let list = ["function", "list"];
    let printed = server.orama([&list[..], &["--gateway", "http://127.0.0.1:1"]].concat());
    check_failure(
        &server,
        &printed,
        3,
        expect![[r#"
        error: GATEWAY is not reachable: connection refused
        hint: is the server running? start it with `orama serve`
    "#]],
    );
    let printed = server.orama([&list[..], &["--api-key", "ak_AAAAAAAAAAAAAAAAAAAAAAAA:default"]].concat());
    check_failure(
        &server,
        &printed,
        4,
        expect![[r#"
        error: invalid API key (UNAUTHORIZED)
        hint: check the key; keys are case-sensitive and look like `ak_…:namespace`
    "#]],
    );
    let mut command = server.command(&server.folder());
    command.args(list).env("XDG_CONFIG_HOME", server.folder()).stdin(Stdio::null());
    let printed: Printed = command.output().expect("it starts").into();
    check_failure(
        &server,
        &printed,
        4,
        expect![[r#"
        error: missing API key (UNAUTHORIZED)
        hint: send an API key as `X-API-Key`, or run `orama login`
    "#]],
    );
}

/// Runs a verb with something on its stdin.
fn with_input(server: &Server, arguments: &[&str], input: &str) -> Printed {
    let mut command = server.command(&server.folder());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the binary starts");
    process.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    process.wait_with_output().expect("it ends").into()
}
