//! Challenges that are answered by the wrong wallet, in the wrong way, at the wrong place, or twice.

use serde_json::{Value, json};

use crate::support::{Http, Server, Tenant, Wallet, hex, verify, with_high_s};

#[test]
fn a_wrong_signature_opens_nothing_and_spends_nothing() {
    let server = Server::start();
    Tenant::found(&server, "home");
    let http = server.http().without_key();
    let (wallet, other) = (Wallet::ethereum(5), Wallet::ethereum(6));
    let nonce = text(&wallet.challenge(&http, "home"), "nonce");
    let signature = wallet.ethereum_signature(&nonce);
    let changed = |at: usize, value: u8| {
        let mut changed = signature;
        changed[at] = value;
        hex(&changed)
    };
    let with_zero = |range: std::ops::Range<usize>| {
        let mut changed = signature;
        changed[range].fill(0);
        hex(&changed)
    };
    let cases = [
        ("high s", hex(&with_high_s(signature))),
        ("high s with the v of low s", hex(&[&with_high_s(signature)[..64], &[signature[64]]].concat())),
        ("the other v", changed(64, 27 + 28 - signature[64])),
        ("v of 26", changed(64, 26)),
        ("v of 29", changed(64, 29)),
        ("v of a chain", changed(64, 37)),
        ("v of 255", changed(64, 255)),
        ("r of zero", with_zero(0..32)),
        ("s of zero", with_zero(32..64)),
        ("one bit", changed(10, signature[10] ^ 1)),
        ("no v", hex(&signature[..64])),
        ("a byte more", hex(&[&signature[..], &[0]].concat())),
        ("no digits", "z".repeat(130)),
        ("another's", other.sign(&nonce)),
        ("of another text", wallet.sign(&nonce.to_lowercase())),
    ];
    let proof = |signature: &str| json!({ "wallet": wallet.address(), "nonce": nonce, "signature": signature, "namespace": "home" });
    for (case, signature) in &cases {
        assert_eq!(refused(&http, &proof(signature)), 401, "{case}");
    }
    assert_eq!(verify(&http, &proof(&hex(&signature))).status, 200, "none of them has spent the nonce");
    assert_eq!(refused(&http, &proof(&hex(&signature))), 401, "a nonce used twice");
}

#[test]
fn a_challenge_is_for_one_wallet_one_namespace_one_purpose() {
    let server = Server::start();
    let home = Tenant::found(&server, "home");
    Tenant::found(&server, "other");
    let http = server.http().without_key();
    let (wallet, another) = (Wallet::solana(5), Wallet::solana(6));
    home.token_of(&wallet, &["data"]);
    let (nonce, theirs) =
        (text(&wallet.challenge(&http, "home"), "nonce"), text(&another.challenge(&http, "home"), "nonce"));
    let signed = |nonce: &str| json!({ "wallet": wallet.address(), "nonce": nonce, "signature": wallet.sign(nonce), "namespace": "home" });
    let with = |name: &str, value: &str| {
        let mut proof = signed(&nonce);
        proof[name] = json!(value);
        proof
    };
    let invented = "A".repeat(nonce.len());
    let cases = [
        ("another wallet's nonce", signed(&theirs), 401),
        ("a nonce that nobody gave", signed(&invented), 401),
        (
            "a nonce that is changed",
            signed(&nonce.replace(&nonce[..1], if nonce.starts_with('A') { "B" } else { "A" })),
            401,
        ),
        ("another namespace", with("namespace", "other"), 401),
        ("another wallet", with("wallet", &another.address()), 401),
        ("the other chain", with("chain_type", "ETH"), 400),
        ("a chain that is none", with("chain_type", "BTC"), 400),
        ("another purpose", with("purpose", "register"), 401),
        ("no address", with("wallet", "0x12"), 400),
        ("a point of small order", with("wallet", "11111111111111111111111111111111"), 400),
    ];
    for (case, proof, status) in &cases {
        assert_eq!(refused(&http, proof), *status, "{case}");
    }
    for (purpose, path) in
        [("register", "/v1/auth/api-key"), ("api-key", "/v1/auth/register"), ("register", "/v1/auth/verify")]
    {
        let ask = json!({ "wallet": wallet.address(), "namespace": "home", "purpose": purpose });
        let nonce = text(&http.post("/v1/auth/challenge", ask.to_string().as_bytes()).json(), "nonce");
        let mut proof = signed(&nonce);
        proof["name"] = json!("app");
        let reply = http.post(path, proof.to_string().as_bytes());
        assert_eq!(reply.status, 401, "{purpose} at {path}: {reply:?}");
    }
    assert_eq!(verify(&http, &signed(&nonce)).status, 200, "the nonce is not spent");
}

#[test]
fn a_message_means_what_it_says() {
    let server = Server::start();
    Tenant::found(&server, "home");
    Tenant::found(&server, "other");
    let http = server.http().without_key();
    let (wallet, another) = (Wallet::ethereum(7), Wallet::ethereum(8));
    let message = text(&wallet.challenge(&http, "home"), "message");
    let host = server.address().strip_prefix("http://").expect("an address");
    let line = |name: &str| message.lines().find(|line| line.starts_with(name)).expect("a line").to_owned();
    let end = "2020-01-01T00:00:00Z";
    // Each is signed as it is sent, by the wallet that it names.
    let cases = [
        ("another host", message.replacen(host, "elsewhere.example", 1), 401),
        ("another namespace", message.replace("namespace:home", "namespace:other"), 401),
        ("two namespaces", format!("{message}\n- urn:orama:namespace:other"), 400),
        ("no namespace", message.split("\nResources:").next().expect("text").to_owned(), 400),
        ("another chain", message.replace("Chain ID: 1", "Chain ID: 5"), 400),
        ("another version", message.replace("Version: 1", "Version: 2"), 400),
        ("an end that is past", message.replace(&line("Expiration Time: "), &format!("Expiration Time: {end}")), 401),
        ("a start that is to come", message.replace(&line("Issued At: "), "Issued At: 2099-01-01T00:00:00Z"), 401),
        ("a time that is none", message.replace(&line("Issued At: "), "Issued At: yesterday"), 400),
        ("another wallet", message.replace(&line("0x"), &checksummed(&another, &http)), 401),
        ("no checksum", message.replace(&line("0x"), &wallet.address()), 400),
        ("a line more", format!("{message}\nAnd more"), 400),
        ("user information", message.replacen(host, &format!("{host}@elsewhere.example"), 1), 400),
        ("no message at all", "hello".to_owned(), 400),
        ("a message of 10 KB", format!("{message}{}", "\n- urn:x:y".repeat(1000)), 400),
    ];
    for (case, changed, status) in &cases {
        assert_ne!(*changed, message, "{case} is a change");
        let proof = json!({ "message": changed, "signature": wallet.sign(changed) });
        assert_eq!(refused(&http, &proof), *status, "{case}");
    }
    let altered = json!({ "message": message.replace("home", "other"), "signature": wallet.sign(&message) });
    assert_eq!(refused(&http, &altered), 401, "changed after it was signed");
    let beside = json!({ "message": message, "signature": wallet.sign(&message), "namespace": "other" });
    assert_eq!(refused(&http, &beside), 401, "another namespace beside the message");
    let good = json!({ "message": message, "signature": wallet.sign(&message) });
    assert_eq!(verify(&http, &good).status, 200, "the nonce is not spent");
    assert_eq!(refused(&http, &good), 401, "a message used twice");
}

fn text(document: &Value, key: &str) -> String {
    document[key].as_str().expect("text").to_owned()
}

/// The address as a message has it.
fn checksummed(wallet: &Wallet, http: &Http) -> String {
    let message = text(&wallet.challenge(http, "home"), "message");
    message.lines().nth(1).expect("an address").to_owned()
}

/// The status, after a look at what a refusal must not hold.
fn refused(http: &Http, proof: &Value) -> u16 {
    let reply = verify(http, proof);
    assert!(!reply.body.contains("token\"") && !reply.body.contains("ak_"), "{}", reply.body);
    reply.status
}
