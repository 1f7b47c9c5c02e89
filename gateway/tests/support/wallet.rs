//! A wallet that signs: an Ed25519 key, as Solana has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Namespace, Scopes};
use ed25519_dalek::{Signer, SigningKey};
use http::Method;
use serde_json::{Value, json};

use super::{House, Seen, home, request, with_header};

pub struct TestWallet {
    key: SigningKey,
}

impl TestWallet {
    /// The same seed is the same wallet.
    pub fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]) }
    }

    pub fn address(&self) -> String {
        bs58::encode(self.key.verifying_key().as_bytes()).into_string()
    }

    /// A challenge and its answer, ready to be sent.
    pub async fn proof(&self, house: &House, namespace: &Namespace, purpose: &str) -> Value {
        let ask = json!({ "wallet": self.address(), "namespace": namespace, "purpose": purpose }).to_string();
        let challenge = house.send(with_host(request(Method::POST, "/v1/auth/challenge", ask))).await.json();
        let message = challenge["message"].as_str().expect("a message");
        json!({ "message": message, "signature": self.sign(message), "chain_type": "SOL" })
    }

    pub fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.key.sign(text.as_bytes()).to_bytes())
    }

    /// Signs in; the reply has the tokens.
    pub async fn sign_in(&self, house: &House) -> Seen {
        let proof = self.proof(house, &home(), "").await;
        house.send(with_host(request(Method::POST, "/v1/auth/verify", proof.to_string()))).await
    }

    /// Makes the wallet an owner of the home namespace.
    pub async fn own(&self, house: &House, scopes: Scopes) {
        let path = format!("/v1/namespaces/default/owners/{}", self.address());
        let scopes: Vec<&str> = scopes.iter().map(domain::Scope::as_str).collect();
        let seen = house.admin(Method::PUT, &path, json!({ "scopes": scopes }).to_string()).await;
        assert_eq!(seen.status, 200, "{seen:?}");
    }
}

/// Messages name the host that the client speaks to.
pub fn with_host(request: http::Request<gateway::RequestBody>) -> http::Request<gateway::RequestBody> {
    with_header(request, "host", "orama.example")
}
