//! Functions: listed, shown, switched, deleted.

use expect_test::expect;

use super::{module, with_echo};
use crate::support::{Server, check, check_failed, check_failure, check_json, with_input};

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
        &["function", "get", "echo@2"],
        1,
        expect![[r#"
        error: function `echo` has no version 2 (NOT_FOUND)
        hint: list the versions with `orama function versions echo`
    "#]],
    );
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
        &["function", "invoke", "echo"],
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
        &["function", "enable", "missing"],
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
    check_failed(
        &server,
        &unanswered,
        1,
        expect![[r#"
        Are you sure you want to delete echo@1? [y/N]
        error: nothing was deleted
        hint: answer `y`, or use `--force`
    "#]],
    );
    check_failed(
        &server,
        &with_input(&server, &["function", "delete", "echo@1"], b"n\n"),
        1,
        expect![[r#"
        Are you sure you want to delete echo@1? [y/N] error: nothing was deleted
        hint: answer `y`, or use `--force`
    "#]],
    );
    assert_eq!(with_input(&server, &["function", "delete", "echo@1"], b"y\n").ok(), "deleted echo@1\n");
    server.orama(["function", "deploy", "echo.wasm"]).ok();
    check_failure(
        &server,
        &["function", "delete", "echo@3", "--force"],
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
        &["function", "delete", "echo", "--force"],
        1,
        expect![[r#"
        error: function `echo` not found (NOT_FOUND)
    "#]],
    );
}
