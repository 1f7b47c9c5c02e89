//! Bytes by content identifier.
//!
//! One product now: files ([`files`]). When Kubo comes, a `Config` enum here chooses between them.

mod content;
mod files;
mod leaves;
mod upload;

pub use files::FileStorage;
pub(crate) use files::{TEMPORARY, path_of, verify};
pub(crate) use leaves::owner_of_leaves;

use std::io;
use std::path::Path;

use ports::StorageError;

/// Opens the store in the folder `root`, which is created when it does not exist. No other process may use it.
pub fn open(root: &Path) -> io::Result<FileStorage> {
    FileStorage::open(root)
}

/// Runs `work` where blocking is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StorageError::Unavailable(error.into()))?
}

fn unavailable(error: io::Error) -> StorageError {
    StorageError::Unavailable(error.into())
}

fn write_error(error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full(error.into()),
        _ => unavailable(error),
    }
}
