//! Access tokens and keys that somebody made, changed or mistyped.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Http, Server, Tenant, Wallet};

/// A token taken apart.
struct Token {
    header: Value,
    claims: Value,
    signature: String,
}

impl Token {
    fn of(text: &str) -> Self {
        let parts: Vec<&str> = text.split('.').collect();
        let document = |part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        Self { header: document(parts[0]), claims: document(parts[1]), signature: parts[2].to_owned() }
    }

    fn with_header(&self, changes: Value) -> Self {
        Self { header: changed(&self.header, changes), claims: self.claims.clone(), signature: self.signature.clone() }
    }

    fn with_claims(&self, changes: Value) -> Self {
        Self { header: self.header.clone(), claims: changed(&self.claims, changes), signature: self.signature.clone() }
    }

    fn signed_text(&self) -> String {
        let encode = |document: &Value| URL_SAFE_NO_PAD.encode(document.to_string());
        format!("{}.{}", encode(&self.header), encode(&self.claims))
    }

    /// With the signature that it had before it was changed.
    fn text(&self) -> String {
        format!("{}.{}", self.signed_text(), self.signature)
    }

    fn signed(&self, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let text = self.signed_text();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(sign(text.as_bytes())))
    }
}

/// `null` takes a field away.
fn changed(document: &Value, changes: Value) -> Value {
    let mut fields = document.as_object().expect("an object").clone();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(fields.remove(name)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(fields)
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    let short = if key.len() > block.len() { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..short.len()].copy_from_slice(&short);
    let with = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(with(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(with(0x5c)).chain_update(inner).finalize().to_vec()
}

/// Every way of presenting a credential.
fn statuses(server: &Server, path: &str, credential: &str) -> [u16; 4] {
    let nobody = Http::new(server.address(), None);
    let with = |name: &str, value: String| nobody.send("GET", path, &[(name, &value)], b"").status;
    let separator = if path.contains('?') { '&' } else { '?' };
    let encoded = percent_encoding::utf8_percent_encode(credential, percent_encoding::NON_ALPHANUMERIC);
    [
        with("x-api-key", credential.to_owned()),
        with("authorization", format!("Bearer {credential}")),
        with("authorization", format!("ApiKey {credential}")),
        nobody.get(&format!("{path}{separator}token={encoded}")).status,
    ]
}

#[test]
fn a_token_that_was_not_signed_here_opens_nothing() {
    let server = Server::start();
    let (home, other) = (Tenant::found(&server, "home"), Tenant::found(&server, "other"));
    let text = home.token_of(&Wallet::ethereum(3), &["admin"]);
    let token = Token::of(&text);
    let jwk = server.http().get("/v1/auth/jwks").json()["keys"][0].clone();
    let public = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().expect("a key")).expect("base64");
    let ours = SigningKey::from_bytes(&[9; 32]);
    let sign = |text: &[u8]| ours.sign(text).to_bytes().to_vec();
    let our_jwk =
        json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(ours.verifying_key().as_bytes()) });
    let hs256 = token.with_header(json!({ "alg": "HS256" }));
    let (rest, last) = text.split_at(text.len() - 1);
    let cases = [
        ("alg none", token.with_header(json!({ "alg": "none" })).signed(|_| Vec::new())),
        ("alg NONE", token.with_header(json!({ "alg": "NONE", "kid": null })).signed(|_| Vec::new())),
        ("alg none with a signature", token.with_header(json!({ "alg": "none" })).text()),
        ("no alg", token.with_header(json!({ "alg": null })).text()),
        ("HS256 with the bytes of the public key", hs256.signed(|text| hmac(&public, text))),
        ("HS256 with the text of the public key", hs256.signed(|text| hmac(jwk["x"].to_string().as_bytes(), text))),
        ("HS256 with the JWK", hs256.signed(|text| hmac(jwk.to_string().as_bytes(), text))),
        ("HS256 with nothing", hs256.signed(|text| hmac(b"", text))),
        ("RS256 in name", token.with_header(json!({ "alg": "RS256" })).text()),
        ("ES256 in name", token.with_header(json!({ "alg": "ES256" })).signed(sign)),
        ("another's key under this kid", token.signed(sign)),
        ("another's key in the header", token.with_header(json!({ "jwk": our_jwk })).signed(sign)),
        ("another's key behind a URL", token.with_header(json!({ "jku": "http://127.0.0.1/jwks" })).signed(sign)),
        ("an unknown kid", token.with_header(json!({ "kid": "unknown" })).signed(sign)),
        ("an unknown kid, signed here", token.with_header(json!({ "kid": "unknown" })).text()),
        ("a kid that is a path", token.with_header(json!({ "kid": "../../admin.key" })).signed(sign)),
        ("no kid", token.with_header(json!({ "kid": null })).signed(sign)),
        ("a critical extension", token.with_header(json!({ "crit": ["b64"], "b64": false })).text()),
        ("another namespace", token.with_claims(json!({ "namespace": "other" })).text()),
        ("another wallet", token.with_claims(json!({ "sub": Wallet::ethereum(4).address() })).text()),
        ("other claims", token.with_claims(json!({ "custom": { "role": "admin" } })).text()),
        ("a later end", token.with_claims(json!({ "exp": 4_102_444_800_u64 })).text()),
        ("no end", token.with_claims(json!({ "exp": null })).text()),
        ("another issuer", token.with_claims(json!({ "iss": "elsewhere" })).text()),
        ("another audience", token.with_claims(json!({ "aud": "elsewhere" })).text()),
        ("no signature", format!("{}.", token.signed_text())),
        ("a signature that is cut", rest.to_owned()),
        // The last digit of 64 bytes has four bits that mean nothing.
        ("a signature written otherwise", format!("{rest}{}", neighbour(last))),
        ("a signature with padding", format!("{text}==")),
        ("a fourth part", format!("{text}.e30")),
        ("two parts", token.signed_text()),
        ("nothing but dots", "..".to_owned()),
    ];
    assert_eq!(statuses(&server, "/v1/auth/whoami", &text), [200; 4], "the token itself is valid");
    for (case, forged) in &cases {
        assert_eq!(statuses(&server, "/v1/auth/whoami", forged), [401; 4], "{case}");
    }
    // One that is valid is so at home alone.
    assert_eq!(statuses(&server, "/v1/functions", &text), [200; 4]);
    assert_eq!(statuses(&server, &format!("/v1/functions?namespace={}", other.name), &text), [404; 4]);
}

/// The digit whose first two bits are the same.
fn neighbour(digit: &str) -> char {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = digits.find(digit).expect("a digit of base64url");
    char::from(digits.as_bytes()[at ^ 1])
}

/// Whoever has the published key can check a token without asking us.
#[test]
fn the_published_key_verifies_a_token() {
    let server = Server::start();
    let home = Tenant::found(&server, "home");
    let wallet = Wallet::solana(3);
    home.ask("PUT", &format!("/v1/auth/claims/{}/tier", wallet.address()), &json!({ "value": "gold" }));
    let text = home.token_of(&wallet, &["data"]);
    let token = Token::of(&text);
    let keys = server.http().get("/.well-known/jwks.json").json();
    let keys = keys["keys"].as_array().expect("a list");
    let jwk = keys.iter().find(|key| key["kid"] == token.header["kid"]).expect("the key of the token");
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
    let public = bytes(jwk["x"].as_str().expect("a key")).try_into().expect("32 bytes");
    let signature = ed25519_dalek::Signature::from_slice(&bytes(&token.signature)).expect("64 bytes");
    let (signed, _) = text.rsplit_once('.').expect("three parts");
    let key = VerifyingKey::from_bytes(&public).expect("a point");
    key.verify_strict(signed.as_bytes(), &signature).expect("signed by this key");
    assert_eq!(token.header["alg"], "EdDSA");
    assert_eq!(token.claims["sub"], wallet.address());
    assert_eq!(token.claims["namespace"], "home");
    assert_eq!(token.claims["custom"], json!({ "tier": "gold" }));
    let seconds = |claim: &str| token.claims[claim].as_u64().expect("seconds");
    assert_eq!(seconds("exp") - seconds("iat"), 900);
}

#[test]
fn a_key_that_is_nearly_right_opens_nothing() {
    let server = Server::start();
    let (home, other) = (Tenant::found(&server, "home"), Tenant::found(&server, "other"));
    let key = &home.key;
    let letter = key[3..].find(|c: char| c.is_ascii_lowercase()).expect("a letter") + 3;
    let one_letter = [&key[..letter], &key[letter..=letter].to_uppercase(), &key[letter + 1..]].concat();
    let cases = [
        ("upper case", key.to_uppercase()),
        ("lower case", key.to_lowercase()),
        ("one letter in the other case", one_letter),
        ("another namespace", key.replace(":home", &format!(":{}", other.name))),
        ("a namespace in upper case", key.replace(":home", ":HOME")),
        ("no namespace behind the colon", key.replace("home", "")),
        ("one character less", key.replace(":home", "").split_at(key.len() - 6).0.to_owned() + ":home"),
        ("one character more", key.replace(':', "A:")),
        ("a colon more", format!("{key}:")),
        ("an empty secret", "ak_:home".to_owned()),
    ];
    assert_eq!(statuses(&server, "/v1/auth/whoami", key), [200; 4]);
    for (case, wrong) in &cases {
        assert_eq!(statuses(&server, "/v1/auth/whoami", wrong), [401; 4], "{case}: {wrong}");
    }
}

/// A body can take its time; what it asks for is decided by what its credential is worth when it has arrived.
#[test]
fn a_key_revoked_before_the_body_has_arrived_opens_nothing() {
    use std::io::{Read as _, Write as _};
    let server = Server::start();
    let made = server.http().post("/v1/auth/keys", br#"{"name":"admin","scopes":["admin"]}"#).json();
    let text = |field: &str| made[field].as_str().expect("a text").to_owned();
    let (first, rest) = (b"{", br#""name":"late","scopes":["admin"]}"#);
    let late = Http::new(server.address(), Some(&text("key")));
    let length = (first.len() + rest.len()).to_string();
    let head = late.head("POST", "/v1/auth/keys", &[("content-length", &length)]);
    let mut stream = late.connect().expect("connected");
    stream.write_all(&[head.as_bytes(), first].concat()).expect("sent");
    assert_eq!(server.http().send("DELETE", &format!("/v1/auth/keys/{}", text("id")), &[], b"").status, 200);
    stream.write_all(rest).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let keys = server.http().get("/v1/auth/keys").body;
    assert!(!keys.contains("late"), "{keys}");
}
