//! Namespaces, their owners, and the claims of wallets.

use std::time::Duration;

use domain::{Caller, ErrorCode, Namespace, NamespaceSettings, Scope, Scopes};
use platform::Config;

use crate::support::*;

#[tokio::test]
async fn an_operator_makes_lists_and_deletes_namespaces() {
    let node = node().await;
    let shop = node.make("shop").await;
    assert_eq!(code(node.platform.create_namespace(&operator(), &shop).await), ErrorCode::Conflict);
    let node = node.reopened().await;
    let names = |caller: &Caller| -> Vec<String> {
        let listed = node.platform.list_namespaces(caller).expect("known");
        listed.into_iter().map(|view| view.name.to_string()).collect()
    };
    assert_eq!(names(&operator()), ["default", "shop"]);
    assert_eq!(names(&admin_of(&shop)), ["shop"]);
    assert_eq!(code(node.platform.list_namespaces(&Caller::anonymous())), ErrorCode::Unauthorized);
    assert_eq!(node.platform.namespace(&operator(), &shop).expect("there").created_by, "key:operator");
    node.platform.delete_namespace(&operator(), &shop).await.expect("deleted");
    assert_eq!(code(node.platform.namespace(&operator(), &shop)), ErrorCode::NotFound);
    assert_eq!(code(node.platform.delete_namespace(&operator(), &shop).await), ErrorCode::NotFound);
    assert_eq!(code(node.platform.delete_namespace(&operator(), &home()).await), ErrorCode::Conflict);
    let node = node.reopened().await;
    assert_eq!(node.platform.list_namespaces(&operator()).expect("known").len(), 1);
}

#[tokio::test]
async fn who_may_make_a_namespace() {
    let (closed, open) = (node().await, open_node().await);
    let (mut table, wallet) = (String::new(), ethereum(1));
    for (which, node) in [("closed", &closed), ("open", &open)] {
        let token = node.sign_in(&wallet, &home()).await.access_token;
        let by_wallet = node.platform.caller_of_token(&token).expect("valid");
        let (_, key) = node.key(&home(), Scope::Admin).await;
        let exchanged = node.platform.exchange_key(&key).await.expect("a key").token;
        let by_key_token = node.platform.caller_of_token(&exchanged).expect("valid");
        let callers = [
            ("nobody", Caller::anonymous()),
            ("wallet", Caller::clone(&by_wallet)),
            ("admin", Caller::clone(&key)),
            ("token", Caller::clone(&by_key_token)),
            ("operator", operator()),
        ];
        for (who, caller) in callers {
            let made = node.platform.create_namespace(&caller, &namespace(&format!("by-{who}"))).await;
            let answer = made
                .map_or_else(|error| error.code.to_string(), |view| view.created_by.replace(&wallet.address(), "…"));
            table += &format!("{which:6} {who:8} {answer}\n");
        }
    }
    expect_test::expect![[r#"
        closed nobody   UNAUTHORIZED
        closed wallet   FORBIDDEN
        closed admin    FORBIDDEN
        closed token    FORBIDDEN
        closed operator key:operator
        open   nobody   UNAUTHORIZED
        open   wallet   wallet:…
        open   admin    UNAUTHORIZED
        open   token    UNAUTHORIZED
        open   operator key:operator
    "#]]
    .assert_eq(&table);
    let owners = open.platform.owners(&operator(), &namespace("by-wallet")).expect("there");
    assert_eq!(
        (owners.len(), &owners[0].wallet, &owners[0].scopes),
        (1, &wallet.address(), &Scopes::of([Scope::Admin]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_a_name_one_gets_it() {
    let node = open_node().await;
    let wallets: Vec<_> = (1..=20).map(ethereum).collect();
    let name = namespace("gold-rush");
    let proofs: Vec<_> = wallets.iter().map(|wallet| node.proof(wallet, &name, "")).collect();
    let answers = at_once(proofs.into_iter().map(|proof| {
        let platform = node.platform.clone();
        async move { platform.verify(proof).await }
    }))
    .await;
    assert!(answers.iter().all(Result::is_ok), "whoever comes late signs in to what is another's");
    assert_eq!(answers.iter().flatten().filter(|signed_in| signed_in.api_key.is_some()).count(), 1);
    assert_eq!(node.platform.owners(&operator(), &name).expect("there").len(), 1);
}

#[tokio::test]
async fn a_namespace_that_is_foreign_looks_like_one_that_is_not_there() {
    let node = node().await;
    let (mine, theirs) = (node.make("mine").await, node.make("theirs").await);
    let (key, missing, wallet) = (admin_of(&mine), namespace("missing"), ethereum(1).address());
    let settings = NamespaceSettings::default;
    let tried = async |to: &Namespace| {
        let platform = &node.platform;
        let new = platform::NewKey { name: "k".into(), scopes: Scopes::of([Scope::Invoke]), lifetime: None };
        [
            refusal(platform.namespace(&key, to)),
            refusal(platform.delete_namespace(&key, to).await),
            refusal(platform.set_namespace_settings(&key, to, settings()).await),
            refusal(platform.owners(&key, to)),
            refusal(platform.put_owner(&key, to, &wallet, Scopes::of([Scope::Invoke])).await),
            refusal(platform.remove_owner(&key, to, &wallet).await),
            refusal(platform.claims(&key, to, &wallet).await),
            refusal(platform.set_claim(&key, to, &wallet, "a", "b").await),
            refusal(platform.delete_claim(&key, to, &wallet, "a").await),
            refusal(platform.list_api_keys(&key, to)),
            refusal(platform.create_api_key(&key, to, new).await),
            refusal(platform.revoke_api_key(&key, to, "id").await),
            refusal(platform.list(&key, to)),
        ]
        .map(|error| (error.code, error.to_string().replace(to.as_str(), "…"), error.hint))
    };
    let answers = tried(&theirs).await;
    assert_eq!(answers, tried(&missing).await);
    for (code, text, _) in answers {
        assert_eq!((code, text.as_str()), (ErrorCode::NotFound, "namespace `…` not found"));
    }
    assert!(node.platform.owners(&operator(), &theirs).expect("there").is_empty());
}

#[tokio::test]
async fn an_operator_finds_nothing_where_nothing_is() {
    let node = node().await;
    let missing = namespace("missing");
    assert_eq!(code(node.platform.list(&operator(), &missing)), ErrorCode::NotFound);
    assert_eq!(code(node.platform.list_api_keys(&operator(), &missing)), ErrorCode::NotFound);
    assert_eq!(code(node.platform.create_key(&missing, "k", Scopes::of([Scope::Admin])).await), ErrorCode::NotFound);
    let owner =
        node.platform.put_owner(&operator(), &missing, &ethereum(1).address(), Scopes::of([Scope::Admin])).await;
    assert_eq!(code(owner), ErrorCode::NotFound);
}

#[tokio::test]
async fn what_is_deleted_takes_its_keys_and_stores_along() {
    let node = node().await;
    let shop = node.make("shop").await;
    let (key, admin) = node.key(&shop, Scope::Admin).await;
    node.own(&shop, &ethereum(1), Scope::Admin).await;
    node.platform.delete_namespace(&admin, &shop).await.expect("its own");
    assert!(node.platform.caller_of_key(&key).is_none());
    assert_eq!(code(node.platform.list_api_keys(&admin, &shop)), ErrorCode::NotFound, "who was let in before is out");
    assert_eq!(node.world.databases.removed(), std::slice::from_ref(&shop));
    node.pass(1);
    node.make("shop").await;
    assert!(node.platform.owners(&operator(), &shop).expect("new").is_empty());
    assert_eq!(node.platform.list_api_keys(&operator(), &shop).expect("new"), []);
    let node = node.reopened().await;
    assert!(node.platform.caller_of_key(&key).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_interrupted_is_finished_after_the_next_start() {
    let node = node().await;
    let shop = node.make("shop").await;
    node.world.faults.fail("finish_end_of_namespace", usize::MAX);
    node.platform.delete_namespace(&operator(), &shop).await.expect("gone for everybody");
    assert_eq!(code(node.platform.namespace(&operator(), &shop)), ErrorCode::NotFound);
    let early = node.platform.create_namespace(&operator(), &shop).await;
    assert_eq!(code(early), ErrorCode::Conflict, "the name is not free yet");
    let node = node.reopened().await;
    assert_eq!(code(node.platform.namespace(&operator(), &shop)), ErrorCode::NotFound);
    node.world.faults.heal();
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(Duration::from_secs(61)).await;
    node.make("shop").await;
}

#[tokio::test]
async fn an_end_that_could_not_begin_changes_nothing() {
    let node = node().await;
    let shop = node.make("shop").await;
    let (key, _) = node.key(&shop, Scope::Admin).await;
    node.world.faults.fail("begin_end_of_namespace", 1);
    assert_eq!(code(node.platform.delete_namespace(&operator(), &shop).await), ErrorCode::Internal);
    assert!(node.platform.caller_of_key(&key).is_some());
    assert!(node.platform.namespace(&operator(), &shop).is_ok());
}

#[tokio::test]
async fn settings_are_the_operators_and_reach_the_database() {
    let defaults = NamespaceSettings { database_bytes_max: Some(1 << 30), ..NamespaceSettings::default() };
    let node = node_with(Config { namespace_defaults: defaults, ..Config::default() }).await;
    let shop = node.make("shop").await;
    assert_eq!(node.world.databases.limit(&shop), Some(Some(1 << 30)));
    let set =
        NamespaceSettings { database_bytes_max: Some(1 << 20), functions_max: Some(3), ..NamespaceSettings::default() };
    let refused = node.platform.set_namespace_settings(&admin_of(&shop), &shop, set.clone()).await;
    assert_eq!(code(refused), ErrorCode::Forbidden);
    node.platform.set_namespace_settings(&operator(), &shop, set.clone()).await.expect("an operator may");
    assert_eq!(node.world.databases.limit(&shop), Some(Some(1 << 20)));
    let node = node.reopened().await;
    assert_eq!(node.platform.namespace(&admin_of(&shop), &shop).expect("its own").settings, set);
    assert_eq!(node.world.databases.limit(&home()), Some(Some(1 << 30)));
}

#[tokio::test]
async fn owners_are_wallets_in_their_one_form() {
    let node = node().await;
    let wallet = ethereum_of("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    let admin = admin_of(&home());
    for form in ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "F39FD6E51AAD88F6F4CE6AB8827279CFFFB92266"] {
        let owner = node.platform.put_owner(&admin, &home(), form, Scopes::of([Scope::Invoke])).await.expect("added");
        assert_eq!(owner.wallet, wallet.address());
    }
    assert_eq!(node.platform.owners(&admin, &home()).expect("allowed").len(), 1);
    for bad in ["", "0xf39fd6e51aad88F6F4ce6aB8827279cffFb92266", "default", "ak_x:default"] {
        let refused = node.platform.put_owner(&admin, &home(), bad, Scopes::of([Scope::Invoke])).await;
        assert_eq!(code(refused), ErrorCode::ValidationFailed, "{bad}");
    }
    let root = Scopes::of([Scope::Operator]);
    assert_eq!(
        code(node.platform.put_owner(&admin, &home(), &wallet.address(), root.clone()).await),
        ErrorCode::Forbidden
    );
    node.platform.put_owner(&operator(), &home(), &wallet.address(), root).await.expect("an operator may");
    let weaker = node.platform.put_owner(&admin, &home(), &wallet.address(), Scopes::of([Scope::Invoke])).await;
    assert_eq!(code(weaker), ErrorCode::Forbidden, "an admin does not unmake an operator");
    assert_eq!(code(node.platform.remove_owner(&admin, &home(), &wallet.address()).await), ErrorCode::Forbidden);
    let node = node.reopened().await;
    node.platform.remove_owner(&operator(), &home(), &wallet.address()).await.expect("removed");
    assert_eq!(code(node.platform.remove_owner(&admin, &home(), &wallet.address()).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn claims_have_limits_and_names_of_their_own() {
    let node = node().await;
    let (admin, wallet) = (admin_of(&home()), ethereum(1).address());
    let set = async |key: &str, value: &str| node.platform.set_claim(&admin, &home(), &wallet, key, value).await;
    for reserved in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "namespace", "scopes", "custom"] {
        assert_eq!(code(set(reserved, "x").await), ErrorCode::ValidationFailed, "{reserved}");
    }
    for key in ["", "two words", "grün", "line\n", &"k".repeat(65)] {
        assert_eq!(code(set(key, "x").await), ErrorCode::ValidationFailed, "{key:?}");
    }
    assert_eq!(code(set("big", &"v".repeat(1025)).await), ErrorCode::PayloadTooLarge);
    set(&"k".repeat(64), &"v".repeat(1024)).await.expect("within the limits");
    node.platform.delete_claim(&admin, &home(), &wallet, &"k".repeat(64)).await.expect("deleted");
    assert_eq!(code(node.platform.delete_claim(&admin, &home(), &wallet, "gone").await), ErrorCode::NotFound);
    for number in 0..32 {
        set(&format!("claim{number}"), "v").await.expect("within the limits");
    }
    assert_eq!(code(set("one-more", "v").await), ErrorCode::ValidationFailed);
    set("claim7", "changed").await.expect("no claim more");
    let claims = node.platform.claims(&admin, &home(), &wallet).await.expect("allowed");
    assert_eq!((claims.len(), claims["claim7"].as_str()), (32, "changed"));
}

/// However large the claims, a token with them is one that we take back.
#[tokio::test]
async fn a_token_with_all_claims_that_fit_is_valid() {
    let node = node().await;
    let (wallet, awkward) = (solana(1), "\u{1}".repeat(1024));
    let mut refused = 0;
    for number in 0..32 {
        let set = node
            .platform
            .set_claim(&operator(), &home(), &wallet.address(), &format!("c{number}"), &awkward[..600])
            .await;
        refused += usize::from(set.is_err_and(|error| error.code == ErrorCode::PayloadTooLarge));
    }
    assert!(refused > 0);
    let token = node.sign_in(&wallet, &home()).await.access_token;
    assert!(node.platform.caller_of_token(&token).is_ok(), "{} bytes", token.len());
}
