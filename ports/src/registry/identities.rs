//! Who may come in: API keys, nonces, refresh tokens, the claims of wallets, the keys that sign tokens.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{Namespace, Scopes, Timestamp};

use super::RegistryError;

/// An API key as it is kept: the hash, never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Not secret; names the key in lists and records.
    pub id: String,
    pub name: String,
    pub namespace: Namespace,
    pub scopes: Scopes,
    /// A keyed hash of the key.
    pub hash: [u8; 32],
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// Set for the key of a wallet, which is derived and not drawn: the wallet, and how many of its keys were revoked before.
    pub wallet: Option<(String, u32)>,
}

/// A refresh token as it is kept. All tokens that came from one sign-in are one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub hash: [u8; 32],
    pub family: String,
    pub namespace: Namespace,
    pub subject: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What presenting a refresh token met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The next token is stored; this is the one that it replaced.
    Done(RefreshToken),
    /// The token was used before: its whole family has been revoked by this.
    Reused(RefreshToken),
    /// No such token, or expired, or revoked.
    Refused,
}

/// A family of refresh tokens that was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedFamily {
    pub family: String,
    pub at: Timestamp,
}

/// A key that signs access tokens, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSigningKey {
    pub id: String,
    /// The master key that it is sealed with.
    pub master: String,
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    /// When the next key took over.
    pub retired_at: Option<Timestamp>,
}

/// A client application that a wallet registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub id: String,
    pub namespace: Namespace,
    pub name: String,
    pub wallet: String,
    pub created_at: Timestamp,
}

#[async_trait]
pub trait Identities: Send + Sync {
    /// Stores a new API key; an id that exists, or a second key of the same generation of a wallet, is a conflict.
    async fn create_key(&self, key: StoredKey) -> Result<(), RegistryError>;

    /// Every API key, revoked and expired ones too; read once at start.
    async fn load_keys(&self) -> Result<Vec<StoredKey>, RegistryError>;

    /// Revokes a key of `namespace`; one that is revoked already stays as it is.
    async fn revoke_key(&self, namespace: &Namespace, id: &str, at: Timestamp) -> Result<(), RegistryError>;

    /// Notes when keys were last used, by id; unknown ids are ignored.
    async fn touch_keys(&self, used: &[(String, Timestamp)]) -> Result<(), RegistryError>;

    /// True the first time; the hash is kept until it expires.
    async fn consume_nonce(&self, hash: [u8; 32], expires_at: Timestamp) -> Result<bool, RegistryError>;

    /// Begins a family with its first token; a family or hash that exists is a conflict.
    async fn create_refresh(&self, token: RefreshToken) -> Result<(), RegistryError>;

    /// Replaces the token with the hash `presented` by one with the hash `next`, of the same family, namespace and subject.
    ///
    /// `namespace`, when given, must be the token's, else it is refused and nothing changes.
    async fn rotate_refresh(
        &self,
        presented: [u8; 32],
        namespace: Option<&Namespace>,
        next: [u8; 32],
        now: Timestamp,
        next_expires_at: Timestamp,
    ) -> Result<Rotated, RegistryError>;

    /// Revokes the family of a token, used or not; returns it, with the time of its first revocation, or `None` when there is no such
    /// token.
    async fn revoke_refresh(&self, presented: [u8; 32], now: Timestamp)
    -> Result<Option<RevokedFamily>, RegistryError>;

    /// Revokes a family of refresh tokens; true when one of its tokens was alive.
    async fn revoke_family(&self, family: &str, now: Timestamp) -> Result<bool, RegistryError>;

    /// Revokes every family of a subject in a namespace; returns those that were alive.
    async fn revoke_subject(
        &self,
        namespace: &Namespace,
        subject: &str,
        now: Timestamp,
    ) -> Result<Vec<RevokedFamily>, RegistryError>;

    /// Families that were revoked since: access tokens made from them may not have expired yet.
    async fn load_revoked_families(&self, since: Timestamp) -> Result<Vec<RevokedFamily>, RegistryError>;

    /// Forgets nonces and refresh tokens that expired before `now`; returns how many. A family that was revoked is remembered for a day
    /// at least.
    async fn expire_identities(&self, now: Timestamp) -> Result<u64, RegistryError>;

    /// The claims that the tokens of a wallet carry; empty when there are none.
    async fn claims(&self, namespace: &Namespace, wallet: &str) -> Result<BTreeMap<String, String>, RegistryError>;

    async fn set_claim(&self, namespace: &Namespace, wallet: &str, key: &str, value: &str)
    -> Result<(), RegistryError>;

    async fn delete_claim(&self, namespace: &Namespace, wallet: &str, key: &str) -> Result<(), RegistryError>;

    /// Every signing key, oldest first.
    async fn load_signing_keys(&self) -> Result<Vec<StoredSigningKey>, RegistryError>;

    /// Adds a key and retires the others, at its `created_at`.
    async fn add_signing_key(&self, key: StoredSigningKey) -> Result<(), RegistryError>;

    /// Replaces what a key is sealed with.
    async fn reseal_signing_key(&self, id: &str, master: &str, sealed: Vec<u8>) -> Result<(), RegistryError>;

    /// Forgets keys that were retired before.
    async fn forget_signing_keys(&self, retired_before: Timestamp) -> Result<u64, RegistryError>;

    async fn create_app(&self, app: App) -> Result<(), RegistryError>;
}
