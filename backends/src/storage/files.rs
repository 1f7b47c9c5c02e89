//! Content as files: `<last two characters of the identifier>/<identifier>`, 256 folders at most.
//!
//! A file appears under its identifier whole or not at all, and is synced with its folder before `put` or `finish` returns.
//! What is read is checked against its identifier, so a damaged file is an error and never wrong bytes; putting the same
//! bytes again repairs it. Beside content of more than one chunk lie the hashes of its chunks (`leaves`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Cid;
use ports::{Content, Storage, StorageError, Upload};

use super::content::FileContent;
use super::leaves::{self, Leaves};
use super::upload::FileUpload;
use super::{blocking, unavailable, write_error};
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
        work: impl FnOnce(&Path) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let root = self.root.clone();
        blocking(move || work(&root)).await
    }
}

#[async_trait]
impl Storage for FileStorage {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StorageError> {
        self.blocking(move |root| put(root, &bytes).map_err(write_error)).await
    }

    async fn get(&self, cid: &Cid) -> Result<Bytes, StorageError> {
        let cid = *cid;
        self.blocking(move |root| read_verified(root, &cid)).await.map(Bytes::from)
    }

    async fn delete(&self, cid: &Cid) -> Result<(), StorageError> {
        let path = path_of(&self.root, cid);
        self.blocking(move |_| {
            // Its leaves first: content without them is content, leaves without content are nothing.
            remove(&leaves::path_of(&path)).and_then(|()| remove(&path)).map_err(unavailable)
        })
        .await
    }

    async fn begin(&self) -> Result<Box<dyn Upload>, StorageError> {
        let upload = self.blocking(|root| FileUpload::begin(root).map_err(write_error)).await?;
        Ok(Box::new(upload))
    }

    async fn open(&self, cid: &Cid) -> Result<Box<dyn Content>, StorageError> {
        let cid = *cid;
        let content = self.blocking(move |root| FileContent::open(root, &cid)).await?;
        Ok(Box::new(content))
    }

    async fn list(&self) -> Result<Vec<Cid>, StorageError> {
        self.blocking(|root| list(root).map_err(unavailable)).await
    }
}

fn put(root: &Path, bytes: &[u8]) -> io::Result<Cid> {
    let leaves = Leaves::of(bytes);
    let cid = leaves.cid();
    let path = path_of(root, &cid);
    let folder = create_fan(root, &cid)?;
    if same_bytes(&path, bytes)? {
        // Whoever renamed it here may have died before its name was durable.
        durable::sync_folder(&folder)?;
    } else {
        durable::replace(&root.join(TEMPORARY).join(durable::temporary_name()), &path, bytes)?;
    }
    leaves.keep(root, &path);
    Ok(cid)
}

fn list(root: &Path) -> io::Result<Vec<Cid>> {
    let mut found = Vec::new();
    for folder in durable::folders_in(root)? {
        let files = durable::files_in(&folder)?;
        found.extend(files.iter().filter_map(|path| cid_of(path)).filter(|cid| folder.ends_with(fan(cid))));
    }
    Ok(found)
}

/// The content of `cid`, verified.
fn read_verified(root: &Path, cid: &Cid) -> Result<Vec<u8>, StorageError> {
    let bytes = std::fs::read(path_of(root, cid)).map_err(|error| read_error(cid, error))?;
    if Cid::of(&bytes) == *cid { Ok(bytes) } else { Err(StorageError::Corrupt(*cid)) }
}

/// Reads the content of `cid` once, chunk by chunk, and returns its size.
pub(crate) fn verify(root: &Path, cid: &Cid) -> Result<u64, StorageError> {
    let file = open_file(root, cid)?;
    Leaves::read(&file).map_err(unavailable)?.verified(cid).map(|leaves| leaves.bytes())
}

pub(super) fn open_file(root: &Path, cid: &Cid) -> Result<File, StorageError> {
    File::open(path_of(root, cid)).map_err(|error| read_error(cid, error))
}

fn read_error(cid: &Cid, error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::NotFound => StorageError::NotFound(*cid),
        _ => unavailable(error),
    }
}

/// Creates the folder of a content's file, unless it is there.
pub(super) fn create_fan(root: &Path, cid: &Cid) -> io::Result<PathBuf> {
    let folder = root.join(fan(cid));
    durable::create_folder(&folder)?;
    Ok(folder)
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

fn same_bytes(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() == bytes.len() as u64 => Ok(std::fs::read(path)? == bytes),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
