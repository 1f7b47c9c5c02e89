//! Secrets: who may, what is kept, what a thief of the rows has, and the rotation of keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{Caller, ErrorCode, Namespace, Scope};
use ports::{Identities, SealedSecret, SealedSecrets, Secrets};

use crate::node::*;

async fn set(node: &Node, namespace: &Namespace, name: &str, value: &[u8]) {
    let value = Bytes::copy_from_slice(value);
    node.platform.set_secret(&operator(), namespace, name, value).await.expect("set");
}

async fn get(node: &Node, namespace: &Namespace, name: &str) -> Option<Vec<u8>> {
    read(&*node.services(namespace).await.secrets, name)
}

fn read(secrets: &dyn Secrets, name: &str) -> Option<Vec<u8>> {
    secrets.get(name).expect("readable").map(|secret| secret.expose().to_vec())
}

/// What getting a secret answers, in a line.
async fn answer(node: &Node, namespace: &Namespace, name: &str) -> String {
    match node.services(namespace).await.secrets.get(name) {
        Ok(None) => "none".to_owned(),
        Ok(Some(secret)) => String::from_utf8_lossy(secret.expose()).into_owned(),
        Err(error) => format!("{}: {error}", error.code),
    }
}

async fn row(node: &Node, namespace: &Namespace, name: &str) -> SealedSecret {
    let rows = node.registry.load_secrets().await.expect("readable");
    rows.into_iter().find(|row| row.namespace == *namespace && row.name == name).expect("it is stored")
}

fn names(node: &Node, caller: &Caller, namespace: &Namespace) -> Vec<String> {
    let listed = node.platform.list_secrets(caller, namespace).expect("allowed");
    listed.into_iter().map(|view| view.name).collect()
}

#[tokio::test]
async fn a_value_is_kept_exactly_across_a_restart() {
    let node = node().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let values: [(&str, &[u8]); 4] = [
        ("one", b"x"),
        ("PEM", b"-----BEGIN KEY-----\r\nAAAA\r\n-----END KEY-----\r\n"),
        ("bytes.all", &every_byte),
        ("large_-1", &[7; 65_536]),
    ];
    for (name, value) in values {
        set(&node, &home(), name, value).await;
        assert_eq!(get(&node, &home(), name).await.as_deref(), Some(value), "{name}");
    }
    let node = node.restarted().await;
    for (name, value) in values {
        assert_eq!(get(&node, &home(), name).await.as_deref(), Some(value), "{name}");
    }
    assert_eq!(names(&node, &admin(), &home()), ["PEM", "bytes.all", "large_-1", "one"]);
}

#[tokio::test]
async fn names_and_values_have_limits() {
    let node = node().await;
    let long = "n".repeat(129);
    for name in ["", ".", "..", "../x", "a/b", "a b", "n\u{e4}me", "a\0", &long] {
        let refused = node.platform.set_secret(&admin(), &home(), name, Bytes::from_static(b"value")).await;
        assert!(refusal(refused).starts_with("VALIDATION_FAILED: the name of a secret"), "{name:?}");
    }
    set(&node, &home(), &"n".repeat(128), b"value").await;
    let empty = node.platform.set_secret(&admin(), &home(), "a", Bytes::new()).await;
    assert_eq!(refusal(empty), "VALIDATION_FAILED: the value of a secret is empty; to remove it, delete it");
    let large = node.platform.set_secret(&admin(), &home(), "a", vec![0; 65_537].into()).await;
    assert_eq!(refusal(large), "PAYLOAD_TOO_LARGE: the value is 65537 bytes, the limit for a secret is 65536");
}

#[tokio::test]
async fn a_namespace_has_so_many_secrets_and_no_more() {
    let node = node().await;
    for index in 0..500 {
        set(&node, &home(), &format!("s{index}"), b"value").await;
    }
    let more = node.platform.set_secret(&admin(), &home(), "one-more", Bytes::from_static(b"value")).await;
    assert!(refusal(more).starts_with("CONFLICT: the namespace has 500 secrets"));
    set(&node, &home(), "s7", b"changed").await;
    node.create_namespace(&abroad()).await;
    set(&node, &abroad(), "one-more", b"value").await;
    node.platform.delete_secret(&admin(), &home(), "s8").await.expect("deleted");
    set(&node, &home(), "one-more", b"value").await;
}

#[tokio::test]
async fn the_secrets_of_a_namespace_have_room_for_a_mebibyte() {
    let node = node().await;
    for index in 0..15 {
        set(&node, &home(), &format!("s{index}"), &[7; 65_536]).await;
    }
    let more = node.platform.set_secret(&admin(), &home(), "more", vec![0; 65_536].into()).await;
    assert!(refusal(more).starts_with("PAYLOAD_TOO_LARGE: the secrets of a namespace"));
    set(&node, &home(), "s3", &[8; 65_536]).await;
}

#[tokio::test]
async fn who_may_manage_secrets() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    set(&node, &home(), "TOKEN", b"value").await;
    let absent = Namespace::parse("absent").expect("valid");
    for (caller, namespace, code) in [
        (Caller::anonymous(), home(), Some(ErrorCode::Unauthorized)),
        (key_of(&home(), Scope::Invoke), home(), Some(ErrorCode::Forbidden)),
        (key_of(&home(), Scope::Data), home(), Some(ErrorCode::Forbidden)),
        (key_of(&home(), Scope::Deploy), home(), None),
        (admin(), home(), None),
        (admin(), abroad(), Some(ErrorCode::NotFound)),
        (admin(), absent.clone(), Some(ErrorCode::NotFound)),
        (key_of(&abroad(), Scope::Admin), home(), Some(ErrorCode::NotFound)),
        (operator(), home(), None),
        (operator(), absent, Some(ErrorCode::NotFound)),
    ] {
        let said = format!("{caller:?} in {namespace}");
        let listed = node.platform.list_secrets(&caller, &namespace);
        assert_eq!(listed.err().map(|error| error.code), code, "{said}");
        let set = node.platform.set_secret(&caller, &namespace, "TOKEN", Bytes::from_static(b"value")).await;
        assert_eq!(set.err().map(|error| error.code), code, "{said}");
        if code.is_some() {
            let deleted = node.platform.delete_secret(&caller, &namespace, "TOKEN").await;
            assert_eq!(deleted.err().map(|error| error.code), code, "{said}");
        }
        let rotated = node.platform.rotate_secrets(&caller).await;
        assert_eq!(rotated.is_ok(), caller.scopes.allow(Scope::Operator), "{said}");
    }
}

#[tokio::test]
async fn a_namespace_has_its_own_secrets() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    set(&node, &home(), "TOKEN", b"ours").await;
    assert_eq!(get(&node, &abroad(), "TOKEN").await, None);
    set(&node, &abroad(), "TOKEN", b"theirs").await;
    assert_eq!(get(&node, &home(), "TOKEN").await.as_deref(), Some(&b"ours"[..]));
    let deleted = node.platform.delete_secret(&key_of(&abroad(), Scope::Admin), &abroad(), "OTHER").await;
    assert_eq!(refusal(deleted), "NOT_FOUND: secret not found");
}

#[tokio::test]
async fn a_change_holds_at_once_in_functions_that_run() {
    let node = node().await;
    set(&node, &home(), "TOKEN", b"first").await;
    let running = node.services(&home()).await.secrets.clone();
    assert_eq!(read(&*running, "TOKEN").as_deref(), Some(&b"first"[..]));
    assert_eq!(running.mask("it is first"), Some("it is ***".to_owned()));
    set(&node, &home(), "TOKEN", b"second").await;
    assert_eq!(read(&*running, "TOKEN").as_deref(), Some(&b"second"[..]));
    assert_eq!(running.mask("first, second"), Some("first, ***".to_owned()));
    node.platform.delete_secret(&admin(), &home(), "TOKEN").await.expect("deleted");
    assert_eq!(read(&*running, "TOKEN"), None);
    assert_eq!(running.mask("first, second"), None);
    assert_eq!(get(&node.restarted().await, &home(), "TOKEN").await, None);
}

#[tokio::test]
async fn a_change_that_was_not_stored_did_not_happen() {
    let node = node().await;
    set(&node, &home(), "TOKEN", b"first").await;
    node.faults.fail("put_secret", 1);
    let failed = node.platform.set_secret(&admin(), &home(), "TOKEN", Bytes::from_static(b"second")).await;
    assert_eq!(refusal(failed), "INTERNAL: something went wrong on our side");
    node.faults.fail("delete_secret", 1);
    let failed = node.platform.delete_secret(&admin(), &home(), "TOKEN").await;
    assert_eq!(refusal(failed), "INTERNAL: something went wrong on our side");
    assert_eq!(answer(&node, &home(), "TOKEN").await, "first");
}

#[tokio::test]
async fn dates_follow_the_value_and_not_the_keys() {
    let node = node().await;
    set(&node, &home(), "TOKEN", b"first").await;
    let made = node.platform.list_secrets(&admin(), &home()).expect("allowed")[0].clone();
    node.clock.advance(std::time::Duration::from_secs(60));
    set(&node, &home(), "TOKEN", b"second").await;
    let changed = node.platform.list_secrets(&admin(), &home()).expect("allowed")[0].clone();
    assert_eq!(changed.created_at, made.created_at);
    assert!(changed.updated_at > made.updated_at);
    node.clock.advance(std::time::Duration::from_secs(60));
    node.platform.rotate_secrets(&operator()).await.expect("rotated");
    let node = node.restarted().await;
    assert_eq!(node.platform.list_secrets(&admin(), &home()).expect("allowed"), [changed]);
}

#[tokio::test]
async fn stored_rows_hold_no_value() {
    let node = node().await;
    set(&node, &home(), "TOKEN", b"a-canary-that-nobody-finds").await;
    let stored = format!("{:?}{:?}", row(&node, &home(), "TOKEN").await, node.registry.load_data_keys().await);
    assert!(!stored.contains("canary"));
    let hidden = format!("{:?}", b"a-canary");
    assert!(!stored.contains(hidden.trim_matches(['[', ']'])), "not as numbers either");
}

#[tokio::test]
async fn a_row_that_was_changed_or_moved_is_not_read() {
    let mut node = node().await;
    node.create_namespace(&abroad()).await;
    set(&node, &home(), "TOKEN", b"ours").await;
    set(&node, &home(), "OTHER", b"other").await;
    set(&node, &abroad(), "TOKEN", b"theirs").await;
    let damaged = "CORRUPT: the secret `TOKEN` is damaged";
    let own = row(&node, &home(), "TOKEN").await;
    let (beside, foreign) = (row(&node, &home(), "OTHER").await, row(&node, &abroad(), "TOKEN").await);
    let mut changed: Vec<_> = (0..own.sealed.len()).map(|at| flipped(&own, at)).collect();
    changed.push(SealedSecret { sealed: beside.sealed, ..own.clone() });
    changed.push(SealedSecret { sealed: foreign.sealed, ..own.clone() });
    changed.push(SealedSecret { sealed: Vec::new(), ..own.clone() });
    for row in changed {
        node.registry.put_secret(row).await.expect("stored");
        node = node.restarted().await;
        assert_eq!(answer(&node, &home(), "TOKEN").await, damaged);
        assert_eq!(answer(&node, &home(), "OTHER").await, "other");
    }
    set(&node, &home(), "TOKEN", b"repaired").await;
    assert_eq!(answer(&node, &home(), "TOKEN").await, "repaired");
}

fn flipped(row: &SealedSecret, at: usize) -> SealedSecret {
    let mut sealed = row.sealed.clone();
    sealed[at] ^= 1;
    SealedSecret { sealed, ..row.clone() }
}

#[tokio::test]
async fn a_data_key_that_was_changed_opens_nothing_and_can_be_replaced() {
    let node = node().await;
    set(&node, &home(), "TOKEN", b"lost").await;
    let key = node.registry.load_data_keys().await.expect("readable").remove(0);
    let mut sealed = key.sealed.clone();
    sealed[20] ^= 1;
    node.registry.reseal_data_key(&key.id, &key.master, sealed).await.expect("stored");
    let node = node.restarted().await;
    assert_eq!(answer(&node, &home(), "TOKEN").await, "CORRUPT: the secret `TOKEN` is damaged");
    let rotated = node.platform.rotate_secrets(&operator()).await;
    assert!(refusal(rotated).ends_with("1 secrets are damaged and were left alone: default/TOKEN"));
    set(&node, &home(), "TOKEN", b"again").await;
    assert_eq!(answer(&node, &home(), "TOKEN").await, "again");
    node.platform.rotate_secrets(&operator()).await.expect("rotated");
    assert_eq!(answer(&node.restarted().await, &home(), "TOKEN").await, "again");
}

#[tokio::test]
async fn a_missing_master_key_is_noticed_before_anything_happens() {
    let node = node().await;
    set(&node, &home(), "TOKEN", b"value").await;
    let registry = node.registry.clone();
    let before = (registry.load_signing_keys().await.ok(), registry.load_data_keys().await.ok());
    node.keys.add_master();
    node.keys.forget_old_masters();
    let Err(refused) = node.reopened().await else { panic!("the node started") };
    let said = std::error::Error::source(&refused).expect("a reason").to_string();
    assert!(said.contains("2 stored keys are sealed with the master key"), "{said}");
    assert!(said.contains("the node holds only"), "{said}");
    let after = (registry.load_signing_keys().await.ok(), registry.load_data_keys().await.ok());
    assert_eq!(before, after, "nothing was changed");
}

#[tokio::test]
async fn a_new_master_key_takes_over_with_a_rotation() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    set(&node, &home(), "TOKEN", b"ours").await;
    set(&node, &abroad(), "TOKEN", b"theirs").await;
    node.keys.add_master();
    let node = node.restarted().await;
    let running = node.services(&home()).await.secrets.clone();
    let rotation = node.platform.rotate_secrets(&operator()).await.expect("rotated");
    assert_eq!((rotation.data_keys, rotation.secrets), (2, 2));
    assert_eq!(read(&*running, "TOKEN").as_deref(), Some(&b"ours"[..]));
    node.keys.forget_old_masters();
    let node = node.restarted().await;
    assert_eq!(answer(&node, &home(), "TOKEN").await, "ours");
    assert_eq!(answer(&node, &abroad(), "TOKEN").await, "theirs");
    assert_eq!(node.registry.load_data_keys().await.expect("readable").len(), 2);
}

/// A kill after each call of the registry in turn: all is readable then, and the next rotation finishes.
#[tokio::test]
async fn a_rotation_may_be_killed_anywhere() {
    let secrets = BTreeMap::from([((home(), "A"), "one"), ((home(), "B"), "two"), ((abroad(), "A"), "three")]);
    let mut calls = 0;
    loop {
        let node = node().await;
        node.create_namespace(&abroad()).await;
        for ((namespace, name), value) in &secrets {
            set(&node, namespace, name, value.as_bytes()).await;
        }
        node.keys.add_master();
        let mut node = node.restarted().await;
        // Before the fault, because functions that run need no registry.
        let running = [node.services(&home()).await, node.services(&abroad()).await];
        node.faults.fail_after(calls);
        let outcome = node.platform.rotate_secrets(&operator()).await;
        for ((namespace, name), value) in &secrets {
            let services = running.iter().find(|services| services.version.namespace == *namespace).expect("given");
            assert_eq!(read(&*services.secrets, name).as_deref(), Some(value.as_bytes()), "{calls} calls");
        }
        node.faults.heal();
        for again in [false, true] {
            node = node.restarted().await;
            for ((namespace, name), value) in &secrets {
                assert_eq!(answer(&node, namespace, name).await, *value, "{calls} calls");
            }
            if !again {
                node.platform.rotate_secrets(&operator()).await.expect("finished");
                assert_eq!(node.registry.load_data_keys().await.expect("readable").len(), 2, "{calls} calls");
                node.keys.forget_old_masters();
            }
        }
        if outcome.is_ok() {
            break;
        }
        calls += 1;
    }
    assert!(calls >= 7, "a key, its secrets and the old key, in two namespaces: {calls} calls");
}

#[tokio::test]
async fn secrets_change_while_keys_rotate() {
    let node = node().await;
    for index in 0..50 {
        set(&node, &home(), &format!("s{index}"), b"old").await;
    }
    let rotate = async { node.platform.rotate_secrets(&operator()).await.expect("rotated") };
    let change = async {
        for index in 0..50 {
            set(&node, &home(), &format!("s{index}"), b"new").await;
        }
        node.platform.delete_secret(&admin(), &home(), "s7").await.expect("deleted");
    };
    tokio::join!(rotate, change);
    let node = node.restarted().await;
    for index in (0..50).filter(|index| *index != 7) {
        assert_eq!(answer(&node, &home(), &format!("s{index}")).await, "new");
    }
    assert_eq!(answer(&node, &home(), "s7").await, "none");
    assert_eq!(node.registry.load_data_keys().await.expect("readable").len(), 1);
}

#[tokio::test]
async fn a_namespace_of_the_same_name_begins_without_secrets() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    set(&node, &abroad(), "TOKEN", b"theirs").await;
    node.platform.delete_namespace(&operator(), &abroad()).await.expect("deleted");
    node.create_namespace(&abroad()).await;
    assert!(names(&node, &operator(), &abroad()).is_empty());
    assert_eq!(answer(&node, &abroad(), "TOKEN").await, "none");
    set(&node, &abroad(), "TOKEN", b"new").await;
    assert_eq!(answer(&node.restarted().await, &abroad(), "TOKEN").await, "new");
}
