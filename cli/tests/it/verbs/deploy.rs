//! A function becomes a version.

use expect_test::expect;

use super::module;
use crate::support::{Server, check, check_failure, check_json, clean};

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
    .assert_eq(&clean(&server, &printed));
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
            call it with `orama function invoke echo`
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
    .assert_eq(&clean(&server, &printed));
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
        &["function", "deploy", "missing.wasm"],
        2,
        expect![[r#"
        error: there is no folder and no module `missing.wasm`
    "#]],
    );
    check_failure(
        &server,
        &["function", "deploy"],
        2,
        expect![[r#"
        error: failed to read `./function.yaml`: No such file or directory (os error 2)
        hint: make a function with `orama function init NAME`
    "#]],
    );
}
