//! Namespaces: made, listed, set, ended. `owners.rs` has who owns them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{Caller, Credential, Error, ErrorCode, Namespace, NamespaceSettings, Scope, Scopes, Timestamp};
use ports::{BoxError, Owner, RegistryError, StoredNamespace};

use super::directory::Home;
use super::wallet::Wallet;
use super::{actor, not_changed, unknown_namespace};
use crate::Platform;
use crate::authorise::nobody;
use crate::lease::Lease;

/// How long a deletion waits for what was cut. Longer than a disk takes for the file that it is writing.
const SETTLE_TIME: Duration = Duration::from_secs(10);

/// A namespace as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceView {
    pub name: Namespace,
    pub created_at: Timestamp,
    pub created_by: String,
    pub functions: u64,
    /// What was set for it; what is not set follows the node.
    pub settings: NamespaceSettings,
}

impl Platform {
    pub(crate) fn namespace_exists(&self, namespace: &Namespace) -> bool {
        self.identity.directory.load().home(namespace).is_some()
    }

    /// What holds in a namespace: its own settings, and the node's where it has none.
    pub(crate) fn settings_of(&self, namespace: &Namespace) -> Arc<NamespaceSettings> {
        self.identity.settings_of(namespace)
    }

    /// Makes a namespace. Operators may; so may a wallet with a token, which then owns it, where `auth.registration` is open.
    pub async fn create_namespace(&self, caller: &Caller, namespace: &Namespace) -> Result<NamespaceView, Error> {
        let wallet = self.may_create(caller)?;
        let home = self.found(namespace, actor(caller), wallet.as_ref()).await?;
        Ok(self.view(&home))
    }

    /// The wallet that will own what the caller makes; an operator owns everything already.
    fn may_create(&self, caller: &Caller) -> Result<Option<Wallet>, Error> {
        if self.operate(caller).is_ok() || !self.config.registration_open {
            return self.operate(caller).map(|()| None);
        }
        let wallet = match (&caller.credential, &caller.subject) {
            (Credential::Token { .. }, Some(subject)) => Wallet::parse(subject, None).ok(),
            _ => None,
        };
        let needed = || Error::new(ErrorCode::Unauthorized, "sign in with a wallet to make a namespace");
        wallet.map(Some).ok_or_else(needed)
    }

    pub(super) async fn found(
        &self,
        namespace: &Namespace,
        created_by: String,
        owner: Option<&Wallet>,
    ) -> Result<Arc<Home>, Error> {
        let _one_at_a_time = self.management.lock().await;
        if *namespace == crate::chain::namespace() {
            return Err(Error::invalid(format!(
                "namespace `{namespace}` is that of code from a chain; choose another name"
            )));
        }
        if self.namespace_exists(namespace) {
            return Err(Error::new(ErrorCode::Conflict, format!("namespace `{namespace}` exists already")));
        }
        let now = self.clock.now();
        let stored = StoredNamespace {
            name: namespace.clone(),
            created_at: now,
            created_by,
            settings: NamespaceSettings::default(),
            ending: false,
        };
        let owner = owner.map(|wallet| Owner {
            namespace: namespace.clone(),
            wallet: wallet.to_string(),
            scopes: Scopes::of([Scope::Admin]),
            added_at: now,
        });
        let created = self.registry.create_namespace(stored.clone(), owner.clone()).await;
        created.map_err(|error| not_changed("make a namespace", error))?;
        let next = self.identity.directory.load().with_namespace(stored, owner);
        self.identity.directory.store(Arc::new(next));
        self.apply_settings(namespace);
        tracing::info!(%namespace, "made");
        self.home(namespace)
    }

    /// Every namespace for an operator, else the caller's own.
    pub fn list_namespaces(&self, caller: &Caller) -> Result<Vec<NamespaceView>, Error> {
        if caller.is_anonymous() {
            return Err(nobody());
        }
        let directory = self.identity.directory.load();
        let seen = |home: &&&Arc<Home>| self.knows(caller, &home.stored.name);
        Ok(directory.homes().iter().filter(seen).map(|home| self.view(home)).collect())
    }

    pub fn namespace(&self, caller: &Caller, namespace: &Namespace) -> Result<NamespaceView, Error> {
        match caller.is_anonymous() {
            true => Err(nobody()),
            false if self.knows(caller, namespace) => Ok(self.view(&*self.home(namespace)?)),
            false => Err(unknown_namespace(namespace)),
        }
    }

    /// Is there such a namespace? For who looks after the node's host names; callers ask [`Self::namespace`].
    pub fn has_namespace(&self, namespace: &Namespace) -> bool {
        self.home(namespace).is_ok()
    }

    /// Whoever may do anything in a namespace may look at it.
    fn knows(&self, caller: &Caller, namespace: &Namespace) -> bool {
        Scope::ALL.into_iter().any(|scope| caller.may(scope, namespace))
    }

    /// Deletes a namespace with everything in it: functions, keys, secrets, database, cache, content, logs. Calls that run in it
    /// are cut, and the name is free when the last of them has ended. `default` stays.
    pub async fn delete_namespace(&self, caller: &Caller, namespace: &Namespace) -> Result<(), Error> {
        let lease = self.manage(caller, Scope::Admin, namespace)?;
        if *namespace == Namespace::default_namespace() {
            return Err(Error::new(ErrorCode::Conflict, "the namespace `default` cannot be deleted"));
        }
        self.begin_ending(namespace, &lease).await?;
        // From here on it is gone for everybody. What fails below is tried again until it succeeds.
        self.finish_ending(namespace, &lease).await;
        tracing::info!(%namespace, "deleted");
        Ok(())
    }

    async fn begin_ending(&self, namespace: &Namespace, lease: &Arc<Lease>) -> Result<(), Error> {
        let _one_at_a_time = self.management.lock().await;
        lease.check().map_err(|_| unknown_namespace(namespace))?;
        let begun = self.registry.begin_end_of_namespace(namespace).await;
        begun.map_err(|error| not_changed("delete a namespace", error))?;
        lease.end();
        self.identity.endings.lock().expect("no holder panics").insert(namespace.clone(), lease.clone());
        let directory = self.identity.directory.load().without_namespace(namespace);
        self.identity.directory.store(Arc::new(directory));
        self.forget_functions_of(namespace).await;
        self.forget_triggers_in(namespace).await;
        self.sockets.end_namespace(namespace);
        Ok(())
    }

    async fn forget_functions_of(&self, namespace: &Namespace) {
        let functions = self.functions.load_full();
        let versions = functions.of_namespace(namespace).into_iter().flat_map(|function| function.versions.values());
        let codes: BTreeSet<_> = versions.map(|live| live.version.code.to_string()).collect();
        let codes: Vec<_> = codes.into_iter().filter_map(|code| domain::Cid::parse(&code).ok()).collect();
        self.functions.store(Arc::new(functions.without_namespace(namespace)));
        for code in codes {
            self.forget_unless_used(&code).await;
        }
    }

    /// Finishes what a crash or a fault interrupted. Called at start and by housekeeping.
    pub(crate) async fn finish_endings(&self) {
        let endings = self.identity.endings.lock().expect("no holder panics").clone();
        for (namespace, lease) in endings {
            self.finish_ending(&namespace, &lease).await;
        }
    }

    /// Waits, without keeping others from their changes, until nobody touches what is in the namespace; then removes it.
    async fn finish_ending(&self, namespace: &Namespace, lease: &Arc<Lease>) {
        if !lease.settled(SETTLE_TIME).await {
            return tracing::warn!(%namespace, "something still runs in a deleted namespace: its name is not free yet");
        }
        let _one_at_a_time = self.management.lock().await;
        // Somebody else may have finished it meanwhile, and its name may be another's.
        let known = self.identity.endings.lock().expect("no holder panics").get(namespace).cloned();
        if !known.is_some_and(|known| Arc::ptr_eq(&known, lease)) {
            return;
        }
        match self.remove_stores_of(namespace).await {
            Ok(()) => drop(self.identity.endings.lock().expect("no holder panics").remove(namespace)),
            Err(cause) => {
                tracing::warn!(cause = &*cause as &dyn std::error::Error, %namespace, "failed to delete a namespace whole");
            }
        }
    }

    async fn remove_stores_of(&self, namespace: &Namespace) -> Result<(), BoxError> {
        self.vault.forget(namespace).await;
        self.contents.note_orphans();
        self.egress.forget(namespace);
        self.forget_push(namespace);
        self.pubsub.close(namespace).await;
        self.ephemeral.forget(namespace);
        self.presence.forget(namespace);
        // Those that began while it ended.
        self.sockets.end_namespace(namespace);
        self.caches.remove(namespace).await?;
        self.databases.remove(namespace).await?;
        // The last calls have handed over their records: none comes after these are removed.
        self.writer.flush().await;
        self.records.remove(namespace).await?;
        self.receipts.flush().await;
        self.records.remove_receipts(namespace).await?;
        match self.registry.finish_end_of_namespace(namespace).await {
            Ok(()) | Err(RegistryError::NotFound) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Sets limits and policy; only an operator may.
    pub async fn set_namespace_settings(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        settings: NamespaceSettings,
    ) -> Result<(), Error> {
        self.manage(caller, Scope::Operator, namespace)?;
        let _one_at_a_time = self.management.lock().await;
        let home = self.home(namespace)?;
        let set = self.registry.set_namespace_settings(namespace, &settings).await;
        set.map_err(|error| not_changed("set a namespace", error))?;
        let next = self.identity.directory.load().with_settings(&home, settings);
        self.identity.directory.store(Arc::new(next));
        self.apply_settings(namespace);
        tracing::info!(%namespace, "settings changed");
        Ok(())
    }

    /// Tells everybody who keeps limits of a namespace what they are. Only for who holds the management lock.
    fn apply_settings(&self, namespace: &Namespace) {
        self.functions.store(Arc::new(self.functions.load().with_settings_of(namespace)));
        self.databases.set_limit(namespace, self.settings_of(namespace).database_bytes_max);
    }

    /// Tells the databases their limits: at start, before the first request.
    pub(crate) fn limit_databases(&self) {
        for home in self.identity.directory.load().homes() {
            self.databases.set_limit(&home.stored.name, home.settings.database_bytes_max);
        }
    }

    pub(super) fn home(&self, namespace: &Namespace) -> Result<Arc<Home>, Error> {
        self.identity.directory.load().home(namespace).cloned().ok_or_else(|| unknown_namespace(namespace))
    }

    fn view(&self, home: &Home) -> NamespaceView {
        let stored = home.stored.clone();
        let functions = self.functions.load().of_namespace(&stored.name).len() as u64;
        NamespaceView {
            name: stored.name,
            created_at: stored.created_at,
            created_by: stored.created_by,
            functions,
            settings: stored.settings,
        }
    }
}
