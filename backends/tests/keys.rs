//! Node keys in real files.

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use backends::keys;
use common::scratch;
use ports::{Keys, KeysError};

#[test]
fn a_key_is_made_once_and_kept() {
    let folder = scratch();
    let keys = keys::open(&folder.path().join("keys")).expect("open");
    let key = keys.node_key("api-keys").expect("make a key");
    assert_eq!(keys.node_key("api-keys").expect("read it"), key);
    assert_ne!(keys.node_key("receipts").expect("make another"), key);
    assert_ne!(key.expose(), &[0; 32]);

    let again = keys::open(&folder.path().join("keys")).expect("open again");
    assert_eq!(again.node_key("api-keys").expect("read it"), key);
    let mode = std::fs::metadata(folder.path().join("keys/api-keys.key")).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn one_purpose_has_one_key_however_many_ask_at_once() {
    let folder = scratch();
    let keys = keys::open(folder.path()).expect("open");
    let ask = || keys.node_key("cache").expect("a key");
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        let first = ask();
        assert!(asking.into_iter().all(|thread| thread.join().expect("no panic") == first));
    });
}

fn refusal(content: &str, mode: u32) -> String {
    let folder = scratch();
    let path = folder.path().join("cache.key");
    std::fs::write(&path, content).expect("write");
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("change the mode");
    match keys::open(folder.path()).expect("open").node_key("cache") {
        Err(error @ KeysError::Unusable { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let key = "ab".repeat(32);
    for mode in [0o644, 0o640, 0o606] {
        let refusal = refusal(&key, mode);
        assert!(refusal.contains("chmod 600") && refusal.contains(&format!("{mode:o}")), "{refusal}");
        assert!(!refusal.contains(&key), "a secret is never shown");
    }
}

#[test]
fn a_file_that_is_no_key_is_refused_and_left_alone() {
    for content in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"zz".repeat(32), &"\u{fc}".repeat(32)] {
        assert!(refusal(content, 0o600).contains("32 bytes in hexadecimal"), "{content}");
    }
}

#[test]
fn a_purpose_cannot_leave_the_folder() {
    let folder = scratch();
    let keys = keys::open(folder.path()).expect("open");
    for purpose in ["", "../x", "a/b", "A", "a.b", "a\0"] {
        assert!(matches!(keys.node_key(purpose), Err(KeysError::Unusable { .. })), "{purpose:?}");
    }
}
