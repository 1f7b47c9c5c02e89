//! A data folder made of a copy. Nothing of a copy is believed: neither names nor, until the folder was examined, contents.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{BackupError, io_at, place, refuse_taken, sync};
use crate::durable;
use crate::folder::check_format;

/// No format is longer as text.
const FORMAT_BYTES_MAX: u64 = 64;
/// An inventory of millions of files.
const INVENTORY_BYTES_MAX: u64 = 1 << 30;

/// Makes a data folder at `data`, which is new or empty, of the copy at `from`: a folder, or a file that is a `.tar`.
/// Whether what the files hold is right is for [`crate::fsck::fsck`] to say. Blocks until the folder is on the disk.
pub fn restore(from: &Path, data: &Path) -> Result<(), BackupError> {
    refuse_taken(data)?;
    if let Some(parent) = data.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(io_at(parent))?;
    }
    durable::create_folder(data).map_err(io_at(data))?;
    fs::set_permissions(data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(io_at(data))?;
    let restored = fill(from, data);
    if restored.is_err() {
        // It was empty before. The error that matters is the first one.
        let _ = empty(data);
    }
    restored
}

fn empty(folder: &Path) -> io::Result<()> {
    for folder in durable::folders_in(folder)? {
        fs::remove_dir_all(folder)?;
    }
    durable::files_in(folder)?.iter().try_for_each(fs::remove_file)
}

/// The format is written last: before, nothing takes the folder for one.
fn fill(from: &Path, data: &Path) -> Result<(), BackupError> {
    for folder in place::FOLDERS {
        durable::create_folder(&data.join(folder)).map_err(io_at(data))?;
    }
    let mut taker = Taker { from, data, format: None, inventory: None, files: BTreeMap::new() };
    match from.is_dir() {
        true => take_folder(&mut taker)?,
        false => take_tar(&mut taker)?,
    }
    let format = taker.finish()?;
    sync(data)?;
    durable::write_private(&data.join(place::FORMAT), format.as_bytes()).map_err(io_at(data))
}

fn take_folder(taker: &mut Taker<'_>) -> Result<(), BackupError> {
    let from = taker.from;
    for name in place::files_of(from).map_err(io_at(from))? {
        let path = from.join(&name);
        // Not what a link leads to.
        if !path.symlink_metadata().map_err(io_at(&path))?.is_file() {
            return Err(taker.refuse(format!("`{}` is no file", name.display())));
        }
        let mut file = File::open(&path).map_err(io_at(&path))?;
        taker.take(&name, &mut file)?;
    }
    Ok(())
}

fn take_tar(taker: &mut Taker<'_>) -> Result<(), BackupError> {
    let from = taker.from;
    let file = File::open(from).map_err(io_at(from))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, file));
    let damaged = |error: io::Error| not_a_backup(from, format!("it cannot be read as an archive: {error}"));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(taker.refuse(format!("`{}` is no file", name.display())));
        }
        taker.take(&name, &mut entry)?;
    }
    Ok(())
}

/// Takes a copy file by file.
struct Taker<'a> {
    from: &'a Path,
    data: &'a Path,
    format: Option<String>,
    inventory: Option<String>,
    /// What was taken, with the sizes.
    files: BTreeMap<PathBuf, u64>,
}

impl Taker<'_> {
    /// The first file must be the format: who knows only older ones shall not guess.
    fn take(&mut self, name: &Path, content: &mut impl Read) -> Result<(), BackupError> {
        if self.format.is_none() {
            if name != Path::new(place::FORMAT) {
                return Err(self.refuse("it does not begin with a format".to_owned()));
            }
            let text = self.text(content, FORMAT_BYTES_MAX)?;
            check_format(self.from, &text)?;
            self.format = Some(text);
        } else if name == Path::new(place::INVENTORY) {
            self.inventory = Some(self.text(content, INVENTORY_BYTES_MAX)?);
        } else if place::is_ours(name) && name != Path::new(place::FORMAT) {
            self.take_file(name, content)?;
        } else {
            return Err(self.refuse(format!("it holds `{}`", name.display())));
        }
        Ok(())
    }

    fn text(&self, content: &mut impl Read, bytes_max: u64) -> Result<String, BackupError> {
        let mut text = String::new();
        content.take(bytes_max).read_to_string(&mut text).map_err(io_at(self.from))?;
        Ok(text)
    }

    fn take_file(&mut self, name: &Path, content: &mut impl Read) -> Result<(), BackupError> {
        let path = self.data.join(name);
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            durable::create_folder(folder).map_err(io_at(folder))?;
        }
        let opened = durable::private_file().create_new(true).open(&path);
        let copied = opened.and_then(|mut file| io::copy(content, &mut file));
        self.files.insert(name.to_owned(), copied.map_err(io_at(&path))?);
        Ok(())
    }

    /// The format, when everything is there that the copy was made of.
    fn finish(self) -> Result<String, BackupError> {
        let Self { from, data: _, format, inventory, files } = self;
        let (Some(format), Some(inventory)) = (format, inventory) else {
            return Err(not_a_backup(from, "its end is missing".to_owned()));
        };
        match inventory == place::inventory(&files) {
            true => Ok(format),
            false => Err(not_a_backup(from, "its files are not those of its inventory".to_owned())),
        }
    }

    fn refuse(&self, reason: String) -> BackupError {
        not_a_backup(self.from, reason)
    }
}

fn not_a_backup(from: &Path, reason: String) -> BackupError {
    BackupError::NotABackup { path: from.to_owned(), reason }
}
