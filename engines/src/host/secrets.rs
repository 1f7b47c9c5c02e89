//! The secrets of the namespace. What a function reads here never reaches its log: see [`Host::log`].

use bytes::Bytes;
use ports::Secret;

use super::{Host, TEXT_BYTES_MAX, text};

/// The bytes of a secret; overwritten when they are dropped.
struct Exposed(Secret);

impl AsRef<[u8]> for Exposed {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Host {
    /// The value of a secret; nothing when there is none of this name.
    pub(crate) fn get_secret(&mut self, name: &[u8]) -> Option<Bytes> {
        let name = text("name of a secret", name, TEXT_BYTES_MAX);
        match name.and_then(|name| self.services.secrets.get(name)) {
            Ok(secret) => secret.map(|secret| Bytes::from_owner(Exposed(secret))),
            Err(error) => {
                self.warn(format!("`get_secret`: {error}"));
                None
            }
        }
    }
}
