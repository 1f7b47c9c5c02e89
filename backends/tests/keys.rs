//! Node keys in real files.

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use backends::keys::{self, MasterKeySource};
use common::scratch;
use ports::{Keys, KeysError, MasterKey, NodeKey};

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

/// The bytes 0 to 31, in the forms in which a key may be written.
const FORMS: [&str; 4] = [
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
];

fn masters_from(folder: &Path, source: MasterKeySource) -> Result<Vec<MasterKey>, String> {
    let keys = keys::open_with(folder, Some(source)).expect("open");
    keys.master_keys().map_err(|error| error.to_string())
}

fn masters_in(content: &str) -> Result<Vec<MasterKey>, String> {
    let folder = scratch();
    let path = folder.path().join("elsewhere");
    std::fs::write(&path, content).expect("write");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("change the mode");
    masters_from(folder.path(), MasterKeySource::File(path))
}

fn shell(script: &str) -> MasterKeySource {
    MasterKeySource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
}

#[test]
fn a_master_key_is_made_once_and_its_name_is_derived_from_it() {
    let folder = scratch();
    let made = keys::open(folder.path()).expect("open").master_keys().expect("made");
    assert_eq!(keys::open(folder.path()).expect("open").master_keys().expect("read"), made);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].id.len(), 16);
    let mode = std::fs::metadata(folder.path().join("master.key")).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let elsewhere = scratch();
    let other = keys::open(elsewhere.path()).expect("open").master_keys().expect("made");
    assert_ne!(other[0].id, made[0].id);
}

#[test]
fn a_master_key_is_the_same_in_every_form() {
    let known = masters_in(FORMS[0]).expect("a key");
    assert_eq!(known[0].key.expose().to_vec(), (0..32).collect::<Vec<u8>>());
    for form in FORMS {
        for content in [form.to_owned(), format!("{form}\n"), format!(" {form}\r\n\n"), format!("{form},{form}")] {
            assert_eq!(masters_in(&content).as_ref(), Ok(&known), "{content:?}");
        }
    }
}

#[test]
fn several_master_keys_are_newest_first() {
    let (new, old) = ("ab".repeat(32), "cd".repeat(32));
    for between in [",", "\n", " ", ", "] {
        let masters = masters_in(&format!("{new}{between}{old}")).expect("two keys");
        assert_eq!(masters[0].key.expose(), &[0xab; 32]);
        assert_eq!(masters[1].key.expose(), &[0xcd; 32]);
    }
}

#[test]
fn what_is_no_master_key_is_refused_without_being_shown() {
    let nearly = "ab".repeat(31);
    for content in ["", "\n,\n", &nearly, "hunter2hunter2", &format!("{} {nearly}", FORMS[0]), &"ab".repeat(40_000)] {
        let refusal = masters_in(content).expect_err("refused");
        assert!(refusal.contains("elsewhere") && refusal.contains("key"), "{refusal}");
        assert!(!refusal.contains("abab") && !refusal.contains("hunter2"), "a secret is never shown: {refusal}");
    }
}

#[test]
fn a_file_of_master_keys_must_be_there_and_private() {
    let folder = scratch();
    let absent = folder.path().join("absent");
    let refusal = masters_from(folder.path(), MasterKeySource::File(absent.clone())).expect_err("not there");
    assert!(refusal.contains("absent"), "{refusal}");
    assert!(!absent.exists(), "only the node's own file is made");
    std::fs::write(&absent, FORMS[0]).expect("write");
    std::fs::set_permissions(&absent, Permissions::from_mode(0o640)).expect("change the mode");
    let refusal = masters_from(folder.path(), MasterKeySource::File(absent)).expect_err("others may read it");
    assert!(refusal.contains("chmod 600") && !refusal.contains(FORMS[0]), "{refusal}");
}

/// Runs itself again with the variable, because a process must not change its own.
#[test]
fn a_variable_holds_master_keys() {
    const NAME: &str = "ORAMA_TEST_OF_MASTER_KEYS";
    let folder = scratch();
    let read = || masters_from(folder.path(), MasterKeySource::Environment(NAME.to_owned()));
    if std::env::var_os(NAME).is_some() {
        assert_eq!(read(), masters_in(FORMS[0]));
        return;
    }
    assert!(read().expect_err("not set").contains(&format!("the environment variable `{NAME}` is not set")));
    let mut again = Command::new(std::env::current_exe().expect("this program"));
    again.args(["--exact", "a_variable_holds_master_keys"]).env(NAME, FORMS[2]);
    let output = again.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn a_command_prints_master_keys_and_is_run_once() {
    let folder = scratch();
    let runs = folder.path().join("runs");
    let script = format!("echo run >> {}; echo {}", runs.display(), FORMS[3]);
    let keys = keys::open_with(folder.path(), Some(shell(&script))).expect("open");
    assert_eq!(keys.master_keys().ok(), masters_in(FORMS[0]).ok());
    assert_eq!(keys.master_keys().ok(), masters_in(FORMS[0]).ok());
    assert_eq!(std::fs::read_to_string(runs).expect("it ran"), "run\n");
    assert_eq!(keys.master_source(), "the command `sh`");
}

#[test]
fn a_command_that_fails_is_named_and_what_it_says_is_not_shown() {
    let folder = scratch();
    for (script, why) in [
        ("echo hunter2; exit 3", "exit status: 3"),
        ("echo hunter2", "does not hold keys"),
        ("true", "holds no key"),
        ("printf '\\377'", "cannot read"),
    ] {
        let refusal = masters_from(folder.path(), shell(script)).expect_err("refused");
        assert!(refusal.contains("`sh`") && refusal.contains(why), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    let missing = MasterKeySource::Command(vec!["/nowhere/at/all".to_owned(), "hunter2".to_owned()]);
    let refusal = masters_from(folder.path(), missing).expect_err("no such program");
    assert!(refusal.contains("/nowhere/at/all") && !refusal.contains("hunter2"), "{refusal}");
    assert!(masters_from(folder.path(), MasterKeySource::Command(Vec::new())).is_err());
}

#[test]
fn a_key_that_signs_is_a_file_of_its_bytes() {
    let folder = scratch();
    let keys = keys::open(folder.path()).expect("open");
    let key = keys.signer("oyster").expect("make a key");
    let path = folder.path().join("oyster.signer");
    assert_eq!(std::fs::read(&path).expect("read"), key.expose());
    assert_eq!(std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
    assert_eq!(keys.signer("oyster").expect("read it"), key);
    assert_ne!(keys.signer("receipts").expect("make another"), key);

    let next = NodeKey::new([7; 32]);
    keys.replace_signer("oyster", &next).expect("replace");
    assert_eq!(keys::open(folder.path()).expect("open again").signer("oyster").expect("read it"), next);

    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("change the mode");
    let refused = keys.signer("oyster").expect_err("others may read it").to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
    for wrong in [&b""[..], &[7; 31], &[7; 33]] {
        std::fs::write(&path, wrong).expect("write");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("change the mode");
        let refused = keys.signer("oyster").expect_err("it is no key").to_string();
        assert!(refused.contains("32 bytes and nothing else"), "{refused}");
    }
    assert!(keys.signer("../oyster").is_err());
}

#[test]
fn what_is_published_is_there_after_opening_again() {
    let folder = scratch();
    let keys = keys::open(folder.path()).expect("open");
    assert_eq!(keys.published().expect("read"), None);
    keys.publish(b"one").expect("publish");
    keys.publish(b"two").expect("publish");
    let again = keys::open(folder.path()).expect("open again");
    assert_eq!(again.published().expect("read").as_deref(), Some(&b"two"[..]));
}
