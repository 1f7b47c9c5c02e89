//! A key that signs, as a file `<purpose>.signer`: its 32 bytes and nothing else, which is the form that other programs take as well.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ports::{BoxError, KEY_BYTES, NodeKey};
use zeroize::Zeroizing;

use super::{ReadError, check_private};
use crate::durable;

/// Reads a key, and looks at the permissions of the very file that it reads.
pub(super) fn read(path: &Path) -> Result<NodeKey, ReadError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::Absent,
        _ => ReadError::Io(error),
    })?;
    check_private(&file, path).map_err(ReadError::Unusable)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map(NodeKey::new).map_err(|_| {
        ReadError::Unusable(format!(
            "`{}` does not hold {KEY_BYTES} bytes and nothing else; restore it from a backup",
            path.display()
        ))
    })
}

pub(super) fn make(path: &Path) -> Result<NodeKey, BoxError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *bytes)?;
    durable::write_private(path, &*bytes)?;
    Ok(NodeKey::new(*bytes))
}
