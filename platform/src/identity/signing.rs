//! The keys that sign access tokens: Ed25519, sealed at rest, one that signs and the earlier ones that still verify.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Error, Timestamp};
use jsonwebtoken::{DecodingKey, EncodingKey};
use ports::{Keys, MasterKey, Registry, StoredSigningKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::tokens::{ACCESS_LIFETIME, LEEWAY, PublicKey};
use crate::{OpenError, cannot_read, internal, seal};

const SEED_BYTES: usize = 32;
/// How long one key signs.
pub(super) const SIGNING_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long the registry keeps a key that signs no more: longer than any token lives.
pub(super) const RETIRED_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// PKCS #8 around a seed of Ed25519 (RFC 8410): the library wants keys in this form.
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// A key with what it verifies.
pub(super) struct SigningKey {
    pub(super) id: String,
    public: [u8; 32],
    pub(super) signs: EncodingKey,
    pub(super) verifies: DecodingKey,
    created_at: Timestamp,
    retired_at: Option<Timestamp>,
}

impl SigningKey {
    pub(super) fn of(seed: &[u8; SEED_BYTES], created_at: Timestamp, retired_at: Option<Timestamp>) -> Self {
        let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let pkcs8 = Zeroizing::new([&PKCS8_PREFIX[..], seed].concat());
        Self {
            id: thumbprint(&public),
            public,
            signs: EncodingKey::from_ed_der(&pkcs8),
            verifies: DecodingKey::from_ed_der(&public),
            created_at,
            retired_at,
        }
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey { id: self.id.clone(), bytes: self.public }
    }

    /// May a token that it signed still be valid?
    fn verifies_at(&self, now: Timestamp) -> bool {
        let dead = self.retired_at.and_then(|retired| retired.checked_add(ACCESS_LIFETIME + LEEWAY).ok());
        dead.is_none_or(|dead| now <= dead)
    }
}

/// The name of a key, made of the key itself (RFC 7638, RFC 8037).
fn thumbprint(public: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    let hash = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
    URL_SAFE_NO_PAD.encode(hash)
}

/// Every key that verifies, and the one that signs.
pub(super) struct SigningKeys {
    masters: Vec<Master>,
    ring: ArcSwap<Ring>,
}

#[derive(Clone)]
struct Ring {
    current: Arc<SigningKey>,
    by_id: BTreeMap<String, Arc<SigningKey>>,
}

/// A master key, as far as this module may know it.
struct Master {
    id: String,
    key: Zeroizing<[u8; 32]>,
}

impl Master {
    fn of(master: MasterKey) -> Self {
        Self { key: Zeroizing::new(seal::derive(&master.key, "signing-keys")), id: master.id }
    }

    fn seal(&self, kid: &str, seed: &[u8; SEED_BYTES]) -> Result<Vec<u8>, Error> {
        seal::seal(&self.key, &[kid.as_bytes(), self.id.as_bytes()], seed)
    }

    fn open(&self, stored: &StoredSigningKey) -> Option<Zeroizing<[u8; SEED_BYTES]>> {
        let seed = seal::open(&self.key, &[stored.id.as_bytes(), self.id.as_bytes()], &stored.sealed)?;
        Some(Zeroizing::new(seed.as_slice().try_into().ok()?))
    }
}

impl SigningKeys {
    /// Opens every key, seals with the first master key what another one sealed, and makes the first key at the first start.
    pub(super) async fn load(keys: &dyn Keys, registry: &dyn Registry, now: Timestamp) -> Result<Self, OpenError> {
        let masters = keys.master_keys().map_err(cannot_read("master keys"))?;
        let masters: Vec<_> = masters.into_iter().map(Master::of).collect();
        let mut by_id = BTreeMap::new();
        let mut current = None;
        for stored in registry.load_signing_keys().await.map_err(cannot_read("signing keys"))? {
            let key = Arc::new(open(&masters, registry, &stored).await?);
            if key.retired_at.is_none() {
                current = Some(key.clone());
            }
            if key.verifies_at(now) {
                by_id.insert(key.id.clone(), key);
            }
        }
        let current = match current {
            Some(current) => current,
            None => Arc::new(make(&masters, registry, now).await.map_err(cannot_read("signing keys"))?),
        };
        by_id.insert(current.id.clone(), current.clone());
        Ok(Self { masters, ring: ArcSwap::from_pointee(Ring { current, by_id }) })
    }

    pub(super) fn current(&self) -> Arc<SigningKey> {
        self.ring.load().current.clone()
    }

    /// The key of this name; whatever a name looks like, it is looked up in a map and nowhere else.
    pub(super) fn find(&self, id: &str) -> Option<Arc<SigningKey>> {
        self.ring.load().by_id.get(id).cloned()
    }

    pub(super) fn public(&self, now: Timestamp) -> Vec<PublicKey> {
        let ring = self.ring.load();
        ring.by_id.values().filter(|key| key.verifies_at(now)).map(|key| key.public()).collect()
    }

    /// Is it time for the next key?
    pub(super) fn is_old(&self, now: Timestamp) -> bool {
        let due = self.ring.load().current.created_at.checked_add(SIGNING_LIFETIME);
        due.is_ok_and(|due| due <= now)
    }

    /// Makes the next key. Only for who holds the management lock.
    pub(super) async fn rotate(&self, registry: &dyn Registry, now: Timestamp) -> Result<PublicKey, Error> {
        let next = Arc::new(make(&self.masters, registry, now).await?);
        let mut ring = Ring::clone(&self.ring.load());
        let retired = SigningKey { retired_at: Some(now), ..ring.current.copy() };
        ring.by_id.insert(retired.id.clone(), Arc::new(retired));
        ring.by_id.insert(next.id.clone(), next.clone());
        ring.current = next.clone();
        self.ring.store(Arc::new(ring));
        Ok(next.public())
    }

    /// Forgets keys that verify nothing any more. Only for who holds the management lock.
    pub(super) fn forget_dead(&self, now: Timestamp) {
        let ring = self.ring.load();
        if ring.by_id.values().all(|key| key.verifies_at(now)) {
            return;
        }
        let mut next = Ring::clone(&ring);
        next.by_id.retain(|_, key| key.verifies_at(now));
        self.ring.store(Arc::new(next));
    }
}

impl SigningKey {
    fn copy(&self) -> Self {
        Self { id: self.id.clone(), signs: self.signs.clone(), verifies: self.verifies.clone(), ..*self }
    }
}

async fn open(masters: &[Master], registry: &dyn Registry, stored: &StoredSigningKey) -> Result<SigningKey, OpenError> {
    let unsealed = masters.iter().find(|master| master.id == stored.master).and_then(|master| master.open(stored));
    let Some(seed) = unsealed else {
        let id = &stored.master;
        let reason = format!("they were sealed with the master key `{id}`, which is not at hand or does not open them");
        return Err(cannot_read("signing keys")(reason));
    };
    let first = masters.first().filter(|first| first.id != stored.master);
    if let Some(first) = first {
        let sealed = first.seal(&stored.id, &seed).map_err(cannot_read("signing keys"))?;
        let resealed = registry.reseal_signing_key(&stored.id, &first.id, sealed).await;
        resealed.map_err(cannot_read("signing keys"))?;
    }
    Ok(SigningKey::of(&seed, stored.created_at, stored.retired_at))
}

/// Draws a key and stores it; the registry retires the one before.
async fn make(masters: &[Master], registry: &dyn Registry, now: Timestamp) -> Result<SigningKey, Error> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    getrandom::fill(&mut *seed).map_err(|cause| internal("draw a signing key", cause))?;
    let key = SigningKey::of(&seed, now, None);
    let master = masters.first().ok_or_else(|| internal("find a master key", "there is none"))?;
    let stored = StoredSigningKey {
        id: key.id.clone(),
        master: master.id.clone(),
        sealed: master.seal(&key.id, &seed)?,
        created_at: now,
        retired_at: None,
    };
    registry.add_signing_key(stored).await.map_err(|cause| internal("store a signing key", cause))?;
    tracing::info!(kid = key.id, "made a signing key");
    Ok(key)
}
