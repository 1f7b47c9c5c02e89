//! Rate limits, by a clock that a test moves.

use std::time::Duration;

use domain::{Caller, Credential, ErrorCode, Namespace, NamespaceSettings, Scope};
use platform::{Config, RateLeft};

use crate::node::*;

fn limits(of_namespace: Option<u64>, of_caller: Option<u64>) -> NamespaceSettings {
    NamespaceSettings {
        requests_per_minute: of_namespace,
        caller_requests_per_minute: of_caller,
        ..NamespaceSettings::default()
    }
}

async fn limited(of_namespace: Option<u64>, of_caller: Option<u64>) -> Node {
    let node = node().await;
    node.set(&home(), limits(of_namespace, of_caller)).await;
    node
}

fn caller(id: &str) -> Caller {
    Caller { credential: Credential::Key { id: id.to_owned() }, ..key_of(&home(), Scope::Invoke) }
}

/// How many requests pass at this moment.
fn passing(node: &Node, caller: &Caller, from: &str) -> u64 {
    (0..).take_while(|_| node.platform.count_request(caller, address(from)).is_ok()).count() as u64
}

fn left(node: &Node, caller: &Caller) -> Option<RateLeft> {
    node.platform.count_request(caller, address("192.0.2.1")).expect("within the limits")
}

#[tokio::test]
async fn without_a_limit_nothing_is_counted() {
    let node = node().await;
    for settings in [limits(None, None), limits(Some(0), Some(0))] {
        node.set(&home(), settings).await;
        for _ in 0..1000 {
            assert_eq!(left(&node, &caller("a")), None);
        }
    }
}

#[tokio::test]
async fn half_a_minutes_worth_passes_at_once_and_the_rest_evenly() {
    let node = limited(None, Some(60)).await;
    assert_eq!(passing(&node, &caller("a"), "192.0.2.1"), 30);
    let refused = node.platform.count_request(&caller("a"), address("192.0.2.1")).expect_err("used up");
    assert_eq!((refused.code, refused.retry_after), (ErrorCode::RateLimited, Some(Duration::from_secs(1))));
    assert_eq!(refused.message, "too many requests: one caller may send 60 a minute");
    for (wait, passes) in [(999, 0), (1, 1), (2000, 2), (29_000, 29), (3_600_000, 30)] {
        node.clock.advance(Duration::from_millis(wait));
        assert_eq!(passing(&node, &caller("a"), "192.0.2.1"), passes, "after {wait} ms");
    }
}

#[tokio::test]
async fn one_passes_at_once_however_low_the_limit() {
    let node = limited(None, Some(1)).await;
    assert_eq!(passing(&node, &caller("a"), "192.0.2.1"), 1);
    let refused = node.platform.count_request(&caller("a"), address("192.0.2.1")).expect_err("used up");
    assert_eq!(refused.retry_after, Some(Duration::from_secs(60)));
    node.clock.advance(Duration::from_secs(60));
    assert_eq!(passing(&node, &caller("a"), "192.0.2.1"), 1);
}

#[tokio::test]
async fn it_says_what_is_left_of_the_tighter_limit() {
    let node = limited(Some(60), Some(20)).await;
    let told = left(&node, &caller("a"));
    assert_eq!(told, Some(RateLeft { limit: 20, remaining: 9, reset: Duration::from_secs(3) }));
    for id in ["b", "c", "d"] {
        passing(&node, &caller(id), "192.0.2.1");
    }
    let refused = node.platform.count_request(&caller("e"), address("192.0.2.1")).expect_err("used up by others");
    assert_eq!(refused.message, "too many requests: the namespace `default` may send 60 a minute");
    node.clock.advance(Duration::from_secs(5));
    let told = left(&node, &caller("f"));
    assert_eq!(told, Some(RateLeft { limit: 60, remaining: 4, reset: Duration::from_secs(26) }));
}

#[tokio::test]
async fn a_caller_that_is_refused_takes_nothing_from_its_namespace() {
    let node = limited(Some(60), Some(20)).await;
    passing(&node, &caller("a"), "192.0.2.1");
    for _ in 0..100 {
        node.platform.count_request(&caller("a"), address("192.0.2.1")).expect_err("used up");
    }
    assert_eq!(passing(&node, &caller("b"), "192.0.2.1"), 10);
    assert_eq!(passing(&node, &caller("c"), "192.0.2.1"), 10);
}

#[tokio::test]
async fn who_counts_as_one_caller() {
    let node = limited(None, Some(20)).await;
    node.create_namespace(&abroad()).await;
    node.set(&abroad(), limits(None, Some(20))).await;
    let wallet = |wallet: &str, session: &str, namespace: Namespace| Caller {
        credential: Credential::Token { session: session.to_owned() },
        subject: Some(wallet.to_owned()),
        ..key_of(&namespace, Scope::Invoke)
    };
    for (who, from, passes) in [
        (caller("a"), "192.0.2.1", 10),
        (caller("a"), "192.0.2.2", 0),
        (caller("b"), "192.0.2.1", 10),
        (wallet("0xa", "one", home()), "192.0.2.1", 10),
        (wallet("0xa", "two", home()), "192.0.2.1", 0),
        (wallet("0xa", "one", abroad()), "192.0.2.1", 10),
        (wallet("0xb", "one", home()), "192.0.2.1", 10),
    ] {
        assert_eq!(passing(&node, &who, from), passes, "{who:?} from {from}");
    }
}

#[tokio::test]
async fn whoever_has_no_name_is_an_address() {
    let config = Config { namespace_defaults: limits(Some(1), Some(20)), ..Config::default() };
    let node = node_with(config).await;
    for (from, passes) in [
        ("192.0.2.1", 10),
        ("::ffff:192.0.2.1", 0),
        ("192.0.2.2", 10),
        ("2001:db8::1", 10),
        ("2001:db8::ffff:ffff:ffff:ffff", 0),
        ("2001:db8:0:1::1", 10),
    ] {
        assert_eq!(passing(&node, &Caller::anonymous(), from), passes, "from {from}");
    }
}

#[tokio::test]
async fn callers_from_elsewhere_use_up_what_the_namespace_has() {
    let node = limited(Some(60), Some(20)).await;
    node.create_namespace(&abroad()).await;
    let stranger = key_of(&abroad(), Scope::Admin);
    let count = |who: &Caller| node.platform.count_call_from_elsewhere(who, &home());
    assert_eq!(count(&caller("a")), Ok(None), "who is at home was counted before");
    assert_eq!(node.platform.count_call_from_elsewhere(&caller("a"), &abroad()), Ok(None), "no limit is set there");
    assert_eq!(count(&stranger).map(|left| left.map(|left| left.remaining)), Ok(Some(29)));
    assert_eq!((0..).take_while(|_| count(&Caller::anonymous()).is_ok()).count(), 29);
    let refused = count(&stranger).expect_err("used up");
    assert_eq!(refused.message, "too many requests: the functions of `default` take 60 a minute");
    assert_eq!(passing(&node, &caller("a"), "192.0.2.1"), 0, "it is one limit for all");
}

#[tokio::test]
async fn a_change_of_settings_holds_at_once() {
    let node = limited(None, Some(2)).await;
    assert_eq!(passing(&node, &caller("a"), "192.0.2.1"), 1);
    node.set(&home(), limits(None, None)).await;
    assert_eq!(left(&node, &caller("a")), None);
    node.set(&home(), limits(None, Some(60))).await;
    assert_eq!(passing(&node, &caller("b"), "192.0.2.1"), 30);
    node.set(&home(), limits(Some(2), None)).await;
    assert_eq!(passing(&node, &caller("c"), "192.0.2.1"), 1);
}

#[tokio::test]
async fn sign_ins_have_a_limit_of_their_own() {
    let config = Config { sign_ins_per_minute: 40, namespace_defaults: limits(None, Some(1)), ..Config::default() };
    let node = node_with(config).await;
    let passing = |from: &str| (0..).take_while(|_| node.platform.count_sign_in(address(from)).is_ok()).count();
    assert_eq!(passing("192.0.2.1"), 10);
    let refused = node.platform.count_sign_in(address("192.0.2.1")).expect_err("used up");
    assert_eq!(refused.message, "too many requests: one address may try to sign in 40 times a minute");
    assert_eq!(refused.retry_after, Some(Duration::from_millis(1500)));
    assert_eq!((passing("192.0.2.2"), passing("2001:db8::1"), passing("2001:db8::2")), (10, 10, 0));
    node.clock.advance(Duration::from_secs(3));
    assert_eq!(passing("192.0.2.1"), 2);
    assert_eq!(self::passing(&node, &Caller::anonymous(), "192.0.2.1"), 1);
}

#[tokio::test]
async fn sign_ins_may_be_without_a_limit() {
    let node = node_with(Config { sign_ins_per_minute: 0, ..Config::default() }).await;
    for _ in 0..1000 {
        node.platform.count_sign_in(address("192.0.2.1")).expect("no limit");
    }
}

/// More callers than are remembered: those who are at rest make room, and who used up its share stays refused.
#[tokio::test]
async fn callers_at_rest_are_forgotten_first() {
    let node = limited(None, Some(60)).await;
    passing(&node, &caller("greedy"), "192.0.2.1");
    for round in 0..20 {
        for index in 0..10_000 {
            left(&node, &caller(&format!("{round} {index}")));
        }
        node.clock.advance(Duration::from_millis(50));
    }
    assert_eq!(passing(&node, &caller("greedy"), "192.0.2.1"), 1, "a second has passed, and no more");
}
