//! Wallets that sign, written apart from those of the binary: the same account is the same seed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

use super::{Http, Reply};

/// The order of the group of secp256k1: `s` and the order without `s` are two forms of one signature.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

pub enum Wallet {
    Ethereum(k256::ecdsa::SigningKey),
    Solana(ed25519_dalek::SigningKey),
}

impl Wallet {
    pub fn ethereum(seed: u8) -> Self {
        Self::Ethereum(k256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("a small number is a key"))
    }

    pub fn solana(seed: u8) -> Self {
        Self::Solana(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    /// In its canonical form: lower-case digits, or base58.
    pub fn address(&self) -> String {
        match self {
            Self::Solana(key) => bs58::encode(key.verifying_key().as_bytes()).into_string(),
            Self::Ethereum(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                format!("0x{}", hex(&Keccak256::digest(&point.as_bytes()[1..])[12..]))
            }
        }
    }

    pub fn sign(&self, text: &str) -> String {
        match self {
            Self::Solana(key) => STANDARD.encode(key.sign(text.as_bytes()).to_bytes()),
            Self::Ethereum(_) => format!("0x{}", hex(&self.ethereum_signature(text))),
        }
    }

    /// r, s and v, as `personal_sign` makes them.
    pub fn ethereum_signature(&self, text: &str) -> [u8; 65] {
        let Self::Ethereum(key) = self else { panic!("it is a wallet of Ethereum") };
        let prefix = format!("\x19Ethereum Signed Message:\n{}", text.len());
        let hash = Keccak256::new().chain_update(prefix).chain_update(text).finalize();
        let (signature, recovery) = key.sign_prehash_recoverable(&hash);
        let mut bytes = [27 + recovery.to_byte(); 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes
    }

    /// A challenge for this wallet.
    pub fn challenge(&self, http: &Http, namespace: &str) -> Value {
        let ask = json!({ "wallet": self.address(), "namespace": namespace });
        let reply = http.post("/v1/auth/challenge", ask.to_string().as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    /// The answer to a new challenge, ready to be sent.
    pub fn proof(&self, http: &Http, namespace: &str) -> Value {
        let challenge = self.challenge(http, namespace);
        let message = challenge["message"].as_str().expect("a message");
        json!({ "message": message, "signature": self.sign(message) })
    }

    /// Signs in; the reply has the tokens.
    #[track_caller]
    pub fn sign_in(&self, http: &Http, namespace: &str) -> Value {
        let reply = verify(http, &self.proof(http, namespace));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }
}

pub fn verify(http: &Http, proof: &Value) -> Reply {
    http.post("/v1/auth/verify", proof.to_string().as_bytes())
}

/// The other form of a signature of Ethereum, which everybody can make from the first.
pub fn with_high_s(signature: [u8; 65]) -> [u8; 65] {
    let mut other = signature;
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i16::from(ORDER[index]) - i16::from(signature[32 + index]) - borrow;
        borrow = i16::from(difference < 0);
        other[32 + index] = difference.rem_euclid(256) as u8;
    }
    other[64] = 27 + 28 - signature[64];
    other
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
