//! Content on its way out: one chunk at a time, each verified before any of it is handed on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{CHUNK_BYTES, Cid};
use ports::{Content, StorageError};

use super::files::{open_file, path_of};
use super::leaves::Leaves;
use super::{blocking, unavailable};

/// An open file of content. It stays whole when the content is deleted or stored again meanwhile.
pub(super) struct FileContent {
    file: Arc<VerifiedFile>,
    /// The last chunk that was read: who reads in smaller pieces comes back for the rest of it.
    last: Mutex<Option<(usize, Bytes)>>,
}

struct VerifiedFile {
    cid: Cid,
    file: File,
    leaves: Leaves,
}

impl FileContent {
    /// Opens the content of `cid` and makes sure of its size and of the hashes of its chunks.
    pub fn open(root: &Path, cid: &Cid) -> Result<Self, StorageError> {
        let file = open_file(root, cid)?;
        let leaves = if cid.is_leaf() { only_leaf(&file, cid)? } else { all_leaves(root, &file, cid)? };
        let file = VerifiedFile { cid: *cid, file, leaves };
        Ok(Self { file: Arc::new(file), last: Mutex::default() })
    }

    async fn chunk(&self, index: usize) -> Result<Bytes, StorageError> {
        if let Some((_, chunk)) = self.last.lock().expect("no holder panics").as_ref().filter(|last| last.0 == index) {
            return Ok(chunk.clone());
        }
        let file = self.file.clone();
        let chunk = blocking(move || file.read_chunk(index)).await?;
        *self.last.lock().expect("no holder panics") = Some((index, chunk.clone()));
        Ok(chunk)
    }
}

fn only_leaf(file: &File, cid: &Cid) -> Result<Leaves, StorageError> {
    // Its size first: a damaged file may be much larger than one chunk.
    if file.metadata().map_err(unavailable)?.len() > CHUNK_BYTES as u64 {
        return Err(StorageError::Corrupt(*cid));
    }
    Leaves::read(file).map_err(unavailable)?.verified(cid)
}

fn all_leaves(root: &Path, file: &File, cid: &Cid) -> Result<Leaves, StorageError> {
    let path = path_of(root, cid);
    let bytes = file.metadata().map_err(unavailable)?.len();
    if let Some(leaves) = Leaves::kept(&path, cid, bytes) {
        return Ok(leaves);
    }
    let leaves = Leaves::read(file).map_err(unavailable)?.verified(cid)?;
    leaves.keep(root, &path);
    Ok(leaves)
}

impl VerifiedFile {
    fn read_chunk(&self, index: usize) -> Result<Bytes, StorageError> {
        let mut chunk = vec![0; self.leaves.chunk_bytes(index)];
        let read = self.file.read_exact_at(&mut chunk, index as u64 * CHUNK_BYTES as u64);
        match read {
            Ok(()) if self.leaves.verifies(index, &chunk) => Ok(chunk.into()),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unavailable(error)),
            _ => Err(StorageError::Corrupt(self.cid)),
        }
    }
}

#[async_trait]
impl Content for FileContent {
    fn bytes(&self) -> u64 {
        self.file.leaves.bytes()
    }

    async fn read(&self, offset: u64, bytes_max: usize) -> Result<Bytes, StorageError> {
        if offset >= self.bytes() || bytes_max == 0 {
            return Ok(Bytes::new());
        }
        let chunk = self.chunk((offset / CHUNK_BYTES as u64) as usize).await?;
        let start = (offset % CHUNK_BYTES as u64) as usize;
        let end = start.saturating_add(bytes_max).min(chunk.len());
        Ok(chunk.slice(start..end))
    }
}
