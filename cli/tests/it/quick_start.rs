//! The six commands of the document's quick start, as they stand there, right after `orama serve`.

use std::fs;

use expect_test::expect;

use crate::support::{Server, fixture, normalised};

#[test]
fn six_commands_make_deploy_call_and_look_after_a_function() {
    let server = Server::start();

    let init = server.orama(["function", "init", "my-function"]);
    expect![[r#"
        my-function/function.go
        my-function/function.yaml
    "#]]
    .assert_eq(init.ok());

    let folder = server.folder().join("my-function");
    let build = server.orama_in(&folder, ["function", "build"]);
    expect![[r#"
        ./function.wasm
    "#]]
    .assert_eq(build.ok());

    let deploy = server.orama_in(&folder, ["function", "deploy"]);
    expect![[r#"
        name  my-function
        version  1
        cid  CID
        size  SIZE
        url  GATEWAY/v1/invoke/default/my-function
    "#]]
    .assert_eq(&normalised(deploy.ok()));

    let invoke = server.orama_in(&folder, ["function", "invoke", "my-function", "--data", "{\"name\": \"World\"}"]);
    expect![[r#"{"result":"Hello!"}"#]].assert_eq(invoke.ok());

    let logs = server.orama_until(["function", "logs", "my-function"], |logs| logs.stdout.contains("success"));
    expect![[r#"
        TIME  REQUEST-ID  STATUS  MS  IN  OUT
        TIME  ID  success  MS  17  19
    "#]]
    .assert_eq(&normalised(logs.ok()));
}

#[test]
fn what_was_deployed_is_listed_rolled_back_and_deleted() {
    let server = Server::start();
    fs::write(server.folder().join("function.yaml"), "name: echo\nlanguage: c\n").expect("written");
    fs::write(server.folder().join("function.c"), ECHO).expect("written");
    server.orama(["function", "deploy"]).ok();
    server.orama(["function", "deploy"]).ok();

    expect![[r#"
        NAME  VERSION  STATUS  PUBLIC  MEMORY  TIMEOUT  UPDATED
        echo  2  active  no  64 MB  30 s  TIME
    "#]]
    .assert_eq(&normalised(server.orama(["function", "list"]).ok()));
    expect![[r#"
        echo is now version 1
    "#]]
    .assert_eq(server.orama(["function", "rollback", "echo"]).ok());
    expect![[r#"
        VERSION  CID  SIZE  CREATED  ACTIVE
        2  CID  SIZE  TIME
        1  CID  SIZE  TIME  *
    "#]]
    .assert_eq(&normalised(server.orama(["function", "versions", "echo"]).ok()));
    expect![[r#"
        text, not JSON"#]]
    .assert_eq(&output_of(server.orama(["function", "invoke", "echo@2", "--data", "text, not JSON"]).ok()));

    let unanswered = server.orama(["function", "delete", "echo"]);
    assert_eq!(unanswered.code, Some(1));
    expect![[r#"
        Are you sure you want to delete echo and all its versions? [y/N] 
        error: nothing was deleted
        hint: answer `y`, or use `--force`
    "#]]
    .assert_eq(&unanswered.stderr);
    expect![[r#"
        deleted echo
    "#]]
    .assert_eq(server.orama(["function", "delete", "echo", "--force"]).ok());
    let list = server.orama(["function", "list"]);
    expect![[r#"
        no functions yet
        hint: make one with `orama function init hello`, then run `orama function deploy hello`
    "#]]
    .assert_eq(&list.stderr);
    assert_eq!(list.ok(), "");
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let server = Server::start();
    let codes = |arguments: &[&str]| server.orama(arguments).code;
    assert_eq!(codes(&["function", "invoke", "missing"]), Some(1));
    assert_eq!(codes(&["function", "invoke", "a/b"]), Some(2));
    assert_eq!(codes(&["function", "list", "--gateway", "http://127.0.0.1:1"]), Some(3));
    assert_eq!(codes(&["function", "list", "--api-key", "ak_AAAAAAAAAAAAAAAAAAAAAAAA:default"]), Some(4));
    assert_eq!(codes(&["whoami", "--json"]), Some(0));

    let unreachable = server.orama(["function", "list", "--gateway", "http://127.0.0.1:1"]);
    expect![[r#"
        error: http://127.0.0.1:1 is not reachable: connection refused
        hint: is the server running? start it with `orama serve`
    "#]]
    .assert_eq(&unreachable.stderr);
}

#[test]
fn the_first_key_works_by_hand_too() {
    let server = Server::start();
    let reply = server.http().get("/v1/auth/whoami");
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains(server.admin_key()), "the key is never echoed");
    assert_eq!(server.http().without_key().get("/v1/functions").status, 401);

    let key_file = server.data().join("admin.key");
    let login = server.orama(["login".as_ref(), "--api-key-file".as_ref(), key_file.as_os_str()]);
    expect![[r#"
        logged in to GATEWAY, namespace default
    "#]]
    .assert_eq(&normalised(&login.ok().replace(server.address(), "GATEWAY")));
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let server = Server::start();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data"];
    let second = server.command(&server.folder()).args(arguments).arg(server.data()).output().expect("it starts");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&server.pid().to_string()), "it names the process that has the folder: {said}");
}

#[test]
fn settings_of_a_file_hold() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "limits:\n  input_bytes_max: 10\n").expect("written");
    let server = Server::start_with(["--config", file.path().to_str().expect("a plain path")]);
    server.deploy("any", &fixture("echo"), [("is_public", "true")]);
    let reply = server.http().post("/v1/invoke/default/any", b"{\"more\": \"than ten bytes\"}");
    assert_eq!(reply.status, 413);
    assert_eq!(reply.json()["code"], "PAYLOAD_TOO_LARGE");
    assert!(reply.header("x-request-id").is_some());
}

/// What a plain text reply carries inside its document.
fn output_of(document: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(document).expect("a document");
    document["output"].as_str().expect("an output").to_owned()
}

/// Answers with its input.
const ECHO: &str = r#"
#include <stdio.h>

int main(void) {
    char buffer[4096];
    size_t count;
    while ((count = fread(buffer, 1, sizeof buffer, stdin)) > 0) fwrite(buffer, 1, count, stdout);
    return 0;
}
"#;
