//! Verbs run to their end, and what they print compared.

use std::io::Write;
use std::process::Stdio;

use expect_test::Expect;

use super::{Printed, Server, normalised, normalised_json};

/// What a verb says that succeeds: its data, then its talk.
#[track_caller]
pub fn check(server: &Server, arguments: &[&str], want: Expect) {
    let printed = server.orama(arguments);
    printed.ok();
    want.assert_eq(&clean(server, &printed));
}

/// The document that a verb prints.
#[track_caller]
pub fn check_json(server: &Server, arguments: &[&str], want: Expect) {
    let printed = server.orama([arguments, &["--json"]].concat());
    want.assert_eq(&normalised_json(&placeless(server, printed.ok())));
}

/// What a verb says that does not succeed.
#[track_caller]
pub fn check_failure(server: &Server, arguments: &[&str], code: i32, want: Expect) {
    check_failed(server, &server.orama(arguments), code, want);
}

/// The same of a verb that has ended already.
#[track_caller]
pub fn check_failed(server: &Server, printed: &Printed, code: i32, want: Expect) {
    assert_eq!((printed.code, &*printed.stdout), (Some(code), ""), "{printed:?}");
    want.assert_eq(&clean(server, printed));
}

/// All that a verb printed, with what differs from run to run replaced.
pub fn clean(server: &Server, printed: &Printed) -> String {
    normalised(&without_keys(&placeless(server, &format!("{}{}", printed.stdout, printed.stderr))))
}

fn placeless(server: &Server, text: &str) -> String {
    let text = text.replace(server.address(), "GATEWAY").replace(&*server.folder().to_string_lossy(), "FOLDER");
    text.replace(&*server.home().to_string_lossy(), "HOME")
}

/// The id of a key that did something is new each time.
fn without_keys(text: &str) -> String {
    let line = |line: &str| match line.split_once("  key:") {
        Some((before, _)) => format!("{before}  key:ID\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Runs a verb with something on its stdin.
pub fn with_input(server: &Server, arguments: &[&str], input: &[u8]) -> Printed {
    let mut command = server.command(&server.folder());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the binary starts");
    // It may end before it has read everything.
    let _ = process.stdin.take().expect("a pipe").write_all(input);
    process.wait_with_output().expect("it ends").into()
}
