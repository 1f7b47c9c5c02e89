use std::collections::HashMap;
use std::sync::Mutex;

use crate::{KEY_BYTES, Keys, KeysError, MasterKey, NodeKey};

/// Keys that differ by purpose and die with the process.
#[derive(Debug)]
pub struct MemoryKeys {
    made: Mutex<HashMap<String, NodeKey>>,
    /// Newest first.
    masters: Mutex<Vec<MasterKey>>,
    published: Mutex<Option<Vec<u8>>>,
}

impl Default for MemoryKeys {
    fn default() -> Self {
        Self { made: Mutex::default(), masters: Mutex::new(vec![random_master()]), published: Mutex::default() }
    }
}

impl MemoryKeys {
    /// Puts a new master key in front of the others.
    pub fn add_master(&self) {
        self.masters.lock().expect("no holder panics").insert(0, random_master());
    }

    /// Forgets every master key but the first.
    pub fn forget_old_masters(&self) {
        self.masters.lock().expect("no holder panics").truncate(1);
    }
}

impl Keys for MemoryKeys {
    fn node_key(&self, purpose: &str) -> Result<NodeKey, KeysError> {
        let mut made = self.made.lock().expect("no holder panics");
        Ok(made.entry(purpose.to_owned()).or_insert_with(random_key).clone())
    }

    fn signer(&self, purpose: &str) -> Result<NodeKey, KeysError> {
        self.node_key(&format!("{purpose}.signer"))
    }

    fn replace_signer(&self, purpose: &str, key: &NodeKey) -> Result<(), KeysError> {
        self.made.lock().expect("no holder panics").insert(format!("{purpose}.signer"), key.clone());
        Ok(())
    }

    fn published(&self) -> Result<Option<Vec<u8>>, KeysError> {
        Ok(self.published.lock().expect("no holder panics").clone())
    }

    fn publish(&self, document: &[u8]) -> Result<(), KeysError> {
        *self.published.lock().expect("no holder panics") = Some(document.to_vec());
        Ok(())
    }

    fn master_keys(&self) -> Result<Vec<MasterKey>, KeysError> {
        Ok(self.masters.lock().expect("no holder panics").clone())
    }
}

fn random_master() -> MasterKey {
    MasterKey { id: uuid::Uuid::now_v7().to_string(), key: random_key() }
}

fn random_key() -> NodeKey {
    let mut bytes = [0; KEY_BYTES];
    let (first, second) = bytes.split_at_mut(16);
    first.copy_from_slice(uuid::Uuid::now_v7().as_bytes());
    second.copy_from_slice(uuid::Uuid::now_v7().as_bytes());
    NodeKey::new(bytes)
}
