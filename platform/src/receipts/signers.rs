//! The keys that sign exchanges, and what is published of them.
//!
//! A signer is a file of the node (port `Keys`); an operator may bring one along. What is published names every key that ever signed. A new
//! key is published before it signs, so that a crash in between leaves a published key that signed nothing.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Error, KeyUse, PublishedKey, PublishedKeys, Timestamp};
use ed25519_dalek::Signer as _;
use ports::{KEY_BYTES, Keys, KeysError, NodeKey};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use super::verify::{address_of, hex};
use crate::{OpenError, cannot_read, internal};

/// How long an earlier key is said to sign: what began with it is signed by then.
const OVERLAP: Duration = Duration::from_secs(15 * 60);

/// The keys of one moment.
pub(crate) struct Current {
    oyster: k256::ecdsa::SigningKey,
    receipts: ed25519_dalek::SigningKey,
    receipts_kid: String,
    published: PublishedKeys,
}

impl Current {
    /// The signature over the Keccak-256 of a message: r, s, and 27 or 28, in lower-case hexadecimal.
    pub(super) fn sign_oyster(&self, message: &[u8]) -> String {
        let (signature, recovery) = self.oyster.sign_prehash_recoverable(&Keccak256::digest(message));
        let mut bytes = signature.to_bytes().to_vec();
        bytes.push(27 + recovery.to_byte());
        hex(&bytes)
    }

    pub(super) fn sign_receipt(&self, base: &[u8]) -> [u8; 64] {
        self.receipts.sign(base).to_bytes()
    }

    pub(super) fn receipts_kid(&self) -> &str {
        &self.receipts_kid
    }
}

/// The keys, which a rotation replaces as a whole.
pub(crate) struct Signers {
    keys: Arc<dyn Keys>,
    current: ArcSwap<Current>,
}

impl Signers {
    /// Reads the keys, makes those that are missing, and publishes those that nobody knows yet.
    pub(crate) fn load(keys: Arc<dyn Keys>, now: Timestamp) -> Result<Self, OpenError> {
        let published = keys.published().map_err(cannot_read("published keys"))?;
        let published: Option<PublishedKeys> = published
            .map(|document| serde_json::from_slice(&document))
            .transpose()
            .map_err(cannot_read("published keys"))?;
        let before = published.unwrap_or_default();
        let mut after = before.clone();
        for purpose in KeyUse::ALL {
            let key = keys.signer(purpose.as_str()).map_err(cannot_read("keys that sign"))?;
            let public = public_of(purpose, &key).map_err(cannot_read("keys that sign"))?;
            in_use(&mut after, public, now);
        }
        if after != before {
            publish(&*keys, &after).map_err(cannot_read("published keys"))?;
        }
        let current = ArcSwap::from_pointee(current_of(&*keys, after).map_err(cannot_read("keys that sign"))?);
        Ok(Self { keys, current })
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    pub(crate) fn published(&self) -> PublishedKeys {
        self.current.load().published.clone()
    }

    /// Makes the next key. Only for who holds the management lock: files are written.
    pub(crate) fn rotate(&self, purpose: KeyUse, now: Timestamp) -> Result<PublishedKey, Error> {
        let failed = |cause: KeysError| internal("replace a key that signs", cause);
        let next = draw().map_err(failed)?;
        let public = public_of(purpose, &next).map_err(failed)?;
        let mut published = self.published();
        in_use(&mut published, public.clone(), now);
        publish(&*self.keys, &published).map_err(failed)?;
        self.keys.replace_signer(purpose.as_str(), &next).map_err(failed)?;
        let current = current_of(&*self.keys, published).map_err(failed)?;
        self.current.store(Arc::new(current));
        Ok(PublishedKey { not_before: now, ..public })
    }
}

fn current_of(keys: &dyn Keys, published: PublishedKeys) -> Result<Current, KeysError> {
    let oyster = oyster_key(&keys.signer(KeyUse::Oyster.as_str())?)?;
    let receipts = keys.signer(KeyUse::Receipts.as_str())?;
    let receipts_kid = public_of(KeyUse::Receipts, &receipts)?.kid;
    Ok(Current { oyster, receipts: ed25519_dalek::SigningKey::from_bytes(receipts.expose()), receipts_kid, published })
}

fn oyster_key(key: &NodeKey) -> Result<k256::ecdsa::SigningKey, KeysError> {
    k256::ecdsa::SigningKey::from_slice(key.expose()).map_err(|_| KeysError::Unusable {
        purpose: KeyUse::Oyster.as_str().to_owned(),
        reason: "its bytes are not a key of secp256k1".to_owned(),
    })
}

fn draw() -> Result<NodeKey, KeysError> {
    let mut bytes = zeroize::Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *bytes).map_err(|cause| KeysError::Unavailable(cause.into()))?;
    Ok(NodeKey::new(*bytes))
}

/// Notes that a key is in use, and that the others of its purpose are not, or not for long.
fn in_use(published: &mut PublishedKeys, key: PublishedKey, now: Timestamp) {
    let end = now.checked_add(OVERLAP).unwrap_or(now);
    for other in published.keys.iter_mut().filter(|other| other.purpose == key.purpose && other.kid != key.kid) {
        other.not_after.get_or_insert(end);
    }
    match published.keys.iter_mut().find(|known| known.kid == key.kid) {
        Some(known) => known.not_after = None,
        None => published.keys.push(PublishedKey { not_before: now, ..key }),
    }
}

fn publish(keys: &dyn Keys, published: &PublishedKeys) -> Result<(), KeysError> {
    let document = serde_json::to_vec_pretty(published).map_err(|cause| KeysError::Unavailable(cause.into()))?;
    keys.publish(&document)
}

/// What may be known of a key. Its name is made of itself.
fn public_of(purpose: KeyUse, key: &NodeKey) -> Result<PublishedKey, KeysError> {
    let (public, ethereum_address) = match purpose {
        KeyUse::Oyster => {
            let verifying = *oyster_key(key)?.verifying_key();
            (verifying.to_sec1_point(true).as_bytes().to_vec(), Some(address_of(&verifying)))
        }
        KeyUse::Receipts => {
            let verifying = ed25519_dalek::SigningKey::from_bytes(key.expose()).verifying_key();
            (verifying.to_bytes().to_vec(), None)
        }
    };
    Ok(PublishedKey {
        kid: hex(&Sha256::digest(&public)[..16]),
        purpose,
        algorithm: purpose.algorithm().to_owned(),
        public_key: hex(&public),
        ethereum_address,
        not_before: Timestamp::UNIX_EPOCH,
        not_after: None,
    })
}
