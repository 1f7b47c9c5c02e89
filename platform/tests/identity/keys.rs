//! API keys: given, used, taken away.

use std::time::Duration;

use domain::{Caller, ErrorCode, Scope, Scopes};
use platform::NewKey;

use crate::support::*;

fn new(name: &str, scopes: &[Scope]) -> NewKey {
    NewKey { name: name.to_owned(), scopes: Scopes::of(scopes.iter().copied()), lifetime: None }
}

#[tokio::test]
async fn a_key_opens_its_namespace_until_it_is_revoked() {
    let node = node().await;
    let made =
        node.platform.create_api_key(&admin_of(&home()), &home(), new("ci", &[Scope::Deploy])).await.expect("made");
    assert!(made.key.starts_with("ak_") && made.key.ends_with(":default") && made.key.len() == 35, "{}", made.key);
    let node = node.reopened().await;
    let caller = node.platform.caller_of_key(&made.key).expect("valid");
    assert!(caller.may(Scope::Deploy, &home()) && !caller.may(Scope::Invoke, &home()));
    node.platform.revoke_api_key(&admin_of(&home()), &home(), &made.view.id).await.expect("revoked");
    assert!(node.platform.caller_of_key(&made.key).is_none());
    node.platform.revoke_api_key(&admin_of(&home()), &home(), &made.view.id).await.expect("revoked already");
    let node = node.reopened().await;
    assert!(node.platform.caller_of_key(&made.key).is_none());
    assert!(node.platform.has_keys(), "one was made, once");
    let listed = node.platform.list_api_keys(&operator(), &home()).expect("allowed");
    assert!(listed.len() == 1 && listed[0].revoked_at.is_some());
}

#[tokio::test]
async fn a_key_that_is_nearly_right_is_nothing() {
    let node = node().await;
    let (key, _) = node.key(&home(), Scope::Admin).await;
    let other = key.replace(":default", ":other");
    let swapped: String =
        key.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c }).collect();
    for wrong in ["", "ak_", &key.to_lowercase(), &swapped, &key[..34], &format!("{key} "), &other, &"k".repeat(10_240)]
    {
        assert!(node.platform.caller_of_key(wrong).is_none(), "{wrong:.60}");
    }
}

#[tokio::test]
async fn nobody_gives_more_than_it_has() {
    let node = node().await;
    let admin = admin_of(&home());
    assert!(node.platform.create_api_key(&admin, &home(), new("all", &[Scope::Admin, Scope::Data])).await.is_ok());
    let operators = node.platform.create_api_key(&admin, &home(), new("root", &[Scope::Operator])).await;
    assert_eq!(refusal(operators).to_string(), "the key lacks the scope `operator`");
    assert!(node.platform.create_api_key(&operator(), &home(), new("root", &[Scope::Operator])).await.is_ok());
    for scope in [Scope::Deploy, Scope::Invoke, Scope::Data] {
        let caller = Caller::key("k", home(), Scopes::of([scope]));
        assert_eq!(
            code(node.platform.create_api_key(&caller, &home(), new("k", &[scope])).await),
            ErrorCode::Forbidden
        );
    }
    let nothing = node.platform.create_api_key(&admin, &home(), new("none", &[])).await;
    assert_eq!(code(nothing), ErrorCode::ValidationFailed);
    assert_eq!(
        code(node.platform.create_api_key(&Caller::anonymous(), &home(), new("k", &[Scope::Invoke])).await),
        ErrorCode::Unauthorized
    );
}

#[tokio::test]
async fn nobody_takes_away_more_than_it_has() {
    let node = node().await;
    let (_, root) = node.key(&home(), Scope::Operator).await;
    let (spare, _) = node.key(&home(), Scope::Operator).await;
    let keys = node.platform.list_api_keys(&root, &home()).expect("allowed");
    for key in &keys {
        let refused = node.platform.revoke_api_key(&admin_of(&home()), &home(), &key.id).await;
        assert_eq!(code(refused), ErrorCode::Forbidden);
    }
    let spare_id =
        keys.iter().map(|key| &key.id).find(|id| root.credential != domain::Credential::Key { id: (*id).clone() });
    node.platform.revoke_api_key(&root, &home(), spare_id.expect("two keys")).await.expect("one is left");
    assert!(node.platform.caller_of_key(&spare).is_none());
    let domain::Credential::Key { id } = &root.credential else { panic!("a key") };
    let last = refusal(node.platform.revoke_api_key(&root, &home(), id).await);
    assert_eq!(last.code, ErrorCode::Conflict, "who revokes the last one locks itself out");
}

#[tokio::test]
async fn a_key_expires_at_its_moment() {
    let node = node().await;
    let hour = |seconds| NewKey { lifetime: Some(Duration::from_secs(seconds)), ..new("hour", &[Scope::Invoke]) };
    let made = node.platform.create_api_key(&operator(), &home(), hour(3600)).await.expect("made");
    node.pass(3599);
    assert!(node.platform.caller_of_key(&made.key).is_some());
    node.pass(1);
    assert!(node.platform.caller_of_key(&made.key).is_none());
    for wrong in [0, u64::MAX, 101 * 365 * 24 * 3600] {
        assert_eq!(
            code(node.platform.create_api_key(&operator(), &home(), hour(wrong)).await),
            ErrorCode::ValidationFailed
        );
    }
}

#[tokio::test]
async fn names_of_keys_are_for_people() {
    let node = node().await;
    for good in ["x", "my laptop (grün)", &"n".repeat(100)] {
        assert!(
            node.platform.create_api_key(&operator(), &home(), new(good, &[Scope::Invoke])).await.is_ok(),
            "{good}"
        );
    }
    for bad in ["", &"n".repeat(101), "two\nlines", "nul\0"] {
        let refused = node.platform.create_api_key(&operator(), &home(), new(bad, &[Scope::Invoke])).await;
        assert_eq!(code(refused), ErrorCode::ValidationFailed, "{bad:?}");
    }
}

#[tokio::test]
async fn a_list_shows_keys_newest_first_and_never_a_key() {
    let node = node().await;
    let mut keys = Vec::new();
    for name in ["first", "second", "third"] {
        keys.push(node.platform.create_api_key(&operator(), &home(), new(name, &[Scope::Invoke])).await.expect("made"));
        node.pass(1);
    }
    let listed = node.platform.list_api_keys(&operator(), &home()).expect("allowed");
    assert_eq!(listed.iter().map(|key| &*key.name).collect::<Vec<_>>(), ["third", "second", "first"]);
    let shown = format!("{listed:?}");
    assert!(keys.iter().all(|made| !shown.contains(&made.key[3..27])));
}

#[tokio::test]
async fn foreign_keys_are_not_there() {
    let node = node().await;
    let other = node.make("other").await;
    let theirs = node.platform.create_api_key(&operator(), &other, new("k", &[Scope::Admin])).await.expect("made");
    let stranger = admin_of(&home());
    assert_eq!(code(node.platform.list_api_keys(&stranger, &other)), ErrorCode::NotFound);
    assert_eq!(
        code(node.platform.create_api_key(&stranger, &other, new("k", &[Scope::Invoke])).await),
        ErrorCode::NotFound
    );
    assert_eq!(code(node.platform.revoke_api_key(&stranger, &other, &theirs.view.id).await), ErrorCode::NotFound);
    let existing = refusal(node.platform.revoke_api_key(&stranger, &home(), &theirs.view.id).await);
    let missing = refusal(node.platform.revoke_api_key(&stranger, &home(), "missing").await);
    assert_eq!(existing.to_string().replace(&theirs.view.id, "missing"), missing.to_string());
    assert!(node.platform.caller_of_key(&theirs.key).is_some());
}

#[tokio::test]
async fn a_key_that_could_not_be_stored_opens_nothing() {
    let node = node().await;
    node.world.faults.fail("create_key", 1);
    assert_eq!(
        code(node.platform.create_api_key(&operator(), &home(), new("k", &[Scope::Invoke])).await),
        ErrorCode::Internal
    );
    assert_eq!(node.platform.list_api_keys(&operator(), &home()).expect("allowed"), []);
    let made = node.platform.create_api_key(&operator(), &home(), new("k", &[Scope::Invoke])).await.expect("made");
    node.world.faults.fail("revoke_key", 1);
    assert_eq!(code(node.platform.revoke_api_key(&operator(), &home(), &made.view.id).await), ErrorCode::Internal);
    assert!(node.platform.caller_of_key(&made.key).is_some(), "it is still valid, and nobody was told otherwise");
}

#[tokio::test(start_paused = true)]
async fn the_last_use_is_noted_and_survives_a_restart() {
    let node = node().await;
    let (key, _) = node.key(&home(), Scope::Admin).await;
    node.pass(3600);
    node.platform.caller_of_key(&key).expect("valid");
    let used = |node: &Node| node.platform.list_api_keys(&operator(), &home()).expect("allowed")[0].last_used_at;
    let now = used(&node).expect("just now");
    assert_eq!(now.as_second(), 1_767_225_600 + 3600);
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let node = node.reopened().await;
    assert_eq!(used(&node).map(|at| at.as_second()), Some(now.as_second()));
}
