//! Challenges and their answers.

use domain::{ErrorCode, Namespace, Scope, Scopes};
use platform::{ChallengeRequest, Proof};

use crate::support::*;

const FAILED: &str = "signature verification failed";

#[tokio::test]
async fn a_wallet_signs_in_by_nonce_on_either_chain() {
    let node = node().await;
    let (eth, sol) = (ethereum(1), solana(1));
    node.own(&home(), &eth, Scope::Deploy).await;
    node.own(&home(), &sol, Scope::Invoke).await;
    for (signed_in, address, scope) in [
        (node.sign_in(&eth, &home()).await, eth.address(), Scope::Deploy),
        (node.sign_in(&sol, &home()).await, sol.address(), Scope::Invoke),
    ] {
        assert_eq!((&signed_in.subject, &signed_in.namespace), (&address, &home()));
        assert_eq!(signed_in.expires_in_seconds, 900);
        let caller = node.platform.caller_of_token(&signed_in.access_token).expect("valid");
        assert_eq!((caller.wallet(), caller.scopes.clone()), (address.as_str(), Scopes::of([scope])));
        let key = node.platform.caller_of_key(&signed_in.api_key.expect("it owns something")).expect("valid");
        assert_eq!((key.wallet(), key.scopes.clone()), ("default", Scopes::of([scope])));
    }
}

#[tokio::test]
async fn a_wallet_signs_in_by_message_on_either_chain() {
    let node = node().await;
    let (eth, sol) = (ethereum(1), solana(1));
    let message = node.challenge(&eth, &home(), "login").message;
    assert_eq!(node.platform.verify(answer_message(&eth, &message)).await.expect("good").subject, eth.address());
    let message = node.challenge(&sol, &home(), "login").message;
    assert_eq!(node.platform.verify(answer_message(&sol, &message)).await.expect("good").subject, sol.address());
}

#[tokio::test]
async fn a_challenge_is_made_for_people_and_for_machines() {
    let node = node().await;
    let wallet = ethereum_of("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    let challenge = node.challenge(&wallet, &home(), "login");
    assert_eq!(challenge.wallet, "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    assert_eq!((challenge.nonce.len(), challenge.expires_at.to_string().as_str()), (43, "2026-01-01T00:05:00Z"));
    let message = challenge.message.replace(&challenge.nonce, "NONCE");
    expect_test::expect![[r#"
        orama.example:8443 wants you to sign in with your Ethereum account:
        0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266

        Sign in to the Orama namespace default. Purpose: login

        URI: https://orama.example:8443
        Version: 1
        Chain ID: 1
        Nonce: NONCE
        Issued At: 2026-01-01T00:00:00Z
        Expiration Time: 2026-01-01T00:05:00Z
        Resources:
        - urn:orama:namespace:default"#]]
    .assert_eq(&message);
}

#[tokio::test]
async fn every_nonce_is_new_and_of_letters_and_digits() {
    let node = node().await;
    let mut seen = std::collections::HashSet::new();
    // The expiry stands in the nonce: no moment may bring a character that EIP-4361 forbids.
    for _ in 0..500 {
        node.pass(1);
        let nonce = node.challenge(&ethereum(1), &home(), "").nonce;
        assert!(nonce.len() == 43 && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{nonce}");
        assert!(seen.insert(nonce));
    }
}

#[tokio::test]
async fn a_nonce_is_spent_by_its_first_answer_and_stays_spent() {
    let node = node().await;
    let wallet = ethereum(1);
    let (proof, message) = {
        let challenge = node.challenge(&wallet, &home(), "");
        (answer(&wallet, &challenge), answer_message(&wallet, &challenge.message))
    };
    assert!(node.platform.verify(proof.clone()).await.is_ok());
    for again in [proof.clone(), message] {
        assert_eq!(refusal(node.platform.verify(again).await).to_string(), FAILED);
    }
    let node = node.reopened().await;
    assert_eq!(refusal(node.platform.verify(proof).await).to_string(), FAILED);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_answers_at_once_one_counts() {
    let node = node().await;
    let proof = node.proof(&ethereum(1), &home(), "");
    let answers = at_once((0..50).map(|_| {
        let (platform, proof) = (node.platform.clone(), proof.clone());
        async move { platform.verify(proof).await }
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_nonce_is_for_one_wallet_one_namespace_and_five_minutes() {
    let node = node().await;
    let other = node.make("other").await;
    let (mine, yours) = (ethereum(1), ethereum(2));
    let challenge = node.challenge(&mine, &home(), "");
    let stolen =
        Proof { wallet: Some(yours.address()), signature: yours.sign(&challenge.nonce), ..answer(&mine, &challenge) };
    let elsewhere = Proof { namespace: Some(other.to_string()), ..answer(&mine, &challenge) };
    let missing = Proof { namespace: Some("missing".into()), ..answer(&mine, &challenge) };
    let unnamed = Proof { namespace: None, ..answer(&mine, &node.challenge(&mine, &other, "")) };
    let forged =
        Proof { nonce: Some("A".repeat(43)), signature: mine.sign(&"A".repeat(43)), ..answer(&mine, &challenge) };
    let empty = Proof { nonce: Some("x".into()), signature: mine.sign("x"), ..answer(&mine, &challenge) };
    for proof in [stolen, elsewhere, missing, unnamed, forged, empty] {
        let refused = refusal(node.platform.verify(proof.clone()).await);
        assert_eq!((refused.code, refused.to_string().as_str()), (ErrorCode::Unauthorized, FAILED), "{proof:?}");
    }
    node.pass(299);
    let late = node.challenge(&mine, &home(), "");
    assert!(node.platform.verify(answer(&mine, &challenge)).await.is_ok(), "nothing of this spent it");
    node.pass(300);
    assert_eq!(refusal(node.platform.verify(answer(&mine, &late)).await).to_string(), FAILED);
}

/// A nonce for a key or for an application works there alone; that of a sign-in works everywhere.
#[tokio::test]
async fn a_nonce_is_for_its_purpose() {
    let node = node().await;
    let wallet = ethereum(1);
    node.own(&home(), &wallet, Scope::Admin).await;
    let mut table = String::new();
    for purpose in ["", "login", "api-key", "api_key", "register"] {
        let proof = || node.proof(&wallet, &home(), purpose);
        let word = |ok: bool| if ok { "ok" } else { "-" };
        table += &format!(
            "{purpose:8} {:3} {:3} {:3}",
            word(node.platform.verify(proof()).await.is_ok()),
            word(node.platform.wallet_key(proof()).await.is_ok()),
            word(node.platform.register_app(proof(), "app").await.is_ok()),
        );
        table = format!("{}\n", table.trim_end());
    }
    expect_test::expect![[r#"
                 ok  ok  ok
        login    ok  ok  ok
        api-key  -   ok  -
        api_key  -   ok  -
        register -   -   ok
    "#]]
    .assert_eq(&table);

    let repeated = |purpose: &str| Proof { purpose: Some(purpose.into()), ..node.proof(&wallet, &home(), "login") };
    assert!(node.platform.verify(repeated("login")).await.is_ok());
    for other in ["", "Login", "api-key", "log in"] {
        assert_eq!(refusal(node.platform.verify(repeated(other)).await).to_string(), FAILED);
    }
}

#[tokio::test]
async fn a_message_counts_only_as_it_was_meant() {
    let node = node().await;
    node.make("other").await;
    let wallet = ethereum(1);
    let changes: &[(&str, &str, &str)] = &[
        ("another host", "orama.example:8443 wants", "evil.example wants"),
        ("another port", "orama.example:8443 wants", "orama.example wants"),
        ("user information", "orama.example:8443 wants", "orama.example:8443@evil.example wants"),
        ("another namespace", "urn:orama:namespace:default", "urn:orama:namespace:other"),
        (
            "two namespaces",
            "- urn:orama:namespace:default",
            "- urn:orama:namespace:default\n- urn:orama:namespace:other",
        ),
        ("a capability", "- urn:orama:namespace:default", "- urn:orama:namespace:default\n- urn:recap:eyJhdHQiOnt9fQ"),
        ("no namespace", "\nResources:\n- urn:orama:namespace:default", ""),
        ("an empty list", "\n- urn:orama:namespace:default", ""),
        ("another kind", "urn:orama:namespace:default", "urn:orama:ns:default"),
        ("another chain", "Chain ID: 1", "Chain ID: 137"),
        ("a Solana message", "Ethereum account:", "Solana account:"),
        ("another version", "Version: 1", "Version: 2"),
        ("not yet", "Issued At: 2026-01-01T00:00:00Z", "Issued At: 2026-01-01T00:01:01Z"),
        ("not before", "\nResources", "\nNot Before: 2026-01-01T00:01:01Z\nResources"),
        ("expired", "Time: 2026-01-01T00:05:00Z", "Time: 2026-01-01T00:00:00Z"),
        ("no time", "Time: 2026-01-01T00:05:00Z", "Time: tomorrow"),
        ("fields in another order", "Version: 1\nChain ID: 1", "Chain ID: 1\nVersion: 1"),
        ("a field twice", "Version: 1\n", "Version: 1\nVersion: 1\n"),
        ("carriage returns", "\n", "\r\n"),
        ("a line more", "namespace:default", "namespace:default\n"),
        ("an unknown field", "\nResources", "\nColour: red\nResources"),
        ("no blank line", "\n\nURI", "\nURI"),
        (
            "an address without checksum",
            "ccount:\n0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1",
            "ccount:\n0x1a642f0e3c3af545e7acbd38b07251b3990914f1",
        ),
        ("another address", "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        ("unicode", "Sign in", "Sign ín"),
        ("two lines of statement", "Sign in to", "Sign in\nto"),
    ];
    for (what, from, to) in changes {
        let challenge = node.challenge(&wallet, &home(), "");
        let changed = challenge.message.replace(from, to);
        assert_ne!(changed, challenge.message, "{what}");
        let refused = refusal(node.platform.verify(answer_message(&wallet, &changed)).await);
        assert!(matches!(refused.code, ErrorCode::Unauthorized | ErrorCode::ValidationFailed), "{what}: {refused}");
        assert!(
            node.platform.verify(answer_message(&wallet, &challenge.message)).await.is_ok(),
            "{what} spent the nonce"
        );
    }
}

#[tokio::test]
async fn what_stands_beside_a_message_must_agree_with_it() {
    let node = node().await;
    let wallet = ethereum(1);
    let said = |change: fn(&mut Proof)| {
        let mut proof = answer_message(&wallet, &node.challenge(&wallet, &home(), "").message);
        change(&mut proof);
        node.platform.verify(proof)
    };
    assert_eq!(code(said(|proof| proof.namespace = Some("other".into())).await), ErrorCode::Unauthorized);
    assert_eq!(code(said(|proof| proof.nonce = Some("A".repeat(43))).await), ErrorCode::Unauthorized);
    assert_eq!(code(said(|proof| proof.wallet = Some(ethereum(2).address())).await), ErrorCode::Unauthorized);
    assert_eq!(code(said(|proof| proof.chain = Some("SOL".into())).await), ErrorCode::Unauthorized);
    assert_eq!(code(said(|proof| proof.domain = "evil.example".into()).await), ErrorCode::Unauthorized);
    assert!(said(|proof| proof.domain = "ORAMA.example:8443".into()).await.is_ok());
    assert!(said(|proof| proof.namespace = Some("default".into())).await.is_ok());
    // Without the message's own text the signature is over another one.
    let mut by_nonce = answer_message(&wallet, &node.challenge(&wallet, &home(), "").message);
    by_nonce.nonce = by_nonce.message.take().map(|_| node.challenge(&wallet, &home(), "").nonce);
    by_nonce.wallet = Some(wallet.address());
    assert_eq!(refusal(node.platform.verify(by_nonce).await).to_string(), FAILED);
}

#[tokio::test]
async fn what_a_request_lacks_or_misspells_is_said() {
    let node = node().await;
    let wallet = ethereum(1);
    let good = || node.proof(&wallet, &home(), "");
    let cases = [
        (Proof { wallet: None, ..good() }, "wallet is required"),
        (Proof { nonce: None, ..good() }, "nonce is required"),
        (Proof { signature: String::new(), ..good() }, "signature is required"),
        (Proof { chain: Some("BTC".into()), ..good() }, "the chain is neither `ETH` nor `SOL`"),
    ];
    for (proof, said) in cases {
        let refused = refusal(node.platform.verify(proof).await);
        assert_eq!((refused.code, refused.to_string().as_str()), (ErrorCode::ValidationFailed, said));
    }
    let other_chain = Proof { chain: Some("sol".into()), ..good() };
    assert_eq!(code(node.platform.verify(other_chain).await), ErrorCode::ValidationFailed);
    let bad_namespace = Proof { namespace: Some("a:b".into()), ..good() };
    assert_eq!(code(node.platform.verify(bad_namespace).await), ErrorCode::ValidationFailed);
    assert!(node.platform.verify(Proof { chain: Some("eth".into()), ..good() }).await.is_ok());

    let asked = |wallet: &str, purpose: &str, domain: &str| {
        node.platform.challenge(ChallengeRequest {
            wallet: wallet.into(),
            namespace: home(),
            purpose: purpose.into(),
            domain: domain.into(),
        })
    };
    let address = wallet.address();
    assert_eq!(refusal(asked("", "", HOST)).to_string(), "wallet is required");
    for (wallet, purpose, domain) in [
        ("0x12", "", HOST),
        (&*address, &*"x".repeat(65), HOST),
        (&*address, "two\nlines", HOST),
        (&*address, "ünicode", HOST),
        (&*address, "", ""),
        (&*address, "", "evil host"),
        (&*address, "", "user@host"),
        (&*address, "", "host\nURI: x"),
    ] {
        assert_eq!(code(asked(wallet, purpose, domain)), ErrorCode::ValidationFailed, "{purpose:?} {domain:?}");
    }
}

#[tokio::test]
async fn a_challenge_tells_nobody_which_namespaces_exist() {
    let node = node().await;
    let wallet = ethereum(1);
    let shape = |name: &str| {
        let challenge = node.challenge(&wallet, &Namespace::parse(name).expect("valid"), "");
        challenge.message.replace(&challenge.nonce, "").replace(name, "")
    };
    assert_eq!(shape("default"), shape("missing"));
    let missing = node.proof(&wallet, &namespace("missing"), "");
    let refused = refusal(node.platform.verify(missing).await);
    assert_eq!((refused.code, refused.to_string().as_str()), (ErrorCode::NotFound, "namespace `missing` not found"));
}

#[tokio::test]
async fn where_registration_is_open_a_wallet_makes_the_namespace_it_asks_for() {
    let node = open_node().await;
    let (founder, stranger) = (ethereum(1), ethereum(2));
    let fresh = namespace("fresh");
    let signed_in = node.sign_in(&founder, &fresh).await;
    let caller = node.platform.caller_of_token(&signed_in.access_token).expect("valid");
    assert!(
        caller.may(Scope::Admin, &fresh) && !caller.may(Scope::Operator, &fresh) && !caller.may(Scope::Admin, &home())
    );
    let view = node.platform.namespace(&caller, &fresh).expect("its own");
    assert_eq!(view.created_by, format!("wallet:{}", founder.address()));

    let late = node.sign_in(&stranger, &fresh).await;
    assert!(late.api_key.is_none());
    let late = node.platform.caller_of_token(&late.access_token).expect("valid");
    assert_eq!(code(node.platform.owners(&late, &fresh)), ErrorCode::Forbidden);

    let node = node.reopened().await;
    let again = node.sign_in(&founder, &fresh).await;
    assert_eq!(again.api_key, signed_in.api_key);
}

#[tokio::test]
async fn a_wallet_that_owns_nothing_may_sign_in_and_no_more() {
    let node = node().await;
    let wallet = ethereum(1);
    let signed_in = node.sign_in(&wallet, &home()).await;
    assert!(signed_in.api_key.is_none());
    let caller = node.platform.caller_of_token(&signed_in.access_token).expect("valid");
    assert_eq!((caller.wallet(), &caller.scopes), (&*wallet.address(), &Scopes::default()));
    let key = node.platform.wallet_key(node.proof(&wallet, &home(), "api-key")).await;
    assert_eq!(code(key), ErrorCode::Forbidden);
    let app = node.platform.register_app(node.proof(&wallet, &home(), "register"), "app").await;
    assert_eq!(code(app), ErrorCode::Forbidden);
    assert_eq!(code(node.platform.list_api_keys(&caller, &home())), ErrorCode::Forbidden);
    assert_eq!(node.platform.list_namespaces(&caller).expect("known"), []);
}

#[tokio::test]
async fn the_key_of_a_wallet_is_the_same_until_it_is_revoked() {
    let node = node().await;
    let (other, wallet) = (node.make("other").await, ethereum(1));
    node.own(&home(), &wallet, Scope::Deploy).await;
    node.own(&other, &wallet, Scope::Deploy).await;
    let first = node.sign_in(&wallet, &home()).await.api_key.expect("an owner");
    assert!(first.starts_with("ak_") && first.ends_with(":default") && first.len() == 35, "{first}");
    let asked = node.platform.wallet_key(node.proof(&wallet, &home(), "api-key")).await.expect("an owner");
    assert_eq!((&asked.api_key, &asked.wallet), (&first, &wallet.address()));
    let elsewhere = node.sign_in(&wallet, &other).await.api_key.expect("an owner");
    assert_ne!(elsewhere.split(':').next(), first.split(':').next());

    // Its scopes are those of the wallet at this moment.
    let may = |scope| node.platform.caller_of_key(&first).is_some_and(|caller| caller.may(scope, &home()));
    assert!(may(Scope::Deploy) && !may(Scope::Invoke));
    node.own(&home(), &wallet, Scope::Invoke).await;
    assert!(!may(Scope::Deploy) && may(Scope::Invoke));

    let node = node.reopened().await;
    assert_eq!(node.sign_in(&wallet, &home()).await.api_key.as_ref(), Some(&first));
    let keys = node.platform.list_api_keys(&operator(), &home()).expect("allowed");
    let [key] = &keys[..] else { panic!("one key, although it was asked for four times: {keys:?}") };
    assert_eq!(key.wallet.as_ref(), Some(&wallet.address()));
    node.platform.revoke_api_key(&operator(), &home(), &key.id).await.expect("revoked");
    assert!(node.platform.caller_of_key(&first).is_none());
    let second = node.sign_in(&wallet, &home()).await.api_key.expect("an owner");
    assert_ne!(second, first);
    assert!(node.platform.caller_of_key(&second).is_some() && node.platform.caller_of_key(&first).is_none());

    node.platform.remove_owner(&operator(), &home(), &wallet.address()).await.expect("removed");
    assert!(node.platform.caller_of_key(&second).is_none());
    let node = node.reopened().await;
    assert!(node.platform.caller_of_key(&first).is_none() && node.platform.caller_of_key(&second).is_none());
}

#[tokio::test]
async fn an_application_is_registered_for_an_owner() {
    let node = node().await;
    let wallet = solana(3);
    node.own(&home(), &wallet, Scope::Data).await;
    let app = node.platform.register_app(node.proof(&wallet, &home(), "register"), "Notes").await.expect("an owner");
    assert_eq!((app.name.as_str(), &app.wallet, &app.namespace), ("Notes", &wallet.address(), &home()));
    for name in ["", &"n".repeat(101), "a\nb"] {
        let refused = node.platform.register_app(node.proof(&wallet, &home(), "register"), name).await;
        assert_eq!(code(refused), ErrorCode::ValidationFailed, "{name:?}");
    }
}

#[tokio::test]
async fn a_nonce_that_cannot_be_spent_signs_nobody_in() {
    let node = node().await;
    let proof = node.proof(&ethereum(1), &home(), "");
    node.world.faults.fail("consume_nonce", 1);
    assert_eq!(code(node.platform.verify(proof.clone()).await), ErrorCode::Internal);
    assert!(node.platform.verify(proof).await.is_ok());
}
