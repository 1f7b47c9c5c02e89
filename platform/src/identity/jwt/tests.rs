//! Tokens that are signed by our own key and are still not ours: what no test from outside can make.

use domain::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::super::signing::SigningKey;
use super::*;

/// The key of RFC 8037, appendix A.
const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

fn key() -> SigningKey {
    SigningKey::of(&SEED, Timestamp::UNIX_EPOCH, None)
}

#[test]
fn the_example_of_rfc_8037_is_signed_and_named_alike() {
    let key = key();
    assert_eq!(key.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(URL_SAFE_NO_PAD.encode(key.public().bytes), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key.signs, Algorithm::EdDSA).expect("signed");
    assert_eq!(signature, "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "0xabc", "aud": AUDIENCE, "iat": 1, "nbf": 1, "exp": 901, "jti": "j", "sid": "s",
        "namespace": "default", "namespace_since": 0, "custom": {},
    })
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": key().id})
}

/// Signs any two texts, as only the holder of the key could.
fn signed(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key().signs, Algorithm::EdDSA).expect("signed");
    format!("{signed}.{signature}")
}

/// What the platform does with a token, but for the times.
fn accepted(token: &str) -> bool {
    key_of(token).is_some_and(|kid| kid == key().id) && open(token, &key()).is_some()
}

#[test]
fn our_own_form_is_accepted() {
    assert!(accepted(&signed(&header().to_string(), &claims().to_string())));
}

#[test]
fn a_header_says_three_things_and_nothing_else() {
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!(["EdDSA"])),
        ("typ", json!("at+jwt")),
        ("typ", json!("jwt")),
        ("kid", json!("another")),
        ("kid", json!(1)),
        ("crit", json!([])),
        ("b64", json!(true)),
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})),
        ("jku", json!("https://orama.example/jwks.json")),
        ("x5c", json!([])),
        ("anything", Value::Null),
    ] {
        let mut header = header();
        header[name] = value;
        assert!(!accepted(&signed(&header.to_string(), &claims().to_string())), "{header}");
    }
    for missing in ["alg", "typ", "kid"] {
        let mut header = header();
        header.as_object_mut().expect("an object").remove(missing);
        assert!(!accepted(&signed(&header.to_string(), &claims().to_string())), "no {missing}");
    }
    let twice = header().to_string().replace(r#""typ""#, r#""alg":"EdDSA","typ""#);
    assert!(twice.matches("alg").count() == 2 && !accepted(&signed(&twice, &claims().to_string())));
}

#[test]
fn every_claim_is_there_once_and_of_its_type() {
    for name in ["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "sid", "namespace", "namespace_since", "custom"] {
        let mut missing = claims();
        let value = missing.as_object_mut().expect("an object").remove(name).expect("a claim");
        assert!(!accepted(&signed(&header().to_string(), &missing.to_string())), "no {name}");
        let twice = claims().to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
        assert!(!accepted(&signed(&header().to_string(), &twice)), "two of {name}");
        for wrong in [json!(null), json!([value]), json!({"a": 1}), json!(true), json!(1.5)] {
            let mut other = claims();
            other[name] = wrong;
            assert!(!accepted(&signed(&header().to_string(), &other.to_string())), "{name}: {other}");
        }
    }
}

#[test]
fn issuer_audience_and_times_are_ours() {
    for (name, wrong) in [
        ("iss", json!("debros-gateway")),
        ("iss", json!("")),
        ("aud", json!("another")),
        ("aud", json!(["gateway"])),
        ("exp", json!("901")),
        ("namespace", json!("a:b")),
        ("namespace", json!("")),
        ("custom", json!({"admin": true})),
        ("unknown", json!("claim")),
    ] {
        let mut other = claims();
        other[name] = wrong;
        assert!(!accepted(&signed(&header().to_string(), &other.to_string())), "{other}");
    }
    for exp in ["1e400", "9223372036854775808", "-1e3", "901.0"] {
        let other = claims().to_string().replace("901", exp);
        assert!(other.contains(exp) && !accepted(&signed(&header().to_string(), &other)), "{exp}");
    }
}

#[test]
fn what_is_longer_than_a_token_is_not_read() {
    let mut long = claims();
    long["jti"] = json!("j".repeat(TOKEN_BYTES_MAX));
    assert!(!accepted(&signed(&header().to_string(), &long.to_string())));
}
