//! The control plane in maps: one lock, and every method holds it once.

mod audit;
mod chain;
mod contents;
mod domains;
mod functions;
mod identities;
mod jobs;
mod namespaces;
mod push;
mod secrets;
mod triggers;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use domain::{AuditEvent, Cid, FunctionName, Namespace, NamespaceSettings, Timestamp, Trigger};

use crate::{
    App, Claim, ContentInfo, InboxMessage, Owner, RegistryError, SealedDataKey, SealedSecret, StoredChainCode,
    StoredDevice, StoredDomain, StoredKey, StoredNamespace, StoredOutcome, StoredSigningKey,
};

/// The control plane in maps. It has the namespace `default` from the start.
#[derive(Debug)]
pub struct MemoryRegistry {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    namespaces: BTreeMap<Namespace, StoredNamespace>,
    owners: BTreeMap<(Namespace, String), Owner>,
    functions: BTreeMap<(Namespace, FunctionName), functions::Entry>,
    replies: HashMap<functions::ReplyKey, (Claim, Option<StoredOutcome>)>,
    keys: Vec<StoredKey>,
    nonces: HashMap<[u8; 32], Timestamp>,
    refresh: HashMap<[u8; 32], identities::KeptToken>,
    families: BTreeMap<String, identities::Family>,
    claims: BTreeMap<(Namespace, String), BTreeMap<String, String>>,
    signing_keys: Vec<StoredSigningKey>,
    apps: Vec<App>,
    data_keys: Vec<SealedDataKey>,
    secrets: BTreeMap<(Namespace, String), SealedSecret>,
    contents: BTreeMap<(Namespace, Cid), ContentInfo>,
    chain_codes: BTreeMap<[u8; 32], StoredChainCode>,
    triggers: Vec<Trigger>,
    deliveries: Vec<triggers::KeptDelivery>,
    jobs: Vec<jobs::KeptJob>,
    devices: Vec<StoredDevice>,
    inbox: BTreeMap<(Namespace, String), InboxMessage>,
    domains: BTreeMap<(String, Namespace), StoredDomain>,
    audit: Vec<AuditEvent>,
}

impl Default for MemoryRegistry {
    fn default() -> Self {
        let name = Namespace::default_namespace();
        let default = StoredNamespace {
            name: name.clone(),
            created_at: Timestamp::UNIX_EPOCH,
            created_by: "node".to_owned(),
            settings: NamespaceSettings::default(),
            ending: false,
        };
        let namespaces = BTreeMap::from([(name, default)]);
        Self { kept: Mutex::new(Kept { namespaces, ..Kept::default() }) }
    }
}

impl MemoryRegistry {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder panics")
    }
}

impl Kept {
    /// A namespace that is not there, or is ending, takes nothing new.
    fn living(&mut self, namespace: &Namespace) -> Result<&mut StoredNamespace, RegistryError> {
        let found = self.namespaces.get_mut(namespace);
        found.filter(|namespace| !namespace.ending).ok_or(RegistryError::NotFound)
    }
}
