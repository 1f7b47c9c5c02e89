//! New functions.

use expect_test::expect;

use crate::support::{Server, check_failure, check_json};

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
        &["function", "init", "in-go"],
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

/// What the SDK's handler does, from a folder that holds all that its build needs.
#[test]
fn init_with_the_sdk() {
    let server = Server::start();
    let printed = server.orama(["function", "init", "hello", "--sdk"]);
    expect![[r#"
        hello/function.go
        hello/go.mod
        hello/orama/go.mod
        hello/orama/fn/context.go
        hello/orama/fn/db.go
        hello/orama/fn/doc.go
        hello/orama/fn/error.go
        hello/orama/fn/handle.go
        hello/orama/fn/host_other.go
        hello/orama/fn/host_wasip1.go
        hello/orama/fn/http.go
        hello/orama/fn/malloc_go.go
        hello/orama/fn/realtime.go
        hello/orama/fn/realtime_wasip1.go
        hello/orama/fn/sockets.go
        hello/orama/fn/storage.go
        hello/orama/README.md
        hello/function.yaml
    "#]]
    .assert_eq(printed.ok());
    let folder = server.folder().join("hello");
    server.orama_in(&folder, ["function", "build"]).ok();
    server.orama_in(&folder, ["function", "deploy"]).ok();
    let call = |input: &str| server.orama(["function", "invoke", "hello", "--data", input]).ok().to_owned();
    assert_eq!(call(r#"{"name":"Ada"}"#), r#"{"result":"Hello, Ada!","visits":1}"#);
    assert_eq!(call("{}"), r#"{"result":"Hello, World!","visits":2}"#);
    check_failure(
        &server,
        &["function", "init", "other", "--lang", "zig", "--sdk"],
        2,
        expect![[r#"
        error: there is no SDK for zig
        hint: leave `--sdk` out, or take `--lang go`, `rust` or `assemblyscript`
    "#]],
    );
}
