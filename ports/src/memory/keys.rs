use std::collections::HashMap;
use std::sync::Mutex;

use crate::{KEY_BYTES, Keys, KeysError, NodeKey};

/// Keys that differ by purpose and die with the process.
#[derive(Debug, Default)]
pub struct MemoryKeys {
    made: Mutex<HashMap<String, NodeKey>>,
}

impl Keys for MemoryKeys {
    fn node_key(&self, purpose: &str) -> Result<NodeKey, KeysError> {
        let mut made = self.made.lock().expect("no holder panics");
        Ok(made.entry(purpose.to_owned()).or_insert_with(random_key).clone())
    }
}

fn random_key() -> NodeKey {
    let mut bytes = [0; KEY_BYTES];
    let (first, second) = bytes.split_at_mut(16);
    first.copy_from_slice(uuid::Uuid::now_v7().as_bytes());
    second.copy_from_slice(uuid::Uuid::now_v7().as_bytes());
    NodeKey::new(bytes)
}
