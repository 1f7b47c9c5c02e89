//! The secrets of one namespace as calls read them: sealed, in a snapshot that is replaced as a whole.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use domain::{Error, ErrorCode, Namespace, Timestamp};
use ports::{MasterKey, SealedDataKey, SealedSecret, Secret};
use zeroize::Zeroizing;

use super::mask::Mask;
use crate::{internal, seal};

/// What a master key seals data keys with.
pub(super) struct Master {
    pub(super) id: String,
    key: Zeroizing<[u8; 32]>,
}

impl Master {
    pub(super) fn of(master: MasterKey) -> Self {
        Self { key: Zeroizing::new(seal::derive(&master.key, "data-keys")), id: master.id }
    }

    /// Seals a data key for its namespace and id.
    pub(super) fn seal(&self, namespace: &Namespace, id: &str, key: &[u8; 32]) -> Result<Vec<u8>, Error> {
        seal::seal(&self.key, &place_of_key(namespace, id, &self.id), key)
    }

    fn open(&self, row: &SealedDataKey) -> Option<Zeroizing<[u8; 32]>> {
        let opened = seal::open(&self.key, &place_of_key(&row.namespace, &row.id, &self.id), &row.sealed)?;
        Some(Zeroizing::new(opened.as_slice().try_into().ok()?))
    }
}

fn place_of_key<'a>(namespace: &'a Namespace, id: &'a str, master: &'a str) -> [&'a [u8]; 3] {
    [namespace.as_str().as_bytes(), id.as_bytes(), master.as_bytes()]
}

/// A data key, opened.
pub(super) struct DataKey {
    pub(super) id: String,
    /// The id of the master key that it is sealed with.
    pub(super) master: String,
    /// `None` when the stored key is damaged.
    pub(super) key: Option<Zeroizing<[u8; 32]>>,
}

impl DataKey {
    /// Draws a new key and seals it.
    pub(super) fn draw(master: &Master, namespace: &Namespace, now: Timestamp) -> Result<(Self, SealedDataKey), Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(|cause| internal("draw a data key", cause))?;
        let id = uuid::Uuid::now_v7().to_string();
        let row = SealedDataKey {
            sealed: master.seal(namespace, &id, &key)?,
            id: id.clone(),
            namespace: namespace.clone(),
            master: master.id.clone(),
            created_at: now,
        };
        Ok((Self { id, master: master.id.clone(), key: Some(key) }, row))
    }

    pub(super) fn of(row: SealedDataKey, masters: &[Master]) -> Self {
        let key = masters.iter().find(|master| master.id == row.master).and_then(|master| master.open(&row));
        if key.is_none() {
            tracing::error!(namespace = %row.namespace, key = row.id, "a data key is damaged: its secrets cannot be read");
        }
        Self { id: row.id, master: row.master, key }
    }

    /// Seals a secret for its namespace, its name and this key.
    pub(super) fn seal(&self, namespace: &Namespace, name: &str, value: &[u8]) -> Result<Vec<u8>, Error> {
        let key = self.key.as_deref().ok_or_else(|| Error::of(ErrorCode::Corrupt))?;
        seal::seal(key, &place_of_secret(namespace, name, &self.id), value)
    }

    fn open(&self, row: &SealedSecret) -> Option<Secret> {
        let place = place_of_secret(&row.namespace, &row.name, &self.id);
        let mut opened = seal::open(self.key.as_deref()?, &place, &row.sealed)?;
        Some(Secret::new(std::mem::take(&mut *opened)))
    }
}

fn place_of_secret<'a>(namespace: &'a Namespace, name: &'a str, key: &'a str) -> [&'a [u8]; 3] {
    [namespace.as_str().as_bytes(), name.as_bytes(), key.as_bytes()]
}

/// Is this the name of something that the house itself keeps here? No secret has a name with a `/`.
pub(super) fn is_of_the_house(name: &str) -> bool {
    name.contains('/')
}

/// Everything that is known of the secrets of a namespace. Cloning copies pointers, and forgets the mask.
#[derive(Default)]
pub(super) struct Shelf {
    /// Oldest first; the last one seals.
    pub(super) keys: Vec<Arc<DataKey>>,
    pub(super) secrets: BTreeMap<String, Arc<SealedSecret>>,
    /// Made at the first line that might need it: most namespaces log nothing between two changes of their secrets.
    mask: OnceLock<Option<Mask>>,
}

impl Clone for Shelf {
    fn clone(&self) -> Self {
        Self { keys: self.keys.clone(), secrets: self.secrets.clone(), mask: OnceLock::new() }
    }
}

impl Shelf {
    /// The key that seals new secrets: the newest, unless it is damaged.
    pub(super) fn sealing_key(&self) -> Option<&Arc<DataKey>> {
        self.keys.last().filter(|key| key.key.is_some())
    }

    /// The secrets that the namespace itself set.
    pub(super) fn own(&self) -> impl Iterator<Item = (&String, &Arc<SealedSecret>)> {
        self.secrets.iter().filter(|(name, _)| !is_of_the_house(name))
    }

    /// The value of a secret of the namespace.
    pub(super) fn open(&self, name: &str) -> Result<Option<Secret>, Error> {
        let row = self.secrets.get(name).filter(|_| !is_of_the_house(name));
        row.map(|row| self.reveal(row)).transpose()
    }

    /// The value of a secret, if it was sealed as what and where it is found.
    pub(super) fn reveal(&self, row: &SealedSecret) -> Result<Secret, Error> {
        let key = self.keys.iter().find(|key| key.id == row.data_key);
        key.and_then(|key| key.open(row)).ok_or_else(|| {
            tracing::error!(namespace = %row.namespace, name = row.name, "a secret is damaged");
            Error::new(ErrorCode::Corrupt, format!("the secret `{}` is damaged", row.name)).hint("set it again")
        })
    }

    /// What hides the values in texts; `None` when there is nothing to hide.
    pub(super) fn mask(&self) -> Option<&Mask> {
        let values = || self.own().filter_map(|(_, row)| self.reveal(row).ok());
        self.mask.get_or_init(|| if self.own().next().is_none() { None } else { Mask::of(values()) }).as_ref()
    }

    /// The bytes that the values have together, sealing included.
    pub(super) fn sealed_bytes(&self) -> usize {
        self.own().map(|(_, row)| row.sealed.len()).sum()
    }
}
