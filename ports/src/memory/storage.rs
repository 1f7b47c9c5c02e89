use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Cid;

use crate::{Storage, StorageError};

/// Content in a map.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    content: Mutex<HashMap<Cid, Bytes>>,
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StorageError> {
        let cid = Cid::of(&bytes);
        self.content.lock().expect("no holder panics").insert(cid, bytes);
        Ok(cid)
    }

    async fn get(&self, cid: &Cid) -> Result<Bytes, StorageError> {
        let content = self.content.lock().expect("no holder panics");
        content.get(cid).cloned().ok_or(StorageError::NotFound(*cid))
    }

    async fn delete(&self, cid: &Cid) -> Result<(), StorageError> {
        self.content.lock().expect("no holder panics").remove(cid);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Cid>, StorageError> {
        Ok(self.content.lock().expect("no holder panics").keys().copied().collect())
    }
}
