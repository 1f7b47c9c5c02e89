//! Versions, and the way back to one.

use expect_test::expect;

use super::with_echo;
use crate::support::{check, check_failure, check_json};

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
        &["function", "rollback", "echo", "7"],
        1,
        expect![[r#"
        error: function `echo` has no version 7 (NOT_FOUND)
        hint: list the versions with `orama function versions echo`
    "#]],
    );
    check_failure(
        &server,
        &["function", "rollback", "echo"],
        1,
        expect![[r#"
        error: function `echo` has no version before 1 (CONFLICT)
    "#]],
    );
    check_failure(
        &server,
        &["function", "versions", "missing"],
        1,
        expect![[r#"
        error: there is no function `missing`
        hint: run `orama function list` to see what there is
    "#]],
    );
}
