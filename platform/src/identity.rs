//! Who calls: API keys, wallets that sign, access tokens. Everything ends in a [`domain::Caller`], resolved once a request.
//!
//! `directory.rs` is the snapshot that requests read; `keys.rs`, `namespaces.rs` and `owners.rs` change it. `wallet.rs` is about addresses
//! and signatures, `nonce.rs` and `message.rs` about what is signed, `sign_in.rs` about challenges and their answers, `sessions.rs`
//! about refresh tokens, `tokens.rs` about access tokens in the form of `jwt.rs`, signed with the keys of `signing.rs`.

mod directory;
mod jwt;
mod keys;
mod message;
mod namespaces;
mod nonce;
mod owners;
mod sessions;
mod sign_in;
mod signing;
mod tokens;
mod wallet;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Caller, Credential, Error, ErrorCode, Namespace, NamespaceSettings, Timestamp};
use ports::{Clock, Keys, Registry, RegistryError};

use crate::lease::Lease;
use crate::{Config, OpenError, Platform, cannot_read, internal};
use directory::Directory;
use jwt::Claims;
use keys::KeySecrets;
use nonce::Nonces;
use sessions::{REVOKED_LIFETIME, RefreshHash, Revoked};
use signing::{RETIRED_LIFETIME, SigningKeys};

pub(crate) use jwt::key_of as key_of_token;
pub use keys::{CreatedKey, KeyView, NewKey};
pub(crate) use message::Message;
pub use namespaces::NamespaceView;
pub use sessions::Refreshed;
pub use sign_in::{Challenge, ChallengeRequest, Proof, Purpose, RegisteredApp, SignedIn, WalletKey};
pub use tokens::{AccessToken, InvalidToken, PublicKey, TokenFacts};
pub use wallet::{Chain, InvalidWallet, Wallet};

/// Tokens whose signature is remembered.
const VERIFIED_TOKENS_MAX: usize = 2048;

/// What the platform knows of those who may come in.
pub(crate) struct Identity {
    /// Replaced by whoever holds the management lock.
    directory: ArcSwap<Directory>,
    /// Namespaces that are gone but for some of what they stored, with their ended leases.
    endings: Mutex<BTreeMap<Namespace, Arc<Lease>>>,
    keys: KeySecrets,
    nonces: Nonces,
    refresh_hash: RefreshHash,
    signing: SigningKeys,
    revoked: Revoked,
    /// The claims of tokens whose signature was verified, by their hash. Whether they are valid now is asked each time.
    verified: quick_cache::sync::Cache<[u8; 32], Arc<Claims>>,
}

impl Identity {
    pub(crate) async fn load(
        keys: &dyn Keys,
        registry: &dyn Registry,
        clock: &dyn Clock,
        config: &Config,
    ) -> Result<Self, OpenError> {
        let now = clock.now();
        let pepper = keys.node_key("api-keys").map_err(cannot_read("node keys"))?;
        let loaded = Directory::load(registry, config.namespace_defaults.clone()).await;
        let (directory, endings) = loaded.map_err(cannot_read("namespaces and keys"))?;
        let since = before(now, REVOKED_LIFETIME);
        let revoked = registry.load_revoked_families(since).await.map_err(cannot_read("revoked sign-ins"))?;
        Ok(Self {
            directory: ArcSwap::from_pointee(directory),
            endings: Mutex::new(endings.into_iter().map(|namespace| (namespace, Lease::of_nothing())).collect()),
            nonces: Nonces::new(pepper.expose()),
            refresh_hash: RefreshHash::new(pepper.expose()),
            keys: KeySecrets::new(pepper),
            signing: SigningKeys::load(keys, registry, now).await?,
            revoked: Revoked::of(revoked),
            verified: quick_cache::sync::Cache::new(VERIFIED_TOKENS_MAX),
        })
    }

    /// What holds in a namespace: its own settings, and the node's where it has none.
    pub(crate) fn settings_of(&self, namespace: &Namespace) -> Arc<NamespaceSettings> {
        self.directory.load().settings_of(namespace)
    }

    /// The lease of a namespace; of one that does not exist there is none to hold.
    pub(crate) fn lease_of(&self, namespace: &Namespace) -> Arc<Lease> {
        self.directory.load().home(namespace).map_or_else(Lease::of_nothing, |home| home.lease.clone())
    }
}

impl Platform {
    /// What time does to identities: nonces and tokens expire, signing keys grow old, the use of keys is noted.
    pub(crate) async fn tidy_identity(&self) {
        let now = self.clock.now();
        let failed = |what: &str, cause: RegistryError| {
            tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to {what}");
        };
        self.flush_key_use().await;
        self.finish_endings().await;
        self.identity.revoked.forget(before(now, REVOKED_LIFETIME));
        if let Err(cause) = self.registry.expire_identities(now).await {
            failed("expire nonces and refresh tokens", cause);
        }
        let _one_at_a_time = self.management.lock().await;
        if self.identity.signing.is_old(now) {
            // What went wrong is logged where it did; the old key signs on.
            let _ = self.identity.signing.rotate(&*self.registry, now).await;
        }
        self.identity.signing.forget_dead(now);
        if let Err(cause) = self.registry.forget_signing_keys(before(now, RETIRED_LIFETIME)).await {
            failed("forget retired signing keys", cause);
        }
    }
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_sub(by).unwrap_or(now)
}

/// Who it was, as the audit log writes it.
fn actor(caller: &Caller) -> String {
    match (&caller.credential, &caller.subject) {
        (Credential::Key { id }, _) => format!("key:{id}"),
        (Credential::Token { .. }, Some(subject)) if subject.contains(':') => subject.clone(),
        (Credential::Token { .. }, Some(subject)) => format!("wallet:{subject}"),
        _ => "anonymous".to_owned(),
    }
}

pub(crate) fn unknown_namespace(namespace: &Namespace) -> Error {
    Error::not_found(format!("namespace `{namespace}` not found"))
}

/// A change that the registry refused, as a client may read it.
pub(crate) fn not_changed(doing: &str, error: RegistryError) -> Error {
    match error {
        RegistryError::NotFound => Error::not_found("it does not exist any more"),
        RegistryError::Conflict(reason) => Error::new(ErrorCode::Conflict, reason),
        RegistryError::Full(cause) => {
            tracing::error!(cause = &*cause as &dyn std::error::Error, "failed to {doing}");
            Error::new(ErrorCode::StorageQuotaExceeded, "the disk of the node is full")
        }
        RegistryError::Unavailable(_) => internal(doing, error),
    }
}
