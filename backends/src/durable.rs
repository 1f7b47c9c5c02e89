//! Files and folders that are there after a power cut once a function here has returned.
//!
//! A file counts as written when its bytes are synced *and* the folder that names it is; a half-written file is never seen
//! under its final name, because it is written beside it and renamed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file that only its owner may read, in one step: after a crash the old content is there, or the new one.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    replace(&folder.join(temporary_name()), path, bytes)
}

/// Writes `bytes` to `temporary` and renames it to `path`, which must be on the same file system.
pub(crate) fn replace(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = write_synced(temporary, bytes).and_then(|()| std::fs::rename(temporary, path));
    if written.is_err() {
        // The error that matters is the first one; a leftover is removed at the next start.
        let _ = std::fs::remove_file(temporary);
    }
    written?;
    sync_parent(path)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private_file().create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Creates an empty file that only its owner may read, unless there is one.
///
/// Its name is made durable in either case: whoever created it may have died before that.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    match private_file().create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(path),
    }
}

/// Creates a folder that only its owner may enter, unless there is one; durable like [`create_private`].
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => sync_parent(path),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Removes every file in a folder of temporary files; nobody may be writing there.
pub(crate) fn sweep(folder: &Path) -> io::Result<()> {
    for leftover in files_in(folder)? {
        std::fs::remove_file(leftover)?;
    }
    Ok(())
}

/// The files in a folder, in order of their names; a folder that does not exist has none.
pub(crate) fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    entries(folder, |kind| !kind.is_dir())
}

/// The folders in a folder, in order of their names.
pub(crate) fn folders_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    entries(folder, std::fs::FileType::is_dir)
}

fn entries(folder: &Path, wanted: impl Fn(&std::fs::FileType) -> bool) -> io::Result<Vec<PathBuf>> {
    let listed = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        if wanted(&entry.file_type()?) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A name that no other file of this process has; what an earlier process left is swept before anything is written.
pub(crate) fn temporary_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{TEMPORARY}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

const TEMPORARY: &str = ".new-";

/// Is this the name of a file that was being written?
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY)
}

/// Options for a file that only its owner may read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
