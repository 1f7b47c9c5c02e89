//! The public keys that a node signs with, as it publishes them.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyUse {
    /// `X-Oyster-Signature`, with secp256k1.
    Oyster,
    /// Receipts, with Ed25519.
    Receipts,
}

impl KeyUse {
    pub const ALL: [KeyUse; 2] = [KeyUse::Oyster, KeyUse::Receipts];

    pub fn as_str(self) -> &'static str {
        match self {
            KeyUse::Oyster => "oyster",
            KeyUse::Receipts => "receipts",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }

    pub fn algorithm(self) -> &'static str {
        match self {
            KeyUse::Oyster => "secp256k1-keccak256",
            KeyUse::Receipts => super::RECEIPT_ALGORITHM,
        }
    }
}

/// A public key with the time in which it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedKey {
    /// Made of the key itself.
    pub kid: String,
    #[serde(rename = "use")]
    pub purpose: KeyUse,
    pub algorithm: String,
    /// In hexadecimal: 33 bytes of a compressed point, or the 32 bytes of Ed25519.
    pub public_key: String,
    /// With its checksum (EIP-55); for keys of secp256k1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethereum_address: Option<String>,
    pub not_before: Timestamp,
    /// `None` for a key that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// Every key that a node ever signed with, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedKeys {
    pub keys: Vec<PublishedKey>,
}

impl PublishedKeys {
    pub fn find(&self, kid: &str) -> Option<&PublishedKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}
