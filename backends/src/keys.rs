//! The secrets of the node as files, `<purpose>.key`: 64 hexadecimal digits, readable by the owner alone. Master keys may come
//! from elsewhere (`keys/master.rs`), keys that sign are files of another form (`keys/signer.rs`).
//!
//! A key is made at its first use and durable before it is used. A file that others may read, or that is not a key, is
//! refused: a secret that leaked must be replaced by a person, and one that is damaged must not be silently renewed.

mod master;
mod signer;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ports::{KEY_BYTES, Keys, KeysError, MasterKey, NodeKey};

use crate::durable;

pub use master::MasterKeySource;

/// The public keys of the node, those of before too.
const PUBLISHED: &str = "published.json";

/// Keys in a folder.
#[derive(Debug)]
pub struct FileKeys {
    folder: PathBuf,
    /// Held while a key is made, so that a purpose has one key.
    making: Mutex<()>,
    master: MasterKeySource,
    /// The file of the node itself, which is made at first use; others must be there.
    own_master: bool,
    /// Read once: a command may ask a person, or take long.
    masters: Mutex<Option<Vec<MasterKey>>>,
}

/// Opens the keys in `folder`, which is created when it does not exist.
pub fn open(folder: &Path) -> io::Result<FileKeys> {
    open_with(folder, None)
}

/// Opens the keys in `folder`, with master keys from elsewhere; `None` means `master.key` in the folder, made at first use.
pub fn open_with(folder: &Path, master: Option<MasterKeySource>) -> io::Result<FileKeys> {
    durable::create_folder(folder)?;
    let own_master = master.is_none();
    let master = master.unwrap_or_else(|| MasterKeySource::File(folder.join("master.key")));
    let (making, masters) = (Mutex::new(()), Mutex::new(None));
    Ok(FileKeys { folder: folder.to_owned(), making, master, own_master, masters })
}

impl FileKeys {
    fn signer_path(&self, purpose: &str) -> PathBuf {
        self.folder.join(format!("{purpose}.signer"))
    }

    /// Was the key for `purpose` made before? What `node_key` would silently make anew can be asked for first.
    pub fn has(&self, purpose: &str) -> bool {
        self.folder.join(format!("{purpose}.key")).exists()
    }
}

impl Keys for FileKeys {
    fn node_key(&self, purpose: &str) -> Result<NodeKey, KeysError> {
        check_purpose(purpose)?;
        let path = self.folder.join(format!("{purpose}.key"));
        let _making = self.making.lock().expect("no holder panics");
        match read(&path) {
            Err(ReadError::Absent) => make(&path).map_err(KeysError::Unavailable),
            Err(ReadError::Unusable(reason)) => Err(KeysError::Unusable { purpose: purpose.to_owned(), reason }),
            Err(ReadError::Io(error)) => Err(KeysError::Unavailable(error.into())),
            Ok(key) => Ok(key),
        }
    }

    fn signer(&self, purpose: &str) -> Result<NodeKey, KeysError> {
        check_purpose(purpose)?;
        let path = self.signer_path(purpose);
        let _making = self.making.lock().expect("no holder panics");
        match signer::read(&path) {
            Err(ReadError::Absent) => signer::make(&path).map_err(KeysError::Unavailable),
            Err(ReadError::Unusable(reason)) => Err(KeysError::Unusable { purpose: purpose.to_owned(), reason }),
            Err(ReadError::Io(error)) => Err(KeysError::Unavailable(error.into())),
            Ok(key) => Ok(key),
        }
    }

    fn replace_signer(&self, purpose: &str, key: &NodeKey) -> Result<(), KeysError> {
        check_purpose(purpose)?;
        let _making = self.making.lock().expect("no holder panics");
        let written = durable::write_private(&self.signer_path(purpose), key.expose());
        written.map_err(|error| KeysError::Unavailable(error.into()))
    }

    fn published(&self) -> Result<Option<Vec<u8>>, KeysError> {
        match std::fs::read(self.folder.join(PUBLISHED)) {
            Ok(document) => Ok(Some(document)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeysError::Unavailable(error.into())),
        }
    }

    fn publish(&self, document: &[u8]) -> Result<(), KeysError> {
        let written = durable::write_private(&self.folder.join(PUBLISHED), document);
        written.map_err(|error| KeysError::Unavailable(error.into()))
    }

    fn master_keys(&self) -> Result<Vec<MasterKey>, KeysError> {
        let mut masters = self.masters.lock().expect("no holder panics");
        match &*masters {
            Some(masters) => Ok(masters.clone()),
            None => Ok(masters.insert(self.master.read(self.own_master)?).clone()),
        }
    }

    fn master_source(&self) -> String {
        self.master.describe()
    }
}

/// A purpose becomes a file name.
fn check_purpose(purpose: &str) -> Result<(), KeysError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    if !purpose.is_empty() && purpose.bytes().all(allowed) {
        return Ok(());
    }
    let reason = "a purpose is made of lower-case letters and `-`".to_owned();
    Err(KeysError::Unusable { purpose: purpose.to_owned(), reason })
}

pub(crate) enum ReadError {
    Absent,
    Unusable(String),
    Io(io::Error),
}

/// Reads a key file, and looks at the permissions of the very file that it reads.
pub(crate) fn read(path: &Path) -> Result<NodeKey, ReadError> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::Absent,
        _ => ReadError::Io(error),
    })?;
    check_private(&file, path).map_err(ReadError::Unusable)?;
    let mut text = String::new();
    let longest = 2 * KEY_BYTES as u64 + 2;
    match file.by_ref().take(longest).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => text.clear(),
        Err(error) => return Err(ReadError::Io(error)),
    }
    decode(text.strip_suffix('\n').unwrap_or(&text)).map(NodeKey::new).ok_or_else(|| {
        let path = path.display();
        ReadError::Unusable(format!(
            "`{path}` does not hold {KEY_BYTES} bytes in hexadecimal; restore it from a backup"
        ))
    })
}

/// May only the owner of an open file read it? The text says what is wrong.
pub(crate) fn check_private(file: &File, path: &Path) -> Result<(), String> {
    let path = path.display();
    let metadata = file.metadata().map_err(|error| format!("cannot look at `{path}`: {error}"))?;
    let mode = metadata.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(format!("others may read `{path}` (mode {mode:o}); if nobody did, run `chmod 600 {path}`")),
    }
}

fn make(path: &Path) -> Result<NodeKey, ports::BoxError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)?;
    durable::write_private(path, encode(&bytes).as_bytes())?;
    Ok(NodeKey::new(bytes))
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 1);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a text takes every write");
    }
    text.push('\n');
    text
}

fn decode(text: &str) -> Option<[u8; KEY_BYTES]> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}
