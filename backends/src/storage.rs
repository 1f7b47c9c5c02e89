//! Bytes by content identifier.
//!
//! One product now: files ([`files`]). When Kubo comes, a `Config` enum here chooses between them.

mod files;

pub use files::FileStorage;
pub(crate) use files::{TEMPORARY, path_of, read_verified};

use std::io;
use std::path::Path;

/// Opens the store in the folder `root`, which is created when it does not exist. No other process may use it.
pub fn open(root: &Path) -> io::Result<FileStorage> {
    FileStorage::open(root)
}
