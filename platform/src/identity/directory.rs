//! Namespaces, owners and keys as requests read them: an immutable snapshot, replaced as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::{Caller, Namespace, NamespaceSettings, Scopes, Timestamp};
use ports::{Owner, Registry, RegistryError, StoredKey, StoredNamespace};

use crate::lease::Lease;

/// Everything that is known of who may come in. Cloning copies pointers.
#[derive(Clone)]
pub(super) struct Directory {
    /// What holds in a namespace that does not set it itself.
    pub(super) defaults: Arc<NamespaceSettings>,
    homes: HashMap<Namespace, Arc<Home>>,
    by_hash: HashMap<[u8; 32], Arc<KnownKey>>,
    by_id: HashMap<String, Arc<KnownKey>>,
}

/// A namespace that exists.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) stored: StoredNamespace,
    pub(super) lease: Arc<Lease>,
    pub(super) owners: BTreeMap<String, Owner>,
    /// Its settings, and the node's where it has none.
    pub(super) settings: Arc<NamespaceSettings>,
}

/// A key that was made; perhaps revoked or expired.
pub(super) struct KnownKey {
    pub(super) stored: StoredKey,
    caller: Arc<Caller>,
    /// Milliseconds since 1970; 0 is never.
    used: AtomicI64,
    /// What the registry knows of `used`.
    noted: AtomicI64,
}

impl KnownKey {
    fn of(stored: StoredKey) -> Arc<Self> {
        let caller = Caller::key(stored.id.clone(), stored.namespace.clone(), stored.scopes.clone());
        let used = stored.last_used_at.map_or(0, Timestamp::as_millisecond);
        Arc::new(Self { stored, caller: Arc::new(caller), used: used.into(), noted: used.into() })
    }

    pub(super) fn valid(&self, now: Timestamp) -> bool {
        self.stored.revoked_at.is_none() && !self.expired(now)
    }

    pub(super) fn expired(&self, now: Timestamp) -> bool {
        self.stored.expires_at.is_some_and(|expiry| expiry <= now)
    }

    /// Notes a use. Written at most once a second: many cores read the same line of memory for every request.
    pub(super) fn touch(&self, now: Timestamp) {
        let now = now.as_millisecond();
        if now - self.used.load(Ordering::Relaxed) >= 1000 {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn last_used(&self) -> Option<Timestamp> {
        let used = self.used.load(Ordering::Relaxed);
        (used != 0).then(|| Timestamp::from_millisecond(used).ok()).flatten()
    }

    /// The last use, if the registry does not know it yet.
    fn unnoted(&self) -> Option<Timestamp> {
        self.last_used().filter(|used| used.as_millisecond() != self.noted.load(Ordering::Relaxed))
    }

    fn note(&self, used: Timestamp) {
        self.noted.store(used.as_millisecond(), Ordering::Relaxed);
    }
}

impl Home {
    fn of(stored: StoredNamespace, defaults: &NamespaceSettings) -> Self {
        let settings = Arc::new(merged(&stored.settings, defaults));
        Self { stored, lease: Arc::default(), owners: BTreeMap::new(), settings }
    }

    pub(super) fn scopes_of(&self, wallet: &str) -> Option<&Scopes> {
        self.owners.get(wallet).map(|owner| &owner.scopes)
    }

    /// Tells this namespace from an earlier one of the same name.
    pub(super) fn since(&self) -> i64 {
        self.stored.created_at.as_millisecond()
    }
}

fn merged(own: &NamespaceSettings, defaults: &NamespaceSettings) -> NamespaceSettings {
    NamespaceSettings {
        functions_max: own.functions_max.or(defaults.functions_max),
        storage_bytes_max: own.storage_bytes_max.or(defaults.storage_bytes_max),
        database_bytes_max: own.database_bytes_max.or(defaults.database_bytes_max),
        concurrency: own.concurrency.or(defaults.concurrency),
        requests_per_minute: own.requests_per_minute.or(defaults.requests_per_minute),
        caller_requests_per_minute: own.caller_requests_per_minute.or(defaults.caller_requests_per_minute),
        egress: own.egress.clone().or_else(|| defaults.egress.clone()),
    }
}

impl Directory {
    /// Everything, and the namespaces whose end was begun and not finished.
    pub(super) async fn load(
        registry: &dyn Registry,
        defaults: NamespaceSettings,
    ) -> Result<(Self, Vec<Namespace>), RegistryError> {
        let (ending, living): (Vec<_>, Vec<_>) =
            registry.load_namespaces().await?.into_iter().partition(|namespace| namespace.ending);
        let home = |stored: StoredNamespace| (stored.name.clone(), Home::of(stored, &defaults));
        let mut homes: HashMap<_, _> = living.into_iter().map(home).collect();
        for owner in registry.load_owners().await? {
            if let Some(home) = homes.get_mut(&owner.namespace) {
                home.owners.insert(owner.wallet.clone(), owner);
            }
        }
        let homes = homes.into_iter().map(|(name, home)| (name, Arc::new(home))).collect();
        let defaults = Arc::new(defaults);
        let mut directory = Self { defaults, homes, by_hash: HashMap::new(), by_id: HashMap::new() };
        for key in registry.load_keys().await? {
            directory.put_key(KnownKey::of(key));
        }
        Ok((directory, ending.into_iter().map(|namespace| namespace.name).collect()))
    }

    /// What holds in a namespace; in one that does not exist, what would.
    pub(super) fn settings_of(&self, namespace: &Namespace) -> Arc<NamespaceSettings> {
        self.home(namespace).map_or(&self.defaults, |home| &home.settings).clone()
    }

    pub(super) fn home(&self, namespace: &Namespace) -> Option<&Arc<Home>> {
        self.homes.get(namespace)
    }

    /// Every namespace, by name.
    pub(super) fn homes(&self) -> Vec<&Arc<Home>> {
        let mut homes: Vec<_> = self.homes.values().collect();
        homes.sort_by(|a, b| a.stored.name.cmp(&b.stored.name));
        homes
    }

    pub(super) fn has_keys(&self) -> bool {
        !self.by_id.is_empty()
    }

    pub(super) fn key_of_hash(&self, hash: &[u8; 32]) -> Option<&Arc<KnownKey>> {
        self.by_hash.get(hash)
    }

    pub(super) fn key(&self, namespace: &Namespace, id: &str) -> Option<&Arc<KnownKey>> {
        self.by_id.get(id).filter(|key| key.stored.namespace == *namespace)
    }

    /// Every key of a namespace, newest first.
    pub(super) fn keys_of(&self, namespace: &Namespace) -> Vec<&Arc<KnownKey>> {
        let mut keys: Vec<_> = self.by_id.values().filter(|key| key.stored.namespace == *namespace).collect();
        keys.sort_by(|a, b| (b.stored.created_at, &b.stored.id).cmp(&(a.stored.created_at, &a.stored.id)));
        keys
    }

    /// Every key of the node, in no particular order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<KnownKey>> {
        self.by_id.values()
    }

    /// The caller behind a key. The key of a wallet has the scopes that its wallet has now; without any it opens nothing.
    pub(super) fn caller_of(&self, key: &KnownKey) -> Option<Arc<Caller>> {
        let home = self.home(&key.stored.namespace)?;
        let Some((wallet, _)) = &key.stored.wallet else { return Some(key.caller.clone()) };
        let scopes = home.scopes_of(wallet)?.clone();
        Some(Arc::new(Caller { scopes, ..Caller::clone(&key.caller) }))
    }

    /// How many keys of a wallet were revoked: the number of its next key.
    pub(super) fn generation_of(&self, namespace: &Namespace, wallet: &str) -> u32 {
        let generations = self.by_id.values().filter(|key| key.stored.namespace == *namespace).filter_map(|key| {
            let (holder, generation) = key.stored.wallet.as_ref()?;
            (holder == wallet && key.stored.revoked_at.is_some()).then_some(generation + 1)
        });
        generations.max().unwrap_or(0)
    }

    /// The uses that the registry does not know yet.
    pub(super) fn unnoted_uses(&self) -> Vec<(String, Timestamp)> {
        let unnoted = |key: &Arc<KnownKey>| key.unnoted().map(|used| (key.stored.id.clone(), used));
        self.by_id.values().filter_map(unnoted).collect()
    }

    pub(super) fn noted(&self, uses: &[(String, Timestamp)]) {
        for (id, used) in uses {
            if let Some(key) = self.by_id.get(id) {
                key.note(*used);
            }
        }
    }

    pub(super) fn with_namespace(&self, stored: StoredNamespace, owner: Option<Owner>) -> Self {
        let mut home = Home::of(stored, &self.defaults);
        home.owners.extend(owner.map(|owner| (owner.wallet.clone(), owner)));
        self.with_home(home)
    }

    fn with_home(&self, home: Home) -> Self {
        let mut next = self.clone();
        next.homes.insert(home.stored.name.clone(), Arc::new(home));
        next
    }

    pub(super) fn without_namespace(&self, namespace: &Namespace) -> Self {
        let mut next = self.clone();
        next.homes.remove(namespace);
        next.by_hash.retain(|_, key| key.stored.namespace != *namespace);
        next.by_id.retain(|_, key| key.stored.namespace != *namespace);
        next
    }

    pub(super) fn with_settings(&self, home: &Home, settings: NamespaceSettings) -> Self {
        let stored = StoredNamespace { settings, ..home.stored.clone() };
        let (lease, owners) = (home.lease.clone(), home.owners.clone());
        self.with_home(Home { lease, owners, ..Home::of(stored, &self.defaults) })
    }

    pub(super) fn with_owner(&self, home: &Home, owner: Owner) -> Self {
        let mut home = home.clone();
        home.owners.insert(owner.wallet.clone(), owner);
        self.with_home(home)
    }

    pub(super) fn without_owner(&self, home: &Home, wallet: &str) -> Self {
        let mut home = home.clone();
        home.owners.remove(wallet);
        self.with_home(home)
    }

    pub(super) fn with_key(&self, stored: StoredKey) -> Self {
        let mut next = self.clone();
        next.put_key(KnownKey::of(stored));
        next
    }

    pub(super) fn with_revoked(&self, key: &KnownKey, at: Timestamp) -> Self {
        let last_used_at = key.last_used();
        let revoked = KnownKey::of(StoredKey { revoked_at: Some(at), last_used_at, ..key.stored.clone() });
        revoked.noted.store(key.noted.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut next = self.clone();
        next.put_key(revoked);
        next
    }

    fn put_key(&mut self, key: Arc<KnownKey>) {
        self.by_hash.insert(key.stored.hash, key.clone());
        self.by_id.insert(key.stored.id.clone(), key);
    }
}
