//! Certificates that the operator keeps in files of their own, one pair of files each; read again when they change.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use domain::Timestamp;
use ports::{Certificate, CertificateSource};
use zeroize::Zeroizing;

use super::{FILE_BYTES_MAX, parse};
use crate::keys::check_private;

/// A certificate with those that lead to its root, and its key; both as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairOfFiles {
    pub certificate: PathBuf,
    /// Readable by its owner alone.
    pub key: PathBuf,
}

/// A file that holds no certificate to serve with.
#[derive(Debug, thiserror::Error)]
#[error("`{}` {reason}", path.display())]
pub struct InvalidCertificateFile {
    pub path: PathBuf,
    /// The end of a sentence that begins with the file.
    pub reason: String,
}

/// The files that the operator named, and how they looked when they were read last.
pub struct CertificateFiles {
    pairs: Vec<PairOfFiles>,
    seen: Vec<Look>,
}

/// What differs when a file was written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
    mode: u32,
}

impl fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.pairs).finish()
    }
}

impl CertificateFiles {
    pub fn new(pairs: Vec<PairOfFiles>) -> Self {
        Self { pairs, seen: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Do the files look otherwise than when they were read last? Blocks for a look at each.
    pub fn have_changed(&self) -> bool {
        self.look() != self.seen
    }

    /// Reads all pairs. One that is missing, is no certificate, does not fit its key, is not valid at `now` or has a key that
    /// others may read makes the whole an error. Blocks.
    pub fn read(&mut self, now: Timestamp) -> Result<Vec<Certificate>, InvalidCertificateFile> {
        // Looked at first: what is written meanwhile is read the next time.
        self.seen = self.look();
        self.pairs.iter().map(|pair| pair.read(now)).collect()
    }

    fn look(&self) -> Vec<Look> {
        let files = self.pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        files.map(|path| Look::at(path)).collect()
    }
}

impl Look {
    /// A file that is not there has a look, too.
    fn at(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(found) => Self {
                inode: found.ino(),
                bytes: found.size(),
                changed: (found.ctime(), found.ctime_nsec()),
                mode: found.mode(),
            },
            Err(_) => Self { inode: 0, bytes: 0, changed: (0, 0), mode: 0 },
        }
    }
}

impl PairOfFiles {
    fn read(&self, now: Timestamp) -> Result<Certificate, InvalidCertificateFile> {
        let wrong = |path: &Path, reason: String| InvalidCertificateFile { path: path.to_owned(), reason };
        let chain = read_text(&self.certificate, false).map_err(|reason| wrong(&self.certificate, reason))?;
        let key = read_text(&self.key, true).map_err(|reason| wrong(&self.key, reason))?;
        let read = parse(chain.as_str().to_owned(), key, CertificateSource::File);
        let certificate = read.map_err(|reason| wrong(&self.certificate, reason))?;
        match check_dates(&certificate, now) {
            Ok(()) => Ok(certificate),
            Err(reason) => Err(wrong(&self.certificate, reason)),
        }
    }
}

fn check_dates(certificate: &Certificate, now: Timestamp) -> Result<(), String> {
    let Certificate { not_before, not_after, .. } = certificate;
    if now >= *not_after {
        return Err(format!("expired at {not_after}; put a new certificate in its place"));
    }
    if now < *not_before {
        return Err(format!("is valid from {not_before} on; is the clock of this machine right?"));
    }
    Ok(())
}

fn read_text(path: &Path, is_key: bool) -> Result<Zeroizing<String>, String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be opened: {error}"),
    })?;
    if is_key {
        check_private(&file, path).map_err(|reason| format!("is refused: {reason}"))?;
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    match read {
        Ok(_) if text.len() as u64 > FILE_BYTES_MAX => Err("is far too large".to_owned()),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err("is not PEM".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
