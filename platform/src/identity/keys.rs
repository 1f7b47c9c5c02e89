//! API keys: made, listed, revoked, found again by a keyed hash.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Caller, Error, ErrorCode, Namespace, Scope, Scopes, Timestamp};
use ports::{NodeKey, StoredKey};

use super::directory::{Home, KnownKey};
use super::wallet::Wallet;
use super::{not_changed, unknown_namespace};
use crate::authorise::lacks;
use crate::{Platform, internal};

/// Bytes of chance in an API key: 24 characters of base64url.
const SECRET_BYTES: usize = 18;
const NAME_CHARACTERS_MAX: usize = 100;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// For people; 1 to 100 characters.
    pub name: String,
    pub scopes: Scopes,
    pub lifetime: Option<Duration>,
}

/// A key as lists show it: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyView {
    pub id: String,
    pub name: String,
    pub namespace: Namespace,
    pub scopes: Scopes,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// Set for the key of a wallet.
    pub wallet: Option<String>,
}

impl KeyView {
    fn of(key: &KnownKey) -> Self {
        let stored = key.stored.clone();
        Self {
            id: stored.id,
            name: stored.name,
            namespace: stored.namespace,
            scopes: stored.scopes,
            created_at: stored.created_at,
            expires_at: stored.expires_at,
            last_used_at: key.last_used(),
            revoked_at: stored.revoked_at,
            wallet: stored.wallet.map(|(wallet, _)| wallet),
        }
    }
}

/// A key that was made just now: the only time it is told.
#[derive(Clone)]
pub struct CreatedKey {
    pub key: String,
    pub view: KeyView,
}

/// What keys are hashed with and wallets' keys are made of.
pub(super) struct KeySecrets {
    pepper: NodeKey,
    wallets: [u8; 32],
}

impl KeySecrets {
    pub(super) fn new(pepper: NodeKey) -> Self {
        Self { wallets: blake3::derive_key("orama 2026-11 keys of wallets", pepper.expose()), pepper }
    }

    /// A lookup by this hash tells nothing about keys that are nearly right.
    fn hash(&self, key: &str) -> [u8; 32] {
        *blake3::keyed_hash(self.pepper.expose(), key.as_bytes()).as_bytes()
    }

    /// The key of a wallet, the same each time. Another namespace of the same name, later, gives another key.
    fn of_wallet(&self, home: &Home, wallet: &str, generation: u32) -> String {
        let namespace = &home.stored.name;
        let (since, generation) = (home.since().to_le_bytes(), generation.to_le_bytes());
        let mut hasher = blake3::Hasher::new_keyed(&self.wallets);
        for field in [namespace.as_str().as_bytes(), &since, wallet.as_bytes(), &generation] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        written(&hasher.finalize().as_bytes()[..SECRET_BYTES], namespace)
    }
}

fn written(secret: &[u8], namespace: &Namespace) -> String {
    format!("ak_{}:{namespace}", URL_SAFE_NO_PAD.encode(secret))
}

impl Platform {
    /// The caller behind an API key (`ak_…:namespace`), or `None` when there is no such key, or not any more.
    pub fn caller_of_key(&self, presented: &str) -> Option<Arc<Caller>> {
        let directory = self.identity.directory.load();
        let key = directory.key_of_hash(&self.identity.keys.hash(presented))?;
        let now = self.clock.now();
        let caller = directory.caller_of(key).filter(|_| key.valid(now))?;
        key.touch(now);
        Some(caller)
    }

    /// Has any key ever been made? False only at the very first start.
    pub fn has_keys(&self) -> bool {
        self.identity.directory.load().has_keys()
    }

    /// Makes an API key for the node itself, without asking who wants it. It is returned once and kept only as a hash.
    pub async fn create_key(&self, namespace: &Namespace, name: &str, scopes: Scopes) -> Result<String, Error> {
        let key = self.draw_key(namespace)?;
        self.store_key(&key, namespace, name, scopes).await?;
        Ok(key)
    }

    /// A new key that opens nothing until it is stored: for whoever must write it down first.
    pub fn draw_key(&self, namespace: &Namespace) -> Result<String, Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|cause| internal("draw a key", cause))?;
        Ok(written(&secret, namespace))
    }

    /// Stores the hash of a key from [`Platform::draw_key`]; from then on it is valid.
    pub async fn store_key(&self, key: &str, namespace: &Namespace, name: &str, scopes: Scopes) -> Result<(), Error> {
        let _one_at_a_time = self.management.lock().await;
        self.add_key(self.new_key(key, namespace, name, scopes)).await
    }

    /// Makes a key in a namespace. Needs the scope `admin`, and every scope that the key gets; only an operator makes operators.
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        new: NewKey,
    ) -> Result<CreatedKey, Error> {
        self.manage(caller, Scope::Admin, namespace)?;
        let NewKey { name, scopes, lifetime } = new;
        check_name(&name)?;
        let scopes = given_by(caller, &scopes)?;
        let key = self.draw_key(namespace)?;
        let mut stored = self.new_key(&key, namespace, &name, scopes);
        if let Some(lifetime) = lifetime {
            stored.expires_at = Some(expiry(stored.created_at, lifetime)?);
        }
        let id = stored.id.clone();
        let _one_at_a_time = self.management.lock().await;
        self.add_key(stored).await?;
        let view = self.identity.directory.load().key(namespace, &id).map(|key| KeyView::of(key));
        Ok(CreatedKey { key, view: view.ok_or_else(|| unknown_key(&id))? })
    }

    /// Every key of a namespace, newest first, revoked and expired ones too.
    pub fn list_api_keys(&self, caller: &Caller, namespace: &Namespace) -> Result<Vec<KeyView>, Error> {
        self.manage(caller, Scope::Admin, namespace)?;
        let directory = self.identity.directory.load();
        Ok(directory.keys_of(namespace).into_iter().map(|key| KeyView::of(key)).collect())
    }

    /// Revokes a key at once; tokens that were made from it are refused, too.
    pub async fn revoke_api_key(&self, caller: &Caller, namespace: &Namespace, id: &str) -> Result<(), Error> {
        self.manage(caller, Scope::Admin, namespace)?;
        let _one_at_a_time = self.management.lock().await;
        let directory = self.identity.directory.load_full();
        let key = directory.key(namespace, id).ok_or_else(|| unknown_key(id))?;
        must_have(caller, &key.stored.scopes)?;
        if key.stored.revoked_at.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        if is_operator(key)
            && key.valid(now)
            && directory.keys().filter(|k| is_operator(k) && k.valid(now)).count() == 1
        {
            let reason = "this is the only key with the scope `operator`; make another one first";
            return Err(Error::new(ErrorCode::Conflict, reason));
        }
        let revoked = self.registry.revoke_key(namespace, id, now).await;
        revoked.map_err(|error| not_changed("revoke a key", error))?;
        self.identity.directory.store(Arc::new(directory.with_revoked(key, now)));
        tracing::info!(%namespace, key = id, "revoked");
        Ok(())
    }

    /// The key of a wallet, stored at its first use; `None` for a wallet that has no scope in the namespace.
    pub(super) async fn key_of_wallet(&self, home: &Home, wallet: &Wallet) -> Result<Option<String>, Error> {
        let namespace = &home.stored.name;
        let find = || {
            let directory = self.identity.directory.load();
            directory.home(namespace)?.scopes_of(wallet.as_str())?;
            let generation = directory.generation_of(namespace, wallet.as_str());
            let key = self.identity.keys.of_wallet(home, wallet.as_str(), generation);
            let known = directory.key_of_hash(&self.identity.keys.hash(&key)).is_some();
            Some((key, generation, known))
        };
        if let Some((key, _, true)) = find() {
            return Ok(Some(key));
        }
        let _one_at_a_time = self.management.lock().await;
        let Some((key, generation, known)) = find() else { return Ok(None) };
        if !known {
            let mut stored = self.new_key(&key, namespace, "wallet", Scopes::default());
            stored.wallet = Some((wallet.to_string(), generation));
            self.add_key(stored).await?;
        }
        Ok(Some(key))
    }

    fn new_key(&self, key: &str, namespace: &Namespace, name: &str, scopes: Scopes) -> StoredKey {
        StoredKey {
            id: uuid::Uuid::now_v7().to_string(),
            name: name.to_owned(),
            namespace: namespace.clone(),
            scopes,
            hash: self.identity.keys.hash(key),
            created_at: self.clock.now(),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
            wallet: None,
        }
    }

    /// Only for who holds the management lock.
    async fn add_key(&self, stored: StoredKey) -> Result<(), Error> {
        let directory = self.identity.directory.load_full();
        directory.home(&stored.namespace).ok_or_else(|| unknown_namespace(&stored.namespace))?;
        let created = self.registry.create_key(stored.clone()).await;
        created.map_err(|error| not_changed("store a key", error))?;
        self.identity.directory.store(Arc::new(directory.with_key(stored)));
        Ok(())
    }

    /// Tells the registry when keys were last used. A key that is in use costs one row a call of this.
    pub(crate) async fn flush_key_use(&self) {
        let directory = self.identity.directory.load_full();
        let uses = directory.unnoted_uses();
        if uses.is_empty() {
            return;
        }
        match self.registry.touch_keys(&uses).await {
            Ok(()) => directory.noted(&uses),
            Err(cause) => tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to note the use of keys"),
        }
    }
}

fn is_operator(key: &KnownKey) -> bool {
    key.stored.scopes.allow(Scope::Operator)
}

fn check_name(name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    match (1..=NAME_CHARACTERS_MAX).contains(&length) && !name.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(Error::invalid("the name is not 1 to 100 characters long, or holds control characters")),
    }
}

fn expiry(now: Timestamp, lifetime: Duration) -> Result<Timestamp, Error> {
    let invalid = || Error::invalid("the lifetime of a key is at least a second and at most 100 years");
    let within = (1..=100 * 365 * 24 * 3600).contains(&lifetime.as_secs());
    now.checked_add(lifetime).ok().filter(|_| within).ok_or_else(invalid)
}

/// Nobody gives away, or takes away, more than it has.
pub(super) fn must_have(caller: &Caller, scopes: &Scopes) -> Result<(), Error> {
    match scopes.iter().find(|scope| !caller.scopes.allow(*scope)) {
        Some(missing) => Err(lacks(missing)),
        None => Ok(()),
    }
}

/// The scopes, once each, if `caller` may give them.
pub(super) fn given_by(caller: &Caller, scopes: &Scopes) -> Result<Scopes, Error> {
    must_have(caller, scopes)?;
    let given = Scopes::of(Scope::ALL.into_iter().filter(|scope| scopes.iter().any(|wanted| wanted == *scope)));
    if given == Scopes::default() { Err(Error::invalid("give at least one scope")) } else { Ok(given) }
}

fn unknown_key(id: &str) -> Error {
    Error::not_found(format!("key `{id}` not found")).hint("list the keys with `orama auth keys list`")
}
