//! The data folder: one process has it, and nobody else's files are touched.

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use backends::{DataFolder, FolderError};
use common::scratch;

#[test]
fn a_new_folder_is_private_and_complete() {
    let scratch = scratch();
    let path = scratch.path().join("a/b/data");
    let folder = DataFolder::open(&path).expect("open");
    for part in [path.clone(), folder.code(), folder.compiled(), folder.keys(), folder.tmp()] {
        let mode = std::fs::metadata(&part).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", part.display());
    }
}

#[test]
fn a_second_open_is_refused_with_the_number_of_the_first_process() {
    let scratch = scratch();
    let folder = DataFolder::open(scratch.path()).expect("open");
    let refused = DataFolder::open(scratch.path()).expect_err("in use");
    assert!(matches!(refused, FolderError::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{refused}");
    assert!(refused.to_string().contains(&format!("in use by process {}", std::process::id())), "{refused}");
    assert!(matches!(backends::fsck::fsck(scratch.path()), Err(FolderError::InUse { .. })));
    drop(folder);
    DataFolder::open(scratch.path()).expect("free again");
}

const CHILD: &str = "ORAMA_TEST_HOLDS";

/// Not a test of its own: the process that the next test kills.
#[test]
fn holder() {
    if let Ok(path) = std::env::var(CHILD) {
        let _folder = DataFolder::open(path.as_ref()).expect("open");
        println!("\nholding");
        std::io::stdin().lines().for_each(drop);
    }
}

#[test]
fn the_death_of_the_process_frees_the_folder() {
    let scratch = scratch();
    let mut child = Command::new(std::env::current_exe().expect("our own path"))
        .args(["--exact", "holder", "--nocapture"])
        .env(CHILD, scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a holder");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("a line") == "holding"));
    let refused = DataFolder::open(scratch.path()).expect_err("in use");
    assert!(matches!(refused, FolderError::InUse { pid: Some(pid), .. } if pid == child.id()), "{refused}");

    child.kill().expect("kill");
    child.wait().expect("wait");
    DataFolder::open(scratch.path()).expect("free again");
}

#[test]
fn leftovers_are_swept_and_the_rest_is_kept() {
    let scratch = scratch();
    let folder = DataFolder::open(scratch.path()).expect("open");
    let leftovers = [folder.tmp().join("x"), folder.path().join(".new-1-0"), folder.keys().join(".new-1-1")];
    for path in leftovers.iter().chain([&folder.admin_key()]) {
        std::fs::write(path, "x").expect("write");
    }
    drop(folder);
    let folder = DataFolder::open(scratch.path()).expect("open again");
    assert!(leftovers.iter().all(|path| !path.exists()));
    assert!(folder.admin_key().exists());
}

#[test]
fn a_folder_of_something_else_is_refused_and_left_alone() {
    let scratch = scratch();
    std::fs::write(scratch.path().join("thesis.txt"), "x").expect("write");
    assert!(matches!(DataFolder::open(scratch.path()), Err(FolderError::Foreign { .. })));
    let mut left: Vec<_> = std::fs::read_dir(scratch.path()).expect("list").collect();
    left.retain(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != "lock"));
    assert_eq!(left.len(), 1);
}

#[test]
fn a_newer_layout_is_refused() {
    let scratch = scratch();
    drop(DataFolder::open(scratch.path()).expect("open"));
    std::fs::write(scratch.path().join("format"), "2\n").expect("write");
    let refused = DataFolder::open(scratch.path()).expect_err("too new");
    assert!(matches!(refused, FolderError::TooNew { found: 2, known: 1, .. }), "{refused}");
}

#[test]
fn a_start_that_died_before_the_layout_was_noted_is_begun_again() {
    let scratch = scratch();
    std::fs::write(scratch.path().join("lock"), "77\n").expect("write");
    std::fs::write(scratch.path().join(".new-77-0"), "").expect("write");
    DataFolder::open(scratch.path()).expect("open");
}
