//! Access tokens: what they say, and everything that looks like one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Credential, ErrorCode, Scope, Scopes};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use platform::{InvalidToken, NewKey};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn a_token_says_who_where_and_until_when() {
    let node = node().await;
    let wallet = ethereum(1);
    node.platform.set_claim(&operator(), &home(), &wallet.address(), "plan", "gold").await.expect("set");
    let token = node.sign_in(&wallet, &home()).await.access_token;
    let key = &node.platform.public_keys()[0];
    assert_eq!(header_of(&token), json!({"alg": "EdDSA", "typ": "JWT", "kid": key.id}));
    let mut claims = claims_of(&token);
    for unique in ["jti", "sid"] {
        let value = claims[unique].take();
        assert!(value.as_str().is_some_and(|text| text.len() == 36), "{unique}: {value}");
    }
    let (now, since) = (1_767_225_600, claims["namespace_since"].clone());
    assert_eq!(
        claims,
        json!({
            "iss": "orama-gateway", "sub": wallet.address(), "aud": "gateway", "iat": now, "nbf": now, "exp": now + 900,
            "jti": null, "sid": null, "namespace": "default", "namespace_since": since, "custom": {"plan": "gold"},
        })
    );
    let caller = node.platform.caller_of_token(&token).expect("valid");
    assert_eq!(caller.claims.get("plan").map(String::as_str), Some("gold"));
    let facts = node.platform.token_facts(&token).expect("valid");
    assert_eq!(
        (facts.subject, facts.issuer.as_str(), facts.audience.as_str()),
        (wallet.address(), "orama-gateway", "gateway")
    );
    assert_eq!(facts.expires_at.as_second() - facts.issued_at.as_second(), 900);
}

/// By the published key alone, as any library would.
#[tokio::test]
async fn the_published_key_verifies_a_token() {
    let node = node().await;
    let token = node.sign_in(&solana(1), &home()).await.access_token;
    let [key] = &node.platform.public_keys()[..] else { panic!("one key") };
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let signature = ed25519_dalek::Signature::from_slice(&signature).expect("64 bytes");
    let verifier = ed25519_dalek::VerifyingKey::from_bytes(&key.bytes).expect("a point");
    assert!(verifier.verify_strict(signed.as_bytes(), &signature).is_ok());
}

#[tokio::test]
async fn a_token_lives_a_quarter_of_an_hour_and_a_minute() {
    let node = node().await;
    let token = node.sign_in(&ethereum(1), &home()).await.access_token;
    node.pass(15 * 60 + 59);
    assert!(node.platform.caller_of_token(&token).is_ok());
    node.pass(1);
    assert_eq!(node.platform.caller_of_token(&token), Err(InvalidToken::Expired));
    assert_eq!(node.platform.token_facts(&token), Err(InvalidToken::Expired));
}

#[tokio::test]
async fn a_token_from_the_future_is_refused_beyond_a_minute() {
    let node = node().await;
    node.pass(60);
    let soon = node.sign_in(&ethereum(1), &home()).await.access_token;
    node.pass(1);
    let later = node.sign_in(&ethereum(1), &home()).await.access_token;
    let node = node.reopened_in_the_past().await;
    assert!(node.platform.caller_of_token(&soon).is_ok());
    assert_eq!(node.platform.caller_of_token(&later), Err(InvalidToken::Refused));
}

#[tokio::test]
async fn forgeries_are_refused() {
    let node = node().await;
    let token = node.sign_in(&ethereum(1), &home()).await.access_token;
    let (header, rest) = token.split_once('.').expect("three parts");
    let (claims, signature) = rest.split_once('.').expect("three parts");
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let kid = header_of(&token)["kid"].clone();
    let with_header = |header: serde_json::Value| format!("{}.{claims}.{signature}", encode(&header));
    let mut admin = claims_of(&token);
    admin["sub"] = json!(ethereum(2).address());

    let mut forged = vec![
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{token}.{signature}")),
        ("other claims", format!("{header}.{}.{signature}", encode(&admin))),
        ("signature of another form", format!("{token}=")),
        ("spaces", format!(" {token}")),
        ("a cut signature", token[..token.len() - 2].to_owned()),
        ("a zero signature", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("one megabyte", format!("{header}.{}.{signature}", "A".repeat(1 << 20))),
        ("a header of one megabyte", format!("{}.{claims}.{signature}", "A".repeat(1 << 20))),
        ("HS256 with the public key", confused(&token, &node.platform.public_keys()[0].bytes)),
        ("a foreign key", foreign(&token)),
    ];
    for alg in ["none", "None", "NONE", "nOnE", "HS256", "RS256", "ES256", "eddsa", "Ed25519", ""] {
        forged.push(("alg", with_header(json!({"alg": alg, "typ": "JWT", "kid": kid}))));
        let unsigned = encode(&json!({"alg": alg, "typ": "JWT", "kid": kid}));
        forged.push(("alg without signature", format!("{unsigned}.{claims}.")));
    }
    let long = "k".repeat(1 << 12);
    for kid in ["", "../../dev/null", "/dev/null", "' OR 1=1 --", "file:///etc/passwd", "0", &long] {
        forged.push(("kid", with_header(json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}))));
    }
    forged.push(("no kid", with_header(json!({"alg": "EdDSA", "typ": "JWT"}))));
    forged.push(("kid of another type", with_header(json!({"alg": "EdDSA", "typ": "JWT", "kid": [kid]}))));
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5c", json!(["MIIB"])),
        ("x5u", json!("https://evil.example/cert")),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
    ] {
        let mut header = header_of(&token);
        header[name] = value;
        forged.push(("header field", with_header(header)));
    }
    for (what, token) in forged {
        assert_eq!(node.platform.caller_of_token(&token), Err(InvalidToken::Refused), "{what}: {token:.300}");
    }
    assert!(node.platform.caller_of_token(&token).is_ok());
}

/// The same claims, signed with HMAC under the bytes that everybody can read.
fn confused(token: &str, public: &[u8]) -> String {
    let header = Header { kid: header_of(token)["kid"].as_str().map(str::to_owned), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, &claims_of(token), &EncodingKey::from_secret(public)).expect("signed")
}

/// The same claims and the same key name, signed by somebody else.
fn foreign(token: &str) -> String {
    use ed25519_dalek::Signer as _;
    let signed = token.rsplit_once('.').expect("three parts").0;
    let signature = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

#[tokio::test]
async fn a_token_of_another_node_is_nothing_here() {
    let (here, there) = (node().await, node().await);
    let token = there.sign_in(&ethereum(1), &home()).await.access_token;
    assert_eq!(here.platform.caller_of_token(&token), Err(InvalidToken::Refused));
}

#[tokio::test]
async fn a_token_opens_nothing_in_another_namespace() {
    let node = node().await;
    let (a, b, wallet) = (node.make("a").await, node.make("b").await, ethereum(1));
    node.own(&a, &wallet, Scope::Admin).await;
    node.own(&b, &wallet, Scope::Admin).await;
    let token = node.sign_in(&wallet, &a).await.access_token;
    let caller = node.platform.caller_of_token(&token).expect("valid");
    assert!(node.platform.list_api_keys(&caller, &a).is_ok());
    let foreign = refusal(node.platform.list_api_keys(&caller, &b));
    let missing = refusal(node.platform.list_api_keys(&caller, &namespace("c")));
    assert_eq!((foreign.code, missing.code), (ErrorCode::NotFound, ErrorCode::NotFound));
    assert_eq!(foreign.to_string().replace("`b`", "`c`"), missing.to_string());
}

#[tokio::test]
async fn scopes_are_those_of_this_moment() {
    let node = node().await;
    let wallet = ethereum(1);
    let token = node.sign_in(&wallet, &home()).await.access_token;
    let scopes = || node.platform.caller_of_token(&token).expect("valid").scopes.clone();
    assert_eq!(scopes(), Scopes::default());
    node.own(&home(), &wallet, Scope::Admin).await;
    assert_eq!(scopes(), Scopes::of([Scope::Admin]));
    node.platform.remove_owner(&operator(), &home(), &wallet.address()).await.expect("removed");
    assert_eq!(scopes(), Scopes::default());
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_token_that_dies_with_it() {
    let node = node().await;
    let new = NewKey {
        name: "ci".into(),
        scopes: Scopes::of([Scope::Deploy]),
        lifetime: Some(std::time::Duration::from_secs(600)),
    };
    let made = node.platform.create_api_key(&operator(), &home(), new.clone()).await.expect("made");
    let caller = node.platform.caller_of_key(&made.key).expect("valid");
    let exchanged = node.platform.exchange_key(&caller).await.expect("a key");
    assert_eq!((exchanged.expires_in_seconds, &exchanged.namespace), (900, &home()));
    let claims = claims_of(&exchanged.token);
    assert_eq!(claims["sub"], json!(format!("key:{}", made.view.id)));
    let secret = made.key.split_once(':').expect("a namespace").0;
    assert!(!claims.to_string().contains(secret), "a token may be read by anybody");

    let by_token = node.platform.caller_of_token(&exchanged.token).expect("valid");
    assert_eq!((by_token.wallet(), &by_token.scopes), ("default", &Scopes::of([Scope::Deploy])));
    assert_eq!(by_token.credential, Credential::Token { session: format!("key:{}", made.view.id) });
    assert_eq!(code(node.platform.exchange_key(&by_token).await), ErrorCode::Unauthorized, "no token from a token");
    assert_eq!(code(node.platform.exchange_key(&domain::Caller::anonymous()).await), ErrorCode::Unauthorized);

    node.pass(600);
    assert_eq!(node.platform.caller_of_token(&exchanged.token), Err(InvalidToken::Expired));
    assert_eq!(code(node.platform.exchange_key(&caller).await), ErrorCode::Unauthorized);

    let lasting =
        node.platform.create_api_key(&operator(), &home(), NewKey { lifetime: None, ..new }).await.expect("made");
    let caller = node.platform.caller_of_key(&lasting.key).expect("valid");
    let token = node.platform.exchange_key(&caller).await.expect("a key").token;
    assert!(node.platform.caller_of_token(&token).is_ok());
    node.platform.revoke_api_key(&operator(), &home(), &lasting.view.id).await.expect("revoked");
    assert_eq!(node.platform.caller_of_token(&token), Err(InvalidToken::Revoked));
    let node = node.reopened().await;
    assert_eq!(node.platform.caller_of_token(&token), Err(InvalidToken::Revoked));
}

#[tokio::test]
async fn credentials_of_one_kind_are_nothing_as_another() {
    let node = node().await;
    let signed_in = node.sign_in(&ethereum(1), &home()).await;
    let (key, _) = node.key(&home(), Scope::Admin).await;
    assert_eq!(node.platform.caller_of_token(&signed_in.refresh_token), Err(InvalidToken::Refused));
    assert_eq!(node.platform.caller_of_token(&key), Err(InvalidToken::Refused));
    assert!(node.platform.caller_of_key(&signed_in.refresh_token).is_none());
    assert!(node.platform.caller_of_key(&signed_in.access_token).is_none());
    for wrong in [&signed_in.access_token, &key, &signed_in.nonce] {
        assert_eq!(code(node.platform.refresh(wrong, None).await), ErrorCode::Unauthorized);
    }
}

#[tokio::test]
async fn a_new_signing_key_leaves_tokens_valid_until_they_expire() {
    let node = node().await;
    let old = node.platform.public_keys();
    let token = node.sign_in(&ethereum(1), &home()).await.access_token;
    assert_eq!(code(node.platform.rotate_signing_key(&admin_of(&home())).await), ErrorCode::Forbidden);
    assert_eq!(code(node.platform.rotate_signing_key(&domain::Caller::anonymous()).await), ErrorCode::Unauthorized);
    let next = node.platform.rotate_signing_key(&operator()).await.expect("an operator may");
    assert_ne!(next.id, old[0].id);
    let newer = node.sign_in(&ethereum(1), &home()).await.access_token;
    assert_eq!(header_of(&newer)["kid"], json!(next.id));

    let node = node.reopened().await;
    assert!(node.platform.caller_of_token(&token).is_ok() && node.platform.caller_of_token(&newer).is_ok());
    assert_eq!(node.platform.public_keys().len(), 2);
    node.pass(16 * 60 + 1);
    assert_eq!(node.platform.public_keys(), [next]);
}

#[tokio::test(start_paused = true)]
async fn a_signing_key_is_replaced_after_ninety_days() {
    let node = node().await;
    let first = node.platform.public_keys();
    node.pass(90 * 24 * 3600);
    let housekeeping = std::time::Duration::from_secs(61);
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(housekeeping).await;
    let [a, b] = &node.platform.public_keys()[..] else { panic!("the old key and the new one") };
    assert!(first[0] == *a || first[0] == *b);
    node.pass(24 * 3600 + 1);
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(housekeeping).await;
    let node = node.reopened().await;
    let now = node.platform.public_keys();
    assert!(now.len() == 1 && now != first);
}

#[tokio::test]
async fn a_key_that_cannot_be_stored_signs_nothing() {
    let node = node().await;
    let before = node.platform.public_keys();
    node.world.faults.fail("add_signing_key", 1);
    assert_eq!(code(node.platform.rotate_signing_key(&operator()).await), ErrorCode::Internal);
    assert_eq!(node.platform.public_keys(), before);
    let token = node.sign_in(&ethereum(1), &home()).await.access_token;
    assert_eq!(header_of(&token)["kid"], json!(before[0].id));
}

#[tokio::test]
async fn a_token_dies_with_its_namespace_even_when_the_name_is_taken_again() {
    let node = open_node().await;
    let (old, new) = (ethereum(1), ethereum(2));
    let name = namespace("shop");
    let first = node.sign_in(&old, &name).await;
    let admin = node.platform.caller_of_token(&first.access_token).expect("valid");
    node.platform.set_claim(&admin, &name, &old.address(), "role", "boss").await.expect("set");
    let boss = node.sign_in(&old, &name).await;
    node.pass(1);
    node.platform.delete_namespace(&admin, &name).await.expect("its own");
    assert_eq!(node.platform.caller_of_token(&boss.access_token), Err(InvalidToken::Refused));
    node.sign_in(&new, &name).await;
    for token in [&first.access_token, &boss.access_token] {
        assert_eq!(node.platform.caller_of_token(token), Err(InvalidToken::Refused));
    }
    let first_key = first.api_key;
    assert!(node.platform.caller_of_key(first_key.as_deref().expect("an owner")).is_none());
    assert_eq!(code(node.platform.refresh(&boss.refresh_token, None).await), ErrorCode::Unauthorized);
    let again = node.sign_in(&old, &name).await;
    assert_eq!(claims_of(&again.access_token)["custom"], json!({}));
    node.own(&name, &old, Scope::Invoke).await;
    let key = node.sign_in(&old, &name).await.api_key;
    assert!(key.is_some() && key != first_key, "a key that leaked then opens nothing now");
}
