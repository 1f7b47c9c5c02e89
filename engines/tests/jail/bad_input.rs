//! Cages that make no sense, and programs that are none: a clean error, and nothing left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use engines::jail::{Bind, Cage, Filter, JailError};

use super::{jail, shell};

async fn refusal(cage: Cage) -> String {
    match jail().launch(cage).await {
        Err(JailError::Refused(text)) => text,
        Err(other) => panic!("another error: {other:?}"),
        Ok(_) => panic!("it was launched"),
    }
}

#[tokio::test]
async fn cages_that_make_no_sense_are_refused() {
    let mut cage = shell("true");
    cage.binds.push(Bind::read_only("/usr", "relative"));
    assert!(refusal(cage).await.contains("absolute"));
    let mut cage = shell("true");
    cage.binds.push(Bind::read_only("/usr", "/a/../b"));
    assert!(refusal(cage).await.contains("absolute"));
    let mut cage = shell("true");
    cage.binds.push(Bind::read_only("/proc", "/proc"));
    assert!(refusal(cage).await.contains("made by the cage itself"));
    let mut cage = shell("true");
    cage.environment.push(("A=B".into(), "c".into()));
    assert!(refusal(cage).await.contains("no name of a variable"));
    let mut cage = shell("true");
    cage.arguments.push("a\0b".into());
    assert!(refusal(cage).await.contains("NUL"));
    let mut cage = shell("true");
    cage.environment.push(("LONG".into(), "x".repeat(1 << 20).into()));
    assert!(refusal(cage).await.contains("too much for one cage"));
}

#[tokio::test]
async fn numbers_of_open_files_are_checked() {
    let null = || fs::File::open("/dev/null").expect("opened").into();
    for numbers in [[3, 3], [-1, 3], [256, 3]] {
        let mut cage = shell("true");
        cage.descriptors = numbers.map(|number| (null(), number)).into();
        assert!(refusal(cage).await.contains("number"));
    }
    let mut cage = shell("true");
    cage.descriptors = (3..80).map(|number| (null(), number)).collect();
    assert!(refusal(cage).await.contains("too much for one cage"));
}

async fn not_started(cage: Cage) -> String {
    let jail = jail();
    match jail.launch(cage).await {
        Err(JailError::NotStarted { step, source }) => {
            // The launcher is as good as before.
            jail.launch(shell("true")).await.expect("the next one starts");
            format!("{step}: {source}")
        }
        Err(other) => panic!("another error: {other:?}"),
        Ok(_) => panic!("it was launched"),
    }
}

fn program(folder: &Path, bytes: &[u8], mode: u32) -> PathBuf {
    let path = folder.join("program");
    fs::write(&path, bytes).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    path
}

#[tokio::test]
async fn files_that_are_no_programs_are_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |bytes: &[u8], mode| not_started(Cage::new(program(folder.path(), bytes, mode), Filter::Native));
    assert!(start(b"", 0o755).await.contains("Exec format error"));
    assert!(start(b"hello", 0o755).await.contains("Exec format error"));
    assert!(start(b"\x7fELF\x02\x01\x01 but no more", 0o755).await.contains("Exec format error"));
    assert!(start(b"#!/bin/sh\necho hello\n", 0o755).await.contains("No such file"), "the shell is not in the cage");
    assert!(start(&fs::read("/bin/true").expect("read"), 0o644).await.contains("Permission denied"));
    assert!(
        start(&fs::read("/bin/true").expect("read"), 0o755).await.contains("No such file"),
        "no loader in the cage"
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_of() {
    assert!(not_started(Cage::new("/no/such/program", Filter::Native)).await.contains("/no/such/program"));
    assert!(not_started(Cage::new("/usr", Filter::Native)).await.contains("/usr"), "a folder");
    let mut cage = shell("true");
    cage.binds.push(Bind::read_only("/no/such/folder", "/x"));
    assert!(not_started(cage).await.contains("bind `/no/such/folder`"));
}

#[tokio::test]
async fn a_cage_too_small_to_start_in_is_an_error() {
    let mut cage = shell("true");
    cage.memory_bytes = 4096;
    not_started(cage).await;
}
