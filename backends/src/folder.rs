//! The data folder of a node: where everything is, which layout it has, and that one process has it.
//!
//! ```text
//! format       the version of this layout
//! lock         locked by the process that has the folder, whose number it holds
//! system.db    the control plane
//! logs.db      the log of calls
//! code/        code by content identifier
//! content/     what namespaces have stored, by content identifier
//! databases/   the databases of namespaces
//! compiled/    compiled code; may be deleted while the node is stopped
//! keys/        the secrets of the node
//! certificates/ those that the node ordered, with their keys
//! tmp/         files that are being made; emptied at each start
//! admin.key    the first API key
//! ```

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::durable;

/// The layout that this program writes.
const FORMAT: u32 = 1;

/// What may lie in a folder that is not a data folder yet: a start that died early, the root of a file system.
const HARMLESS: [&str; 2] = ["lock", "lost+found"];

/// Why a data folder could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("the data folder `{path}` is in use by {}; stop that process, or choose another folder with `--data DIR`", holder(*pid))]
    InUse {
        path: PathBuf,
        /// `None` in the moment between the lock and its note.
        pid: Option<u32>,
    },
    #[error("the data folder `{path}` has layout {found}, this program knows up to {known}; use a newer `orama`")]
    TooNew { path: PathBuf, found: u32, known: u32 },
    #[error("`{path}` is not empty and not a data folder of orama; choose another one with `--data DIR`")]
    Foreign { path: PathBuf },
    #[error("there is no data folder at `{path}`; name the right one with `--data DIR`")]
    Absent { path: PathBuf },
    #[error("open the data folder `{path}`")]
    Unavailable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A data folder that this process has, until the value is dropped or the process dies.
///
/// A child that is forked without an exec holds the lock too, as long as it lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    lock: File,
}

impl DataFolder {
    /// Takes the data folder at `path` and removes what an earlier process left half done; creates it when there is none.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        create_with_parents(path).map_err(|source| unavailable(path, source))?;
        let folder = Self::take(path)?;
        folder.check_or_create_format()?;
        folder.prepare().map_err(|source| unavailable(path, source))?;
        Ok(folder)
    }

    /// Takes an existing data folder and changes nothing in it.
    pub fn open_existing(path: &Path) -> Result<Self, FolderError> {
        match path.join("format").try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(FolderError::Absent { path: path.to_owned() }),
            Err(source) => return Err(unavailable(path, source)),
        }
        let folder = Self::take(path)?;
        folder.check_or_create_format()?;
        Ok(folder)
    }

    fn take(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| unavailable(path, source);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::InUse { path: path.to_owned(), pid: read_pid(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    fn check_or_create_format(&self) -> Result<(), FolderError> {
        let path = &self.path;
        let file = path.join("format");
        match std::fs::read_to_string(&file) {
            Ok(text) => check_format(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.is_fresh().map_err(|source| unavailable(path, source))? {
                    return Err(FolderError::Foreign { path: path.clone() });
                }
                let text = format!("{FORMAT}\n");
                durable::write_private(&file, text.as_bytes()).map_err(|source| unavailable(path, source))
            }
            Err(source) => Err(unavailable(path, source)),
        }
    }

    /// Nobody's files are here. A file that [`durable::write_private`] left is ours.
    fn is_fresh(&self) -> io::Result<bool> {
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if !HARMLESS.contains(&&*name) && !durable::is_temporary(&name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn prepare(&self) -> io::Result<()> {
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o700))?;
        let stores = [self.code(), self.content(), self.databases(), self.compiled(), self.keys(), self.certificates()];
        for folder in stores.into_iter().chain([self.tmp()]) {
            durable::create_folder(&folder)?;
        }
        durable::sweep(&self.tmp())?;
        for leftover in self.leftovers()? {
            std::fs::remove_file(leftover)?;
        }
        Ok(())
    }

    /// Makes all of it another user's and group's; what is not yet. Stores of content, where files only come and go by this
    /// process, are walked through when they are new to that user.
    ///
    /// # Errors
    /// Those of the file system: only root gives things away.
    pub fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        let stores = [self.code(), self.content(), self.compiled()];
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if !(stores.contains(&path) && owner_of(&path)? == (uid, gid)) {
                give_tree(&path, uid, gid)?;
            }
        }
        give(&self.path, uid, gid)
    }

    /// Files that were being written, in the folder itself or among keys and certificates, when an earlier process died.
    pub(crate) fn leftovers(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = durable::files_in(&self.path)?;
        files.extend(durable::files_in(&self.keys())?);
        files.extend(durable::files_in(&self.certificates())?);
        files.retain(|path| path.file_name().is_some_and(|name| durable::is_temporary(&name.to_string_lossy())));
        Ok(files)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The control plane.
    pub fn system_db(&self) -> PathBuf {
        self.path.join("system.db")
    }

    /// The log of calls.
    pub fn logs_db(&self) -> PathBuf {
        self.path.join("logs.db")
    }

    /// Code by content identifier.
    pub fn code(&self) -> PathBuf {
        self.path.join("code")
    }

    /// What namespaces have stored, by content identifier.
    pub fn content(&self) -> PathBuf {
        self.path.join("content")
    }

    /// The databases of namespaces.
    pub fn databases(&self) -> PathBuf {
        self.path.join("databases")
    }

    /// Compiled code.
    pub fn compiled(&self) -> PathBuf {
        self.path.join("compiled")
    }

    /// The secrets of the node.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// Certificates that the node ordered.
    pub fn certificates(&self) -> PathBuf {
        self.path.join("certificates")
    }

    /// Files that are being made; on the same file system as everything else here.
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// The first API key, for the person who started the node.
    pub fn admin_key(&self) -> PathBuf {
        self.path.join("admin.key")
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // So that a later holder is never announced with this number; the lock itself ends with the file.
        let _ = self.lock.set_len(0);
    }
}

/// Others may pass through the folders above that are made here, to what they may enter; they see nothing of what is in there.
fn create_with_parents(path: &Path) -> io::Result<()> {
    const PASSAGE: u32 = 0o711;
    let above = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    let missing: Vec<&Path> = above.take_while(|parent| !parent.exists()).collect();
    for parent in missing.into_iter().rev() {
        match std::fs::create_dir(parent) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => std::fs::set_permissions(parent, Permissions::from_mode(PASSAGE))?,
        }
    }
    durable::create_folder(path)
}

/// The folder last: who begins anew begins with it.
fn give_tree(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_tree(&entry?.path(), uid, gid)?;
        }
    }
    give(path, uid, gid)
}

/// Links themselves, not what they lead to. A file that has just gone needs no owner.
fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let given = owner_of(path).and_then(|owner| match owner == (uid, gid) {
        true => Ok(()),
        false => std::os::unix::fs::lchown(path, Some(uid), Some(gid)),
    });
    match given {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        given => given,
    }
}

fn owner_of(path: &Path) -> io::Result<(u32, u32)> {
    let found = path.symlink_metadata()?;
    Ok((found.uid(), found.gid()))
}

pub(crate) fn check_format(path: &Path, text: &str) -> Result<(), FolderError> {
    match text.trim().parse() {
        Ok(found) if found > FORMAT => Err(FolderError::TooNew { path: path.to_owned(), found, known: FORMAT }),
        Ok(FORMAT) => Ok(()),
        _ => Err(FolderError::Foreign { path: path.to_owned() }),
    }
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn unavailable(path: &Path, source: io::Error) -> FolderError {
    FolderError::Unavailable { path: path.to_owned(), source }
}
