//! Functions, their versions, and replies.

use bytes::Bytes;
use domain::{Cid, Error, ErrorCode, FailureKind, Manifest, ReplyHead, RequestId, VersionNumber};

use super::{at, create, name, namespace};
use crate::{Claim, Claimed, NewVersion, Registry, RegistryError, StoredOutcome};

pub(super) async fn functions(registry: &dyn Registry) {
    create(registry, "one").await;
    create(registry, "two").await;
    versions(registry).await;
    deletion(registry).await;
    replies(registry).await;
    outside_of_any_namespace(registry).await;
}

async fn outside_of_any_namespace(registry: &dyn Registry) {
    let refused = registry.publish_version(new_version("nowhere", "hello", 1)).await;
    assert!(matches!(refused, Err(RegistryError::NotFound)), "a version needs a namespace that exists");
    let refused = registry.claim_reply(Claim { namespace: namespace("nowhere"), ..claim("a", 1, 1) }).await;
    assert!(matches!(refused, Err(RegistryError::NotFound)));
}

fn number(number: u32) -> VersionNumber {
    VersionNumber::new(number).expect("from 1")
}

pub(super) fn new_version(ns: &str, function: &str, second: i64) -> NewVersion {
    let yaml = format!("name: {function}\nmemory: 32\nenv: {{A: 'ü', B: '2'}}\ntriggers: [{{topic: t}}]");
    NewVersion {
        id: format!("{ns}-{function}-{second}"),
        namespace: namespace(ns),
        code: Cid::of(function.as_bytes()),
        code_bytes: 9,
        manifest: Manifest::parse(&yaml).expect("a valid manifest"),
        triggers: Vec::new(),
        created_at: at(second),
        created_by: ns.to_owned(),
    }
}

async fn versions(registry: &dyn Registry) {
    assert_eq!(registry.load_functions().await.expect("load"), []);
    let first = registry.publish_version(new_version("one", "hello", 1)).await.expect("publish");
    let second = registry.publish_version(new_version("one", "hello", 2)).await.expect("publish");
    let foreign = registry.publish_version(new_version("two", "hello", 3)).await.expect("publish");
    assert_eq!((first.version, second.version, foreign.version), (number(1), number(2), number(1)));

    let mut loaded = registry.load_functions().await.expect("load");
    loaded.sort_by(|a, b| a.state.namespace.cmp(&b.state.namespace));
    assert_eq!(loaded.len(), 2);
    assert_eq!(loaded[0].versions, [first.clone(), second]);
    assert_eq!(loaded[0].state.active, number(2));
    assert!(loaded[0].state.enabled);
    assert_eq!(loaded[0].state.updated_at, at(2));

    registry.activate(&namespace("one"), &name("hello"), number(1), vec![], at(4)).await.expect("activate");
    registry.set_enabled(&namespace("one"), &name("hello"), false, at(5)).await.expect("disable");
    let state = load_one(registry, "one", "hello").await.expect("still there").state;
    assert_eq!((state.active, state.enabled, state.updated_at), (number(1), false, at(5)));

    let unknown = registry.activate(&namespace("one"), &name("hello"), number(9), vec![], at(6)).await;
    assert!(matches!(unknown, Err(RegistryError::NotFound)));
    let unknown = registry.activate(&namespace("one"), &name("nobody"), number(1), vec![], at(6)).await;
    assert!(matches!(unknown, Err(RegistryError::NotFound)));
    let unknown = registry.set_enabled(&namespace("three"), &name("hello"), true, at(6)).await;
    assert!(matches!(unknown, Err(RegistryError::NotFound)));
}

async fn deletion(registry: &dyn Registry) {
    let (one, hello) = (namespace("one"), name("hello"));
    let active = registry.delete_version(&one, &hello, number(1), at(7)).await;
    assert!(matches!(active, Err(RegistryError::Conflict(_))), "the active version stays while others exist");
    registry.delete_version(&one, &hello, number(2), at(7)).await.expect("delete a version");
    let again = registry.delete_version(&one, &hello, number(2), at(7)).await;
    assert!(matches!(again, Err(RegistryError::NotFound)));

    registry.delete_version(&one, &hello, number(1), at(8)).await.expect("the last version takes the function along");
    assert_eq!(load_one(registry, "one", "hello").await, None);
    let gone = registry.delete_function(&one, &hello, at(8)).await;
    assert!(matches!(gone, Err(RegistryError::NotFound)));
    assert!(load_one(registry, "two", "hello").await.is_some(), "the namesake of another namespace stays");

    let next = registry.publish_version(new_version("one", "hello", 9)).await.expect("publish");
    assert_eq!(next.version, number(3), "numbers are never reused");
    assert!(load_one(registry, "one", "hello").await.expect("back").state.enabled);
    registry.delete_function(&one, &hello, at(10)).await.expect("delete the function");
    assert_eq!(load_one(registry, "one", "hello").await, None);
}

async fn load_one(registry: &dyn Registry, ns: &str, function: &str) -> Option<crate::StoredFunction> {
    let all = registry.load_functions().await.expect("load");
    all.into_iter().find(|stored| stored.state.namespace == namespace(ns) && stored.state.name == name(function))
}

pub(super) fn claim(caller: &str, fingerprint: u8, second: i64) -> Claim {
    Claim {
        namespace: namespace("one"),
        function: name("hello"),
        caller: caller.to_owned(),
        key: "order-1".to_owned(),
        fingerprint: [fingerprint; 32],
        at: at(second),
    }
}

async fn replies(registry: &dyn Registry) {
    let outcome = StoredOutcome {
        request_id: RequestId::new("r1"),
        head: Some(ReplyHead { status: 201, headers: vec![(Bytes::from("x-a"), Bytes::from_static(b"\xff"))] }),
        body: Bytes::from_static(b"\0reply"),
        error: Some(
            Error::new(ErrorCode::FunctionExecutionFailed, "exit code 3")
                .kind(FailureKind::Exit)
                .hint("look at stderr"),
        ),
        duration_ms: 12,
    };
    let mine = claim("a", 1, 1);
    assert_eq!(registry.claim_reply(mine.clone()).await.expect("claim"), Claimed::New);
    assert_eq!(registry.claim_reply(mine.clone()).await.expect("claim"), Claimed::Running);
    assert_eq!(registry.claim_reply(claim("b", 1, 1)).await.expect("claim"), Claimed::New, "callers never meet");
    assert_eq!(registry.claim_reply(claim("a", 2, 1)).await.expect("claim"), Claimed::OtherRequest);

    registry.store_reply(&mine, &outcome).await.expect("store");
    assert_eq!(registry.claim_reply(mine.clone()).await.expect("claim"), Claimed::Done(outcome.clone()));

    registry.release_reply(&claim("b", 1, 1)).await.expect("release");
    assert_eq!(registry.claim_reply(claim("b", 9, 50)).await.expect("claim"), Claimed::New);
    assert_eq!(registry.release_unfinished().await.expect("release unfinished"), 1);
    assert_eq!(registry.claim_reply(claim("b", 3, 50)).await.expect("claim"), Claimed::New);

    assert_eq!(registry.expire_replies(at(20)).await.expect("expire"), 1);
    assert_eq!(registry.claim_reply(mine).await.expect("claim"), Claimed::New, "an expired key is free again");
}
