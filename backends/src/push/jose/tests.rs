//! The signatures, judged by another library; and keys that are none. The example of RFC 8292 judges the judge.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::Jwk};
use serde_json::{Value, json};

use super::*;

fn verified(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Value, jsonwebtoken::errors::Error> {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    decode::<Value>(token, key, &validation).map(|token| token.claims)
}

fn of_point(point: &[u8]) -> DecodingKey {
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65) });
    let jwk: Jwk = serde_json::from_value(jwk).expect("a key as JSON");
    DecodingKey::from_jwk(&jwk).expect("a key")
}

#[test]
fn the_judge_accepts_the_example_of_the_standard() {
    let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3Njgs\
                 InN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmys\
                 azNjjvW2L9OkSSHzvoD1oA";
    let point = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";
    let key = of_point(&URL_SAFE_NO_PAD.decode(point).expect("base64url"));
    let claims = verified(token, &key, Algorithm::ES256).expect("the signature is good");
    assert_eq!(claims["aud"], "https://push.example.net");
}

#[test]
fn a_token_of_p256_is_verified() {
    let key = Es256::from_scalar(&*Es256::draw_scalar().expect("drawn")).expect("a key");
    let claims = json!({ "sub": "a" });
    let token = token(&json!({ "alg": "ES256" }), &claims, &key);
    assert_eq!(verified(&token, &of_point(key.public()), Algorithm::ES256).expect("good"), claims);
    let other = Es256::from_scalar(&*Es256::draw_scalar().expect("drawn")).expect("a key");
    assert!(verified(&token, &of_point(other.public()), Algorithm::ES256).is_err());
}

#[test]
fn a_token_of_rsa_is_verified() {
    let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("a key");
    let key = Rs256::from_pem(&pair.serialize_pem()).expect("our key");
    let claims = json!({ "iss": "a" });
    let token = token(&json!({ "alg": "RS256" }), &claims, &key);
    let public = DecodingKey::from_rsa_der(pair.public_key_raw());
    assert_eq!(verified(&token, &public, Algorithm::RS256).expect("good"), claims);
}

#[test]
fn a_key_of_another_kind_is_none() {
    let p256 = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key").serialize_pem();
    let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key").serialize_pem();
    assert!(Es256::from_pem(&p256).is_some());
    // Line ends of another system, and text around it, are what people paste.
    assert!(Es256::from_pem(&format!("# my key\r\n{}", p256.replace('\n', "\r\n"))).is_some());
    for pem in ["", "x", &p384, &ed, &p256[..p256.len() / 2], &p256.replace("PRIVATE", "PUBLIC")] {
        assert!(Es256::from_pem(pem).is_none(), "{pem}");
    }
    for pem in ["", &p256, &ed] {
        assert!(Rs256::from_pem(pem).is_none(), "{pem}");
    }
}
