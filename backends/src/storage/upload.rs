//! Content on its way in: hashed and written chunk by chunk to a temporary file, which gets its name when the identifier is
//! known. Memory holds one chunk and the hashes of the others.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{CHUNK_BYTES, Cid};
use ports::{StorageError, Upload};
use tokio::runtime::Handle;

use super::files::{TEMPORARY, create_fan, path_of};
use super::leaves::Leaves;
use super::{blocking, write_error};
use crate::durable;

pub(super) struct FileUpload {
    /// `None` once a write has failed or was given up half-way: what the file then holds is not known.
    written: Option<Written>,
}

impl FileUpload {
    pub fn begin(root: &Path) -> io::Result<Self> {
        let temporary = Temporary::create(root)?;
        let written = Written { root: root.to_owned(), temporary, leaves: Leaves::default(), chunk: Vec::new() };
        Ok(Self { written: Some(written) })
    }

    fn take(&mut self) -> Result<Written, StorageError> {
        self.written.take().ok_or_else(|| StorageError::Unavailable("an earlier write of this upload failed".into()))
    }
}

impl Drop for FileUpload {
    fn drop(&mut self) {
        let Some(abandoned) = self.written.take() else { return };
        // To remove a large file takes a while, which is not for the thread that serves requests.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(abandoned));
        }
    }
}

#[async_trait]
impl Upload for FileUpload {
    async fn write(&mut self, piece: Bytes) -> Result<(), StorageError> {
        let mut written = self.take()?;
        if written.chunk.len() + piece.len() < CHUNK_BYTES {
            written.chunk.extend_from_slice(&piece);
        } else {
            written = blocking(move || written.with(&piece).map_err(write_error)).await?;
        }
        self.written = Some(written);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(Cid, u64), StorageError> {
        let written = self.take()?;
        blocking(move || written.finish().map_err(write_error)).await
    }
}

struct Written {
    root: PathBuf,
    temporary: Temporary,
    leaves: Leaves,
    /// The begin of the next chunk, shorter than a whole one.
    chunk: Vec<u8>,
}

impl Written {
    /// With another piece of any size.
    fn with(mut self, mut piece: &[u8]) -> io::Result<Self> {
        while self.chunk.len() + piece.len() >= CHUNK_BYTES {
            let (rest, later) = piece.split_at(CHUNK_BYTES - self.chunk.len());
            self.chunk.extend_from_slice(rest);
            self.write_chunk()?;
            piece = later;
        }
        self.chunk.extend_from_slice(piece);
        Ok(self)
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        self.temporary.file.write_all(&self.chunk)?;
        self.leaves.push(&self.chunk);
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<(Cid, u64)> {
        if !self.chunk.is_empty() {
            self.write_chunk()?;
        }
        let cid = self.leaves.cid();
        let folder = create_fan(&self.root, &cid)?;
        let path = path_of(&self.root, &cid);
        // Also over a file that is there already: it may be damaged, and the bytes are the same if not.
        self.temporary.rename_synced(&path)?;
        durable::sync_folder(&folder)?;
        self.leaves.keep(&self.root, &path);
        Ok((cid, self.leaves.bytes()))
    }
}

/// A file that is gone when it is dropped, unless it was given a name.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn create(root: &Path) -> io::Result<Self> {
        let path = root.join(TEMPORARY).join(durable::temporary_name());
        let file = durable::private_file().create_new(true).open(&path)?;
        Ok(Self { path, file })
    }

    fn rename_synced(&self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, to)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Not there under this name once it was renamed. What cannot be removed is swept at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}
