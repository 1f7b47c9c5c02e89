//! A copy of a node's data folder, also while the node runs; and a data folder made of such a copy.
//!
//! The control plane is copied first, in one moment; what it refers to never changes and is copied then. What was deleted in between
//! is missing in the copy, and the copy is begun again. A copy has the layout of a data folder without what is only for
//! a running node, as a folder or as a `.tar`. Its `format` is written last, so that half a copy is none.

mod place;
mod restore;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Cid;
use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::durable;
use crate::folder::{FolderError, check_format};
use crate::sql::OpenError;
use crate::sql::sqlite::open_reader;
use crate::storage::path_of;

pub(crate) use place::namespace_of;
pub use restore::restore;

/// How often a copy is begun again because something it refers to was deleted meanwhile.
const ATTEMPTS: usize = 10;
/// Pages of a database that are copied at once: all of them, so that they are of one moment.
const ALL_PAGES: i32 = i32::MAX;
const PAUSE: Duration = Duration::from_millis(10);

/// What a copy holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub databases: u64,
    pub code_files: u64,
    pub content_files: u64,
    pub bytes: u64,
    /// Is the master key among them? Otherwise the node has it from elsewhere.
    pub has_master_key: bool,
}

/// Why there is no copy, or no data folder of one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("`{path}` is there already; choose another place")]
    Taken { path: PathBuf },
    #[error("`{path}` is not a backup: {reason}")]
    NotABackup { path: PathBuf, reason: String },
    #[error(
        "`{missing}` was missing in each of {ATTEMPTS} attempts; if the node runs, try again, else run `orama fsck`"
    )]
    Missing { missing: PathBuf },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("copy the database `{path}`")]
    Database {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("copy `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + '_ {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

/// Copies the data folder at `data` to `target`: into a `.tar` when its name says so, else into a folder, new or empty.
/// Blocks until the copy is on the disk.
pub fn backup(data: &Path, target: &Path) -> Result<Summary, BackupError> {
    let format = read_format(data)?;
    if target.extension().is_some_and(|extension| extension == "tar") {
        return backup_as_tar(data, &format, target);
    }
    refuse_taken(target)?;
    let made = Made::folder(target)?;
    let summary = copy(data, target)?;
    write_inventory(target)?;
    durable::write_private(&target.join(place::FORMAT), format.as_bytes()).map_err(io_at(target))?;
    sync(target)?;
    made.keep();
    Ok(summary)
}

/// A folder is made first, beside the file: what must be copied again can be replaced there.
fn backup_as_tar(data: &Path, format: &str, target: &Path) -> Result<Summary, BackupError> {
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Taken { path: target.to_owned() });
    }
    let beside = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = beside.join(durable::temporary_name());
    let _folder = Made::folder(&folder)?;
    let summary = copy(data, &folder)?;
    write_inventory(&folder)?;
    fs::write(folder.join(place::FORMAT), format).map_err(io_at(&folder))?;
    let file = beside.join(durable::temporary_name());
    durable::create_private(&file).map_err(io_at(&file))?;
    let _file = Made { path: file.clone(), is_folder: false };
    pack(&folder, &file).map_err(io_at(&file))?;
    fs::rename(&file, target).map_err(io_at(target))?;
    durable::sync_folder(beside).map_err(io_at(beside))?;
    Ok(summary)
}

fn write_inventory(folder: &Path) -> Result<(), BackupError> {
    let mut files = BTreeMap::new();
    for name in place::files_of(folder).map_err(io_at(folder))? {
        let path = folder.join(&name);
        files.insert(name, fs::metadata(&path).map_err(io_at(&path))?.len());
    }
    let path = folder.join(place::INVENTORY);
    durable::write_private(&path, place::inventory(&files).as_bytes()).map_err(io_at(&path))
}

/// `format` comes first: who reads the archive knows at once whether it can.
fn pack(folder: &Path, file: &Path) -> io::Result<()> {
    let out = File::options().write(true).open(file)?;
    let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 20, out));
    for name in place::files_of(folder)? {
        archive.append_path_with_name(folder.join(&name), &name)?;
    }
    archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The format of the data folder, when this program knows it.
fn read_format(data: &Path) -> Result<String, BackupError> {
    let format = match fs::read_to_string(data.join(place::FORMAT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FolderError::Absent { path: data.to_owned() }.into());
        }
        read => read.map_err(io_at(data))?,
    };
    check_format(data, &format)?;
    Ok(format)
}

/// An empty folder is as good as none.
fn refuse_taken(target: &Path) -> Result<(), BackupError> {
    let is_free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_free { Ok(()) } else { Err(BackupError::Taken { path: target.to_owned() }) }
}

/// What was made for a copy, removed again unless it is kept.
struct Made {
    path: PathBuf,
    is_folder: bool,
}

impl Made {
    fn folder(path: &Path) -> Result<Self, BackupError> {
        durable::create_folder(path).map_err(io_at(path))?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(io_at(path))?;
        Ok(Self { path: path.to_owned(), is_folder: true })
    }

    fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // The error that matters is the one that led here. An empty path names nothing.
        let _ = if self.is_folder { fs::remove_dir_all(&self.path) } else { fs::remove_file(&self.path) };
    }
}

fn copy(data: &Path, target: &Path) -> Result<Summary, BackupError> {
    for folder in place::FOLDERS {
        durable::create_folder(&target.join(folder)).map_err(io_at(target))?;
    }
    let mut missing = PathBuf::new();
    for _ in 0..ATTEMPTS {
        match source::copy_stores(data, target)? {
            Attempt::Done(mut summary) => {
                copy_keys(data, target, &mut summary)?;
                return Ok(summary);
            }
            Attempt::Missing(file) => missing = file,
        }
    }
    Err(BackupError::Missing { missing })
}

/// How an attempt to copy the stores ended.
enum Attempt {
    Done(Summary),
    /// Something that the copy refers to was gone before it could be copied.
    Missing(PathBuf),
}

/// A key is there before anything needs it, so it is copied after everything that may.
fn copy_keys(data: &Path, target: &Path, summary: &mut Summary) -> Result<(), BackupError> {
    let keys = Path::new("keys");
    for file in durable::files_in(&data.join(keys)).map_err(io_at(data))? {
        let Some(name) = file.file_name().map(|name| keys.join(name)).filter(|name| place::is_ours(name)) else {
            continue;
        };
        summary.bytes += copy_file(&file, &target.join(&name)).map_err(io_at(&file))?;
        summary.has_master_key |= name == Path::new("keys/master.key");
    }
    summary.bytes += copy_certificates(data, target)?;
    let admin = data.join(place::ADMIN_KEY);
    match copy_file(&admin, &target.join(place::ADMIN_KEY)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_at(&admin)(error)),
        copied => summary.bytes += copied.unwrap_or(0),
    }
    Ok(())
}

/// Certificates can be ordered anew, but not often: authorities count.
fn copy_certificates(data: &Path, target: &Path) -> Result<u64, BackupError> {
    let folder = Path::new("certificates");
    let mut bytes = 0;
    for file in durable::files_in(&data.join(folder)).map_err(io_at(data))? {
        let Some(name) = file.file_name().map(|name| folder.join(name)).filter(|name| place::is_ours(name)) else {
            continue;
        };
        match copy_file(&file, &target.join(&name)) {
            // That of a name that is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => bytes += copied.map_err(io_at(&file))?,
        }
    }
    Ok(bytes)
}

/// Copies a file that only its owner may read; it replaces one that is there.
fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
    let mut source = File::open(from)?;
    let mut target = durable::private_file().create(true).truncate(true).open(to)?;
    io::copy(&mut source, &mut target)
}

/// Copies a database of which a node may be writing, as it is in one moment; returns its size.
fn copy_database(from: &Path, to: &Path) -> Result<u64, BackupError> {
    let failed = |source| BackupError::Database { path: from.to_owned(), source };
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_at(to)(error)),
        _ => {}
    }
    durable::create_private(to).map_err(io_at(to))?;
    let source = open_reader(from)?;
    let mut copy = Connection::open(to).map_err(failed)?;
    Backup::new(&source, &mut copy)
        .and_then(|pages| pages.run_to_completion(ALL_PAGES, PAUSE, None))
        .map_err(failed)?;
    // A single file: the write-ahead log belongs to the original.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(failed)?;
    copy.close().map_err(|(_, error)| failed(error))?;
    Ok(fs::metadata(to).map_err(io_at(to))?.len())
}

/// Everything in the file system of `folder` is on the disk.
fn sync(folder: &Path) -> Result<(), BackupError> {
    let opened = File::open(folder).map_err(io_at(folder))?;
    rustix::fs::syncfs(&opened).map_err(|error| io_at(folder)(error.into()))
}

/// The files of a storage that are in the copy, and one that was gone.
#[derive(Debug, Default)]
struct Gathered {
    files: BTreeSet<PathBuf>,
    bytes: u64,
    missing: Option<PathBuf>,
}

fn copy_contents(from: &Path, to: &Path, wanted: &BTreeSet<Cid>) -> Result<Gathered, BackupError> {
    let mut gathered = Gathered::default();
    for cid in wanted {
        let (source, target) = (path_of(from, cid), path_of(to, cid));
        let folder = target.parent().expect("content lies in a folder");
        durable::create_folder(folder).map_err(io_at(folder))?;
        let copied = match fs::metadata(&target) {
            // An earlier attempt copied it; content never changes.
            Ok(found) => Ok(found.len()),
            Err(_) => copy_file(&source, &target),
        };
        match copied {
            Ok(bytes) => gathered.bytes += bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => gathered.missing = Some(source),
            Err(error) => return Err(io_at(&source)(error)),
        }
        gathered.files.insert(target);
    }
    Ok(gathered)
}
