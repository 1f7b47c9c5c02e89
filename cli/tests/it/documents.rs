//! The documents that the program prints about itself are the ones in `docs/`.

use std::process::{Command, Stdio};

use expect_test::{ExpectFile, expect_file};

#[track_caller]
fn check(document: &str, want: ExpectFile) {
    let printed = Command::new(env!("CARGO_BIN_EXE_orama")).args(["__docs", document]).stdin(Stdio::null()).output();
    let printed = printed.expect("the binary starts");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    want.assert_eq(&String::from_utf8(printed.stdout).expect("a document is text"));
}

#[test]
fn the_reference_of_the_command_line_is_current() {
    check("cli", expect_file!["../../../docs/cli.md"]);
}

#[test]
fn the_reference_of_the_configuration_is_current() {
    check("config", expect_file!["../../../docs/configuration.md"]);
}
