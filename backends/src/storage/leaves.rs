//! The hashes of the chunks of a file, so that a piece of it can be verified without reading the whole.
//!
//! They lie beside content of more than one chunk, as `<identifier>.leaves`: 32 bytes for each chunk. That file is no second
//! truth: it counts only when its hashes add up to the identifier, and it is made again from the content when it is
//! missing or wrong. So it is not synced, and it is no error when it cannot be written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use domain::{CHUNK_BYTES, Cid, CidBuilder, Leaf};
use ports::StorageError;

use super::files::TEMPORARY;
use crate::durable;

const SUFFIX: &str = ".leaves";
const HASH_BYTES: usize = 32;

/// The hashes of the chunks of one content: a 8192nd of its size.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    hashes: Vec<[u8; HASH_BYTES]>,
    bytes: u64,
}

impl Leaves {
    pub fn of(content: &[u8]) -> Self {
        let mut leaves = Self::default();
        content.chunks(CHUNK_BYTES).for_each(|chunk| leaves.push(chunk));
        leaves
    }

    /// Reads a file to its end.
    pub fn read(file: &File) -> io::Result<Self> {
        let mut leaves = Self::default();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = read_chunk(file, &mut chunk, leaves.bytes)?;
            if read > 0 {
                leaves.push(&chunk[..read]);
            }
            if read < CHUNK_BYTES {
                return Ok(leaves);
            }
        }
    }

    /// The leaves that lie beside the content of `cid`, if they are those of it.
    pub fn kept(path: &Path, cid: &Cid, bytes: u64) -> Option<Self> {
        let file = File::open(self::path_of(path)).ok()?;
        let count = usize::try_from(bytes.div_ceil(CHUNK_BYTES as u64)).ok()?;
        if file.metadata().ok()?.len() != count as u64 * HASH_BYTES as u64 {
            return None;
        }
        let mut hashes = vec![[0; HASH_BYTES]; count];
        file.read_exact_at(hashes.as_flattened_mut(), 0).ok()?;
        Self { hashes, bytes }.verified(cid).ok()
    }

    /// Adds the next chunk; every one but the last is whole.
    pub fn push(&mut self, chunk: &[u8]) {
        self.hashes.push(*Leaf::of(chunk).digest());
        self.bytes += chunk.len() as u64;
    }

    /// The size of the content.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The identifier of the content.
    pub fn cid(&self) -> Cid {
        let mut builder = CidBuilder::new();
        for (index, hash) in self.hashes.iter().enumerate() {
            builder.push(Leaf::known(*hash, self.chunk_bytes(index) as u64));
        }
        builder.finish()
    }

    /// Itself, if it is the leaves of `cid`.
    pub fn verified(self, cid: &Cid) -> Result<Self, StorageError> {
        if self.cid() == *cid { Ok(self) } else { Err(StorageError::Corrupt(*cid)) }
    }

    /// The size of a chunk.
    pub fn chunk_bytes(&self, index: usize) -> usize {
        let before = index as u64 * CHUNK_BYTES as u64;
        self.bytes.saturating_sub(before).min(CHUNK_BYTES as u64) as usize
    }

    /// Are these the bytes of a chunk?
    pub fn verifies(&self, index: usize, chunk: &[u8]) -> bool {
        self.hashes.get(index).is_some_and(|hash| hash == Leaf::of(chunk).digest())
    }

    /// Writes them beside the content at `path`, where that helps.
    pub fn keep(&self, root: &Path, path: &Path) {
        if self.hashes.len() > 1 {
            // Whoever opens the content tries again.
            let _ = self.write(&root.join(TEMPORARY).join(durable::temporary_name()), &path_of(path));
        }
    }

    fn write(&self, temporary: &Path, path: &Path) -> io::Result<()> {
        let written = self.write_file(temporary).and_then(|()| std::fs::rename(temporary, path));
        written.inspect_err(|_| drop(std::fs::remove_file(temporary)))
    }

    fn write_file(&self, path: &Path) -> io::Result<()> {
        let file = durable::private_file().create_new(true).open(path)?;
        file.write_all_at(self.hashes.as_flattened(), 0)
    }
}

/// Where the leaves of the content at `path` lie.
pub(super) fn path_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// The content that a file of leaves belongs to, by its name.
pub(crate) fn owner_of_leaves(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    Some(file.with_file_name(name))
}

/// Fills `chunk` from `offset`; less only at the end of the file.
fn read_chunk(file: &File, chunk: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read_at(&mut chunk[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
