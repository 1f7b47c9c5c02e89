//! The command line itself: what it completes, refuses, and cannot reach.

use std::fs;
use std::process::Stdio;

use expect_test::expect;

use crate::support::{Printed, Server, check_failed};

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
    check_failed(
        &server,
        &printed,
        3,
        expect![[r#"
        error: GATEWAY is not reachable: connection refused
        hint: is the server running? start it with `orama serve`
    "#]],
    );
    let printed = server.orama([&list[..], &["--api-key", "ak_AAAAAAAAAAAAAAAAAAAAAAAA:default"]].concat());
    check_failed(
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
    check_failed(
        &server,
        &printed,
        4,
        expect![[r#"
        error: missing API key (UNAUTHORIZED)
        hint: send an API key as `X-API-Key`, or run `orama login`
    "#]],
    );
}
