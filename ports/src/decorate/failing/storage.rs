use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Cid;

use super::{Failing, Faults};
use crate::{Content, Storage, StorageError, Upload};

#[async_trait]
impl<P: Storage> Storage for Failing<P> {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StorageError> {
        self.faults.check("put").map_err(StorageError::Full)?;
        self.inner.put(bytes).await
    }

    async fn get(&self, cid: &Cid) -> Result<Bytes, StorageError> {
        self.faults.check("get").map_err(StorageError::Unavailable)?;
        self.inner.get(cid).await
    }

    async fn delete(&self, cid: &Cid) -> Result<(), StorageError> {
        self.faults.check("delete").map_err(StorageError::Unavailable)?;
        self.inner.delete(cid).await
    }

    async fn begin(&self) -> Result<Box<dyn Upload>, StorageError> {
        self.faults.check("begin").map_err(StorageError::Unavailable)?;
        Ok(Box::new(FailingUpload { inner: self.inner.begin().await?, faults: self.faults.clone() }))
    }

    async fn open(&self, cid: &Cid) -> Result<Box<dyn Content>, StorageError> {
        self.faults.check("open").map_err(StorageError::Unavailable)?;
        Ok(Box::new(FailingContent { inner: self.inner.open(cid).await?, faults: self.faults.clone() }))
    }

    async fn list(&self) -> Result<Vec<Cid>, StorageError> {
        self.faults.check("list").map_err(StorageError::Unavailable)?;
        self.inner.list().await
    }
}

struct FailingUpload {
    inner: Box<dyn Upload>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Upload for FailingUpload {
    async fn write(&mut self, piece: Bytes) -> Result<(), StorageError> {
        self.faults.check("write").map_err(StorageError::Full)?;
        self.inner.write(piece).await
    }

    async fn finish(self: Box<Self>) -> Result<(Cid, u64), StorageError> {
        self.faults.check("finish").map_err(StorageError::Full)?;
        self.inner.finish().await
    }
}

struct FailingContent {
    inner: Box<dyn Content>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Content for FailingContent {
    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    async fn read(&self, offset: u64, bytes_max: usize) -> Result<Bytes, StorageError> {
        self.faults.check("read").map_err(StorageError::Unavailable)?;
        self.inner.read(offset, bytes_max).await
    }
}
