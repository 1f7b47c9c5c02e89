use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use domain::Cid;

use crate::{Content, Storage, StorageError, Upload};

type Contents = Arc<Mutex<HashMap<Cid, Bytes>>>;

/// Content in a map.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    content: Contents,
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StorageError> {
        Ok(insert(&self.content, bytes))
    }

    async fn get(&self, cid: &Cid) -> Result<Bytes, StorageError> {
        let content = self.content.lock().expect("no holder panics");
        content.get(cid).cloned().ok_or(StorageError::NotFound(*cid))
    }

    async fn delete(&self, cid: &Cid) -> Result<(), StorageError> {
        self.content.lock().expect("no holder panics").remove(cid);
        Ok(())
    }

    async fn begin(&self) -> Result<Box<dyn Upload>, StorageError> {
        Ok(Box::new(MemoryUpload { content: self.content.clone(), written: BytesMut::new() }))
    }

    async fn open(&self, cid: &Cid) -> Result<Box<dyn Content>, StorageError> {
        Ok(Box::new(MemoryContent(self.get(cid).await?)))
    }

    async fn list(&self) -> Result<Vec<Cid>, StorageError> {
        Ok(self.content.lock().expect("no holder panics").keys().copied().collect())
    }
}

fn insert(content: &Contents, bytes: Bytes) -> Cid {
    let cid = Cid::of(&bytes);
    content.lock().expect("no holder panics").insert(cid, bytes);
    cid
}

struct MemoryUpload {
    content: Contents,
    written: BytesMut,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, piece: Bytes) -> Result<(), StorageError> {
        self.written.extend_from_slice(&piece);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(Cid, u64), StorageError> {
        let bytes = self.written.len() as u64;
        Ok((insert(&self.content, self.written.freeze()), bytes))
    }
}

struct MemoryContent(Bytes);

#[async_trait]
impl Content for MemoryContent {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, offset: u64, bytes_max: usize) -> Result<Bytes, StorageError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(bytes_max).min(self.0.len());
        Ok(self.0.slice(start..end))
    }
}
