//! Content as files: `<last two characters of the identifier>/<identifier>`, 256 folders at most.
//!
//! A file appears under its identifier whole or not at all, and is synced with its folder before `put` returns. What is
//! read is checked against its identifier, so a damaged file is an error and never wrong bytes; putting the same bytes
//! again repairs it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Cid;
use ports::{Storage, StorageError};

use crate::durable;

/// The folder for files that are being written; its name is longer than those of the others.
pub(crate) const TEMPORARY: &str = "tmp";

/// Content in a folder.
#[derive(Debug, Clone)]
pub struct FileStorage {
    root: Arc<Path>,
}

impl FileStorage {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        durable::create_folder(root)?;
        let temporary = root.join(TEMPORARY);
        durable::create_folder(&temporary)?;
        durable::sweep(&temporary)?;
        Ok(Self { root: root.into() })
    }

    /// Runs `work` where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let storage = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&storage)).await;
        done.map_err(|error| StorageError::Unavailable(error.into()))?
    }

    fn put_blocking(&self, bytes: &[u8]) -> Result<Cid, StorageError> {
        let cid = Cid::of(bytes);
        let path = path_of(&self.root, &cid);
        self.write(&path, bytes).map_err(write_error)?;
        Ok(cid)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        durable::create_folder(folder)?;
        if same_bytes(path, bytes)? {
            // Whoever renamed it here may have died before its name was durable.
            return durable::sync_folder(folder);
        }
        durable::replace(&self.root.join(TEMPORARY).join(durable::temporary_name()), path, bytes)
    }

    fn list_blocking(&self) -> io::Result<Vec<Cid>> {
        let mut found = Vec::new();
        for folder in durable::folders_in(&self.root)? {
            let files = durable::files_in(&folder)?;
            found.extend(files.iter().filter_map(|path| cid_of(path)).filter(|cid| folder.ends_with(fan(cid))));
        }
        Ok(found)
    }
}

/// Where the content of `cid` lies.
pub(crate) fn path_of(root: &Path, cid: &Cid) -> PathBuf {
    root.join(fan(cid)).join(cid.to_string())
}

/// The end of an identifier varies, its start does not.
fn fan(cid: &Cid) -> String {
    let text = cid.to_string();
    text[text.len() - 2..].to_owned()
}

fn cid_of(path: &Path) -> Option<Cid> {
    Cid::parse(path.file_name()?.to_str()?).ok()
}

/// The content of `cid`, verified.
pub(crate) fn read_verified(root: &Path, cid: &Cid) -> Result<Vec<u8>, StorageError> {
    let bytes = std::fs::read(path_of(root, cid)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StorageError::NotFound(*cid),
        _ => StorageError::Unavailable(error.into()),
    })?;
    if Cid::of(&bytes) == *cid { Ok(bytes) } else { Err(StorageError::Corrupt(*cid)) }
}

fn same_bytes(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() == bytes.len() as u64 => Ok(std::fs::read(path)? == bytes),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_error(error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full(error.into()),
        _ => StorageError::Unavailable(error.into()),
    }
}

#[async_trait]
impl Storage for FileStorage {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StorageError> {
        self.blocking(move |storage| storage.put_blocking(&bytes)).await
    }

    async fn get(&self, cid: &Cid) -> Result<Bytes, StorageError> {
        let cid = *cid;
        self.blocking(move |storage| read_verified(&storage.root, &cid)).await.map(Bytes::from)
    }

    async fn delete(&self, cid: &Cid) -> Result<(), StorageError> {
        let cid = *cid;
        self.blocking(move |storage| match std::fs::remove_file(path_of(&storage.root, &cid)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StorageError::Unavailable(error.into())),
            _ => Ok(()),
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Cid>, StorageError> {
        let listed = |storage: &Self| storage.list_blocking().map_err(|error| StorageError::Unavailable(error.into()));
        self.blocking(listed).await
    }
}
