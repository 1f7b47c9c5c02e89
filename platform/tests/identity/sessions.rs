//! Refresh tokens and the end of sign-ins.

use domain::{Caller, ErrorCode, Scope};
use platform::InvalidToken;

use crate::support::*;

#[tokio::test]
async fn a_refresh_token_is_used_once_and_gives_the_next() {
    let node = node().await;
    let wallet = ethereum(1);
    let first = node.sign_in(&wallet, &home()).await;
    assert!(first.refresh_token.starts_with("rt_") && first.refresh_token.len() == 46);
    node.platform.set_claim(&operator(), &home(), &wallet.address(), "plan", "gold").await.expect("set");
    let second = node.platform.refresh(&first.refresh_token, Some(&home())).await.expect("fresh");
    assert_eq!((&second.subject, &second.namespace, second.expires_in_seconds), (&wallet.address(), &home(), 900));
    assert_ne!(second.refresh_token, first.refresh_token);
    let caller = node.platform.caller_of_token(&second.access_token).expect("valid");
    assert_eq!(caller.claims.get("plan").map(String::as_str), Some("gold"), "claims are those of this moment");
    let node = node.reopened().await;
    let third = node.platform.refresh(&second.refresh_token, None).await.expect("fresh");
    assert!(node.platform.caller_of_token(&third.access_token).is_ok());
}

#[tokio::test]
async fn a_token_used_twice_ends_the_whole_sign_in() {
    let node = node().await;
    let (thief, other) = (node.sign_in(&ethereum(1), &home()).await, node.sign_in(&ethereum(1), &home()).await);
    let next = node.platform.refresh(&thief.refresh_token, None).await.expect("fresh");
    assert_eq!(code(node.platform.refresh(&thief.refresh_token, None).await), ErrorCode::Unauthorized);
    assert_eq!(code(node.platform.refresh(&next.refresh_token, None).await), ErrorCode::Unauthorized);
    for token in [&thief.access_token, &next.access_token] {
        assert_eq!(node.platform.caller_of_token(token), Err(InvalidToken::Revoked));
    }
    let node = node.reopened().await;
    assert_eq!(node.platform.caller_of_token(&next.access_token), Err(InvalidToken::Revoked));
    assert!(node.platform.caller_of_token(&other.access_token).is_ok(), "another sign-in of the same wallet goes on");
    assert!(node.platform.refresh(&other.refresh_token, None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_refreshes_at_once_one_counts() {
    let node = node().await;
    let token = node.sign_in(&ethereum(1), &home()).await.refresh_token;
    let answers = at_once((0..20).map(|_| {
        let (platform, token) = (node.platform.clone(), token.clone());
        async move { platform.refresh(&token, None).await }
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_refresh_token_is_for_its_namespace_and_thirty_days() {
    let node = node().await;
    let other = node.make("other").await;
    let token = node.sign_in(&ethereum(1), &home()).await.refresh_token;
    assert_eq!(code(node.platform.refresh(&token, Some(&other)).await), ErrorCode::Unauthorized);
    node.pass(30 * 24 * 3600 - 1);
    let next = node.platform.refresh(&token, Some(&home())).await.expect("the wrong namespace changed nothing");
    node.pass(30 * 24 * 3600);
    assert_eq!(code(node.platform.refresh(&next.refresh_token, None).await), ErrorCode::Unauthorized);
    assert_eq!(refusal(node.platform.refresh("", None).await).to_string(), "refresh_token is required");
}

#[tokio::test]
async fn logout_ends_a_sign_in_by_either_token() {
    let node = node().await;
    let wallet = ethereum(1);
    let by_refresh = node.sign_in(&wallet, &home()).await;
    node.platform.logout(&Caller::anonymous(), Some(&by_refresh.refresh_token), false).await.expect("ended");
    let by_access = node.sign_in(&wallet, &home()).await;
    let caller = node.platform.caller_of_token(&by_access.access_token).expect("valid");
    node.platform.logout(&caller, Some(""), false).await.expect("ended");
    let lasting = node.sign_in(&wallet, &home()).await;

    let node = node.reopened().await;
    for ended in [by_refresh, by_access] {
        assert_eq!(node.platform.caller_of_token(&ended.access_token), Err(InvalidToken::Revoked));
        assert_eq!(code(node.platform.refresh(&ended.refresh_token, None).await), ErrorCode::Unauthorized);
    }
    assert!(node.platform.caller_of_token(&lasting.access_token).is_ok());
}

#[tokio::test]
async fn logout_of_all_ends_every_sign_in_of_the_wallet_here() {
    let node = node().await;
    let (other, mine, yours) = (node.make("other").await, ethereum(1), ethereum(2));
    let ended = [node.sign_in(&mine, &home()).await, node.sign_in(&mine, &home()).await];
    let kept = [node.sign_in(&mine, &other).await, node.sign_in(&yours, &home()).await];
    assert_eq!(code(node.platform.logout(&Caller::anonymous(), None, true).await), ErrorCode::Unauthorized);
    let (_, by_key) = node.key(&home(), Scope::Admin).await;
    assert_eq!(code(node.platform.logout(&by_key, None, true).await), ErrorCode::Unauthorized);
    let caller = node.platform.caller_of_token(&ended[0].access_token).expect("valid");
    node.platform.logout(&caller, None, true).await.expect("ended");
    for signed_in in &ended {
        assert_eq!(node.platform.caller_of_token(&signed_in.access_token), Err(InvalidToken::Revoked));
        assert_eq!(code(node.platform.refresh(&signed_in.refresh_token, None).await), ErrorCode::Unauthorized);
    }
    for signed_in in &kept {
        assert!(node.platform.caller_of_token(&signed_in.access_token).is_ok());
        assert!(node.platform.refresh(&signed_in.refresh_token, None).await.is_ok());
    }
}

#[tokio::test]
async fn logout_with_nothing_to_end_is_fine() {
    let node = node().await;
    let (key, by_key) = node.key(&home(), Scope::Admin).await;
    for token in [None, Some(""), Some("rt_never"), Some(&*key)] {
        node.platform.logout(&Caller::anonymous(), token, false).await.expect("fine");
    }
    node.platform.logout(&by_key, None, false).await.expect("fine");
    let exchanged = node.platform.exchange_key(&by_key).await.expect("a key");
    let caller = node.platform.caller_of_token(&exchanged.token).expect("valid");
    node.platform.logout(&caller, None, false).await.expect("fine");
    node.platform.logout(&caller, None, true).await.expect("fine");
    assert!(node.platform.caller_of_key(&key).is_some());
}
