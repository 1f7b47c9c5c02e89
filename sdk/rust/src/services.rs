//! Cache, storage, secrets, the log, and the other functions of the namespace.

use std::time::Duration;

use serde::Deserialize;

use crate::{Error, db, host};

/// The log of the call: at most 16 KiB a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Log {
    pub fn info(&self, message: &str) {
        host::log_info(message);
    }

    pub fn error(&self, message: &str) {
        host::log_error(message);
    }
}

/// What `orama function secrets set` stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Secrets;

impl Secrets {
    /// The value of a secret; `None` when there is none of this name.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        some(host::secret(name))
    }
}

/// Bytes and counters with a time to live.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cache;

impl Cache {
    /// The value of a key; `None` on a miss. An empty value cannot be told from a miss.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        some(host::cache_get(key))
    }

    /// Keeps a value for `ttl`, counted in whole seconds, rounded up; `None` keeps it until it is deleted or room is needed.
    pub fn set(&self, key: &str, value: &[u8], ttl: Option<Duration>) {
        let seconds = ttl.map_or(0, |ttl| ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0));
        host::cache_set(key, value, i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    pub fn delete(&self, key: &str) -> bool {
        host::cache_delete(key)
    }

    /// Adds to a counter and returns the sum; 0 when the value under the key is no number.
    pub fn add(&self, key: &str, delta: i64) -> i64 {
        host::cache_incr_by(key, delta)
    }
}

/// Content by its identifier.
#[derive(Debug, Clone, Copy, Default)]
pub struct Storage;

/// What is known of a piece of content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Content {
    pub cid: String,
    #[serde(default)]
    pub name: String,
    pub size: u64,
}

impl Storage {
    /// Stores and pins bytes, at most 16 MiB, under a name that is only for people.
    pub fn put(&self, name: &str, data: &[u8]) -> Result<Content, Error> {
        #[derive(Deserialize)]
        struct Failed {
            error: Option<String>,
            code: Option<String>,
        }
        let answer = host::storage_put(name, data);
        let failed: Failed = db::read(&answer)?;
        if let Some(message) = failed.error {
            return Err(Error::coded(failed.code.unwrap_or_default(), message));
        }
        Ok(Content { name: name.to_owned(), ..db::read(&answer)? })
    }

    /// The content of an identifier; `None` when the namespace does not have it, or it is empty.
    pub fn get(&self, cid: &str) -> Option<Vec<u8>> {
        some(host::storage_get(cid))
    }

    pub fn head(&self, cid: &str) -> Option<Content> {
        db::read(&some(host::storage_head(cid))?).ok()
    }
}

/// The other functions of the namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Functions;

impl Functions {
    /// Calls another function; `None` when it answered nothing or failed: why is in the log of the call.
    pub fn invoke(&self, name: &str, input: &[u8]) -> Option<Vec<u8>> {
        some(host::function_invoke(name, input))
    }

    /// Asks for a call that nobody waits for; true when it was accepted.
    pub fn invoke_async(&self, name: &str, input: &[u8]) -> bool {
        host::function_invoke_async(name, input)
    }
}

fn some(bytes: Vec<u8>) -> Option<Vec<u8>> {
    (!bytes.is_empty()).then_some(bytes)
}
