//! Who may do what: API keys into callers, and the access rules of calls and of management.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Caller, Error, ErrorCode, FunctionVersion, Namespace, Scope, Scopes};
use ports::{Keys, NodeKey, Registry, StoredKey};

use crate::{OpenError, Platform, cannot_read, internal};

/// Bytes of chance in an API key: 24 characters of base64url.
const SECRET_BYTES: usize = 18;

/// The API keys of the node, by keyed hash: a lookup tells nothing about keys that are nearly right.
pub(crate) struct ApiKeys {
    pepper: NodeKey,
    callers: ArcSwap<HashMap<[u8; 32], Arc<Caller>>>,
}

impl ApiKeys {
    pub(crate) async fn load(keys: &dyn Keys, registry: &dyn Registry) -> Result<Self, OpenError> {
        let pepper = keys.node_key("api-keys").map_err(cannot_read("node keys"))?;
        let stored = registry.load_keys().await.map_err(cannot_read("API keys"))?;
        let valid = stored.into_iter().filter(|key| key.revoked_at.is_none());
        let callers = valid.map(|key| (key.hash, caller_of(&key))).collect();
        Ok(Self { pepper, callers: ArcSwap::from_pointee(callers) })
    }

    fn hash(&self, presented: &str) -> [u8; 32] {
        *blake3::keyed_hash(self.pepper.expose(), presented.as_bytes()).as_bytes()
    }

    fn find(&self, presented: &str) -> Option<Arc<Caller>> {
        self.callers.load().get(&self.hash(presented)).cloned()
    }

    fn add(&self, key: &StoredKey) {
        let caller = caller_of(key);
        self.callers.rcu(|known| {
            let mut next = HashMap::clone(known);
            next.insert(key.hash, caller.clone());
            next
        });
    }
}

fn caller_of(key: &StoredKey) -> Arc<Caller> {
    Arc::new(Caller::key(key.id.clone(), key.namespace.clone(), key.scopes.clone()))
}

impl Platform {
    /// The caller behind an API key (`ak_…:namespace`), or `None` when there is no such key.
    pub fn caller_of_key(&self, presented: &str) -> Option<Arc<Caller>> {
        self.api_keys.find(presented)
    }

    /// Has any key ever been made? False only at the very first start.
    pub fn has_keys(&self) -> bool {
        !self.api_keys.callers.load().is_empty()
    }

    /// Makes an API key. It is returned once and kept only as a hash.
    pub async fn create_key(&self, namespace: &Namespace, name: &str, scopes: Scopes) -> Result<String, Error> {
        let key = self.draw_key(namespace)?;
        self.store_key(&key, namespace, name, scopes).await?;
        Ok(key)
    }

    /// A new key that opens nothing until it is stored: for whoever must write it down first.
    pub fn draw_key(&self, namespace: &Namespace) -> Result<String, Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|cause| internal("draw a key", cause))?;
        Ok(format!("ak_{}:{namespace}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// Stores the hash of a key from [`Platform::draw_key`]; from then on it is valid.
    pub async fn store_key(&self, key: &str, namespace: &Namespace, name: &str, scopes: Scopes) -> Result<(), Error> {
        let stored = StoredKey {
            id: uuid::Uuid::now_v7().to_string(),
            name: name.to_owned(),
            namespace: namespace.clone(),
            scopes,
            hash: self.api_keys.hash(key),
            created_at: self.clock.now(),
            revoked_at: None,
        };
        self.registry.create_key(stored.clone()).await.map_err(|cause| internal("store a key", cause))?;
        self.api_keys.add(&stored);
        Ok(())
    }
}

/// May `caller` use `scope` in `namespace`? A foreign namespace looks as if it did not exist.
pub(crate) fn manage(caller: &Caller, scope: Scope, namespace: &Namespace) -> Result<(), Error> {
    if caller.is_anonymous() {
        return Err(Error::of(ErrorCode::Unauthorized).hint("send an API key as `X-API-Key`, or run `orama login`"));
    }
    let at_home = caller.namespace.as_ref() == Some(namespace) || caller.scopes.allow(Scope::Operator);
    match (at_home, caller.may(scope, namespace)) {
        (false, _) => Err(Error::not_found(format!("namespace `{namespace}` not found"))),
        (true, false) => Err(Error::new(ErrorCode::Forbidden, format!("the key lacks the scope `{}`", scope.as_str()))),
        (true, true) => Ok(()),
    }
}

/// May `caller` call this version from outside? (`orama.md` 1.6)
pub(crate) fn call(caller: &Caller, version: &FunctionVersion) -> Result<(), Error> {
    let manifest = &version.manifest;
    if manifest.public && !manifest.internal {
        return Ok(());
    }
    if caller.is_anonymous() {
        return Err(
            Error::new(ErrorCode::Unauthorized, "unauthorized").hint("the function is private; send an API key")
        );
    }
    let scope = if manifest.internal { Scope::Admin } else { Scope::Invoke };
    match manage(caller, scope, &version.namespace) {
        // To a stranger a private function looks like one that does not exist.
        Err(refused) if refused.code == ErrorCode::NotFound => Err(unknown_function(version.name.as_str())),
        decided => decided,
    }
}

pub(crate) fn unknown_function(name: &str) -> Error {
    Error::not_found(format!("function `{name}` not found"))
}
