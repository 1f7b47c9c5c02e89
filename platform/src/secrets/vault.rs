//! Where the secrets of the node lie: sealed rows in memory, opened when a function asks.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::{Error, ErrorCode, Namespace, Record, Timestamp};
use ports::{Keys, MasterKey, Registry, RegistryError, SealedSecret, Secret, Secrets};
use tokio::sync::Mutex;

use super::SecretView;
use super::shelf::{DataKey, Master, Shelf};
use crate::identity::{not_changed, unknown_namespace};
use crate::lease::Lease;
use crate::{OpenError, cannot_read};

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The largest value, in bytes.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// The most secrets of a namespace.
const SECRETS_MAX: usize = 500;
/// The most bytes that the secrets of a namespace have together, sealing included: they stand in memory, and so does what
/// hides them in logs, which is larger.
const NAMESPACE_BYTES_MAX: usize = 1 << 20;

/// Every secret of the node, sealed, and the keys that open them.
pub(crate) struct Vault {
    /// The first seals, all open. At least one.
    pub(super) masters: Vec<Master>,
    shelves: ArcSwap<HashMap<Namespace, Arc<Shelf>>>,
    /// Held by every change, so that snapshots follow the registry in order.
    pub(super) changing: Mutex<()>,
    pub(super) rotating: Mutex<()>,
}

/// A stored key was sealed with a master key that the node does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "{count} stored keys are sealed with the master key `{missing}`, but {source_name} holds only {held}; \
     add that key behind the others, or restore it from a backup"
)]
struct MissingMaster {
    missing: String,
    count: usize,
    held: String,
    source_name: String,
}

impl Vault {
    /// Reads every sealed row. A master key that is missing is an error, before anything is changed.
    pub(crate) async fn load(keys: &dyn Keys, registry: &dyn Registry) -> Result<Self, OpenError> {
        let masters = keys.master_keys().map_err(cannot_read("master keys"))?;
        let data_keys = registry.load_data_keys().await.map_err(cannot_read("keys of secrets"))?;
        let signing_keys = registry.load_signing_keys().await.map_err(cannot_read("signing keys"))?;
        let used = data_keys.iter().map(|key| &key.master).chain(signing_keys.iter().map(|key| &key.master));
        check_masters(&masters, used.collect(), keys).map_err(cannot_read("sealed keys"))?;
        let masters: Vec<Master> = masters.into_iter().map(Master::of).collect();
        let mut shelves = HashMap::<Namespace, Shelf>::new();
        for row in data_keys {
            let shelf = shelves.entry(row.namespace.clone()).or_default();
            shelf.keys.push(Arc::new(DataKey::of(row, &masters)));
        }
        for row in registry.load_secrets().await.map_err(cannot_read("secrets"))? {
            let shelf = shelves.entry(row.namespace.clone()).or_default();
            shelf.secrets.insert(row.name.clone(), Arc::new(row));
        }
        let shelves = shelves.into_iter().map(|(namespace, shelf)| (namespace, Arc::new(shelf)));
        Ok(Self {
            masters,
            shelves: ArcSwap::from_pointee(shelves.collect()),
            changing: Mutex::new(()),
            rotating: Mutex::new(()),
        })
    }

    pub(super) fn shelf(&self, namespace: &Namespace) -> Option<Arc<Shelf>> {
        self.shelves.load().get(namespace).cloned()
    }

    pub(super) fn namespaces(&self) -> Vec<Namespace> {
        let mut namespaces: Vec<_> = self.shelves.load().keys().cloned().collect();
        namespaces.sort();
        namespaces
    }

    /// Replaces what is known of a namespace. Only for who holds `changing`.
    pub(super) fn change(&self, namespace: &Namespace, change: impl FnOnce(&mut Shelf)) {
        let mut shelf = self.shelf(namespace).map(|shelf| Shelf::clone(&shelf)).unwrap_or_default();
        change(&mut shelf);
        let mut next = HashMap::clone(&self.shelves.load());
        next.insert(namespace.clone(), Arc::new(shelf));
        self.shelves.store(Arc::new(next));
    }

    /// Forgets a namespace whose rows are gone.
    pub(crate) async fn forget(&self, namespace: &Namespace) {
        let _changing = self.changing.lock().await;
        let mut next = HashMap::clone(&self.shelves.load());
        next.remove(namespace);
        self.shelves.store(Arc::new(next));
    }

    pub(super) async fn set(
        &self,
        registry: &dyn Registry,
        now: Timestamp,
        namespace: &Namespace,
        name: &str,
        value: &[u8],
    ) -> Result<(), Error> {
        check_name(name)?;
        check_value(value)?;
        let _changing = self.changing.lock().await;
        let shelf = self.shelf(namespace).unwrap_or_default();
        check_room(&shelf, name, value)?;
        self.seal_and_put(registry, now, namespace, name, value).await
    }

    /// Only for who holds `changing`.
    async fn seal_and_put(
        &self,
        registry: &dyn Registry,
        now: Timestamp,
        namespace: &Namespace,
        name: &str,
        value: &[u8],
    ) -> Result<(), Error> {
        let shelf = self.shelf(namespace).unwrap_or_default();
        let key = match shelf.sealing_key() {
            Some(key) => key.clone(),
            None => self.add_key(registry, now, namespace).await?,
        };
        let earlier = shelf.secrets.get(name);
        let row = SealedSecret {
            namespace: namespace.clone(),
            name: name.to_owned(),
            data_key: key.id.clone(),
            sealed: key.seal(namespace, name, value)?,
            created_at: earlier.map_or(now, |earlier| earlier.created_at),
            updated_at: now,
        };
        self.put(registry, row).await
    }

    /// Stores a sealed secret. Only for who holds `changing`.
    pub(super) async fn put(&self, registry: &dyn Registry, row: SealedSecret) -> Result<(), Error> {
        let stored = registry.put_secret(row.clone()).await;
        stored.map_err(|error| refused("store a secret", &row.namespace, error))?;
        let namespace = row.namespace.clone();
        self.change(&namespace, |shelf| drop(shelf.secrets.insert(row.name.clone(), Arc::new(row))));
        Ok(())
    }

    /// Makes the key that seals from now on. Only for who holds `changing`.
    pub(super) async fn add_key(
        &self,
        registry: &dyn Registry,
        now: Timestamp,
        namespace: &Namespace,
    ) -> Result<Arc<DataKey>, Error> {
        let (key, row) = DataKey::draw(&self.masters[0], namespace, now)?;
        let stored = registry.create_data_key(row).await;
        stored.map_err(|error| refused("store a data key", namespace, error))?;
        let key = Arc::new(key);
        self.change(namespace, |shelf| shelf.keys.push(key.clone()));
        Ok(key)
    }

    pub(super) fn list(&self, namespace: &Namespace) -> Vec<SecretView> {
        let shelf = self.shelf(namespace).unwrap_or_default();
        let view = |(_, row): (&String, &Arc<SealedSecret>)| SecretView {
            name: row.name.clone(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        shelf.own().map(view).collect()
    }

    /// Keeps something of the house's own beside the secrets of a namespace: sealed like them, rotated and deleted with them, and
    /// neither listed nor told to functions. `name` has a `/`, which no secret's has.
    pub(crate) async fn keep(
        &self,
        registry: &dyn Registry,
        now: Timestamp,
        namespace: &Namespace,
        name: &'static str,
        value: &[u8],
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        self.seal_and_put(registry, now, namespace, name, value).await
    }

    /// Forgets what [`Vault::keep`] keeps, if there is anything.
    pub(crate) async fn drop_kept(
        &self,
        registry: &dyn Registry,
        namespace: &Namespace,
        name: &'static str,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        match self.kept(namespace, name) {
            Some(_) => self.remove(registry, namespace, name).await,
            None => Ok(()),
        }
    }

    /// What [`Vault::keep`] keeps, sealed. As long as it is not changed, this is the same pointer.
    pub(crate) fn kept(&self, namespace: &Namespace, name: &'static str) -> Option<Arc<SealedSecret>> {
        self.shelf(namespace)?.secrets.get(name).cloned()
    }

    pub(crate) fn reveal(&self, row: &SealedSecret) -> Result<Secret, Error> {
        self.shelf(&row.namespace).unwrap_or_default().reveal(row)
    }

    pub(super) async fn delete(&self, registry: &dyn Registry, namespace: &Namespace, name: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let known = self.shelf(namespace).is_some_and(|shelf| shelf.own().any(|(known, _)| known == name));
        if !known {
            return Err(Error::not_found("secret not found"));
        }
        self.remove(registry, namespace, name).await
    }

    /// Only for who holds `changing`.
    async fn remove(&self, registry: &dyn Registry, namespace: &Namespace, name: &str) -> Result<(), Error> {
        match registry.delete_secret(namespace, name).await {
            // Whatever took it away, it is gone, and so it must be here.
            Ok(()) | Err(RegistryError::NotFound) => {}
            Err(error) => return Err(refused("delete a secret", namespace, error)),
        }
        self.change(namespace, |shelf| drop(shelf.secrets.remove(name)));
        Ok(())
    }

    fn masked(&self, namespace: &Namespace, text: &str) -> Option<String> {
        self.shelf(namespace)?.mask()?.apply(text)
    }

    /// The record without the value of any secret of its namespace.
    pub(crate) fn mask_record(&self, record: &mut Record) {
        let Some(shelf) = self.shelf(&record.namespace) else { return };
        let Some(mask) = shelf.mask() else { return };
        let errors = record.attempts.iter_mut().filter_map(|attempt| attempt.error.as_mut());
        let lines = record.logs.iter_mut().map(|line| &mut line.message);
        for text in lines.chain(errors).chain(&mut record.error_message) {
            if let Some(masked) = mask.apply(text) {
                *text = masked;
            }
        }
    }

    /// The error without the value of any secret of the namespace.
    pub(crate) fn mask_error(&self, namespace: &Namespace, mut error: Error) -> Error {
        for text in [Some(&mut error.message), error.hint.as_mut()].into_iter().flatten() {
            if let Some(masked) = self.masked(namespace, text) {
                *text = masked;
            }
        }
        error
    }
}

fn check_masters(masters: &[MasterKey], used: Vec<&String>, keys: &dyn Keys) -> Result<(), MissingMaster> {
    let known = |id: &str| masters.iter().any(|master| master.id == id);
    let Some(missing) = used.iter().find(|id| !known(id)) else { return Ok(()) };
    let held: Vec<_> = masters.iter().map(|master| format!("`{}`", master.id)).collect();
    Err(MissingMaster {
        missing: missing.to_string(),
        count: used.iter().filter(|id| *id == missing).count(),
        held: held.join(", "),
        source_name: keys.master_source(),
    })
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let valid = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) && ![".", ".."].contains(&name);
    if valid {
        return Ok(());
    }
    Err(Error::invalid(format!("the name of a secret is 1 to {NAME_BYTES_MAX} letters, digits, `_`, `.` and `-`")))
}

fn check_value(value: &[u8]) -> Result<(), Error> {
    match value.len() {
        0 => Err(Error::invalid("the value of a secret is empty; to remove it, delete it")),
        size if size > VALUE_BYTES_MAX => {
            let message = format!("the value is {size} bytes, the limit for a secret is {VALUE_BYTES_MAX}");
            Err(Error::new(ErrorCode::PayloadTooLarge, message))
        }
        _ => Ok(()),
    }
}

fn check_room(shelf: &Shelf, name: &str, value: &[u8]) -> Result<(), Error> {
    let earlier = shelf.secrets.get(name);
    if earlier.is_none() && shelf.own().count() >= SECRETS_MAX {
        let message = format!("the namespace has {SECRETS_MAX} secrets, which is the limit; delete one first");
        return Err(Error::new(ErrorCode::Conflict, message));
    }
    let others = shelf.sealed_bytes() - earlier.map_or(0, |earlier| earlier.sealed.len());
    if others + value.len() > NAMESPACE_BYTES_MAX {
        let message = format!("the secrets of a namespace have at most {NAMESPACE_BYTES_MAX} bytes together");
        return Err(Error::new(ErrorCode::PayloadTooLarge, message));
    }
    Ok(())
}

/// The only thing that the registry does not find where nothing but secrets is changed is their namespace.
fn refused(doing: &str, namespace: &Namespace, error: RegistryError) -> Error {
    match error {
        RegistryError::NotFound => unknown_namespace(namespace),
        error => not_changed(doing, error),
    }
}

/// What stands for a text in which nobody can look for secrets any more.
const HIDDEN: &str = "***";

/// The secrets of one namespace, as its functions have them.
pub(crate) struct NamespaceSecrets {
    vault: Arc<Vault>,
    namespace: Namespace,
    lease: Arc<Lease>,
}

impl NamespaceSecrets {
    pub(crate) fn new(vault: Arc<Vault>, namespace: Namespace, lease: Arc<Lease>) -> Self {
        Self { vault, namespace, lease }
    }
}

impl Secrets for NamespaceSecrets {
    fn get(&self, name: &str) -> Result<Option<Secret>, Error> {
        let _held = self.lease.hold()?;
        match self.vault.shelf(&self.namespace) {
            Some(shelf) => shelf.open(name),
            None => Ok(None),
        }
    }

    fn mask(&self, text: &str) -> Option<String> {
        match self.lease.hold() {
            Ok(_held) => self.vault.masked(&self.namespace, text),
            Err(_) => Some(HIDDEN.to_owned()),
        }
    }
}
