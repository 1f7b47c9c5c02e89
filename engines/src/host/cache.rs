//! The cache of the namespace. Its functions share one map, apart from those that clients name.

use std::time::Duration;

use bytes::Bytes;
use domain::Error;
use ports::{CACHE_VALUE_BYTES_MAX, CacheError, CacheKey, FUNCTION_MAP};

use super::{Host, InTime, TEXT_BYTES_MAX, check_size, text};

/// The longest time to live: 10 years.
const TTL_SECONDS_MAX: i64 = 10 * 365 * 24 * 3600;

impl Host {
    /// The value of a key; nothing on a miss.
    pub(crate) async fn cache_get(&mut self, key: &[u8]) -> InTime<Option<Bytes>> {
        let found = match key_of(key) {
            Ok(key) => self.in_time(self.services.cache.get(key)).await?.map_err(Trouble::Cache),
            Err(refused) => Err(refused),
        };
        Ok(self.cached("cache_get", found).flatten().map(|entry| entry.value))
    }

    /// Sets a key for a number of seconds, 0 for ever.
    pub(crate) async fn cache_set(&mut self, key: &[u8], value: &[u8], ttl_seconds: i64) -> InTime<()> {
        let set = match key_of(key).and_then(|key| Ok((key, value_of(value)?, ttl_of(ttl_seconds)?))) {
            Ok((key, value, ttl)) => {
                self.in_time(self.services.cache.set(key, value, ttl)).await?.map_err(Trouble::Cache)
            }
            Err(refused) => Err(refused),
        };
        self.cached("cache_set", set);
        Ok(())
    }

    /// Deletes a key; true also when it was missing.
    pub(crate) async fn cache_delete(&mut self, key: &[u8]) -> InTime<bool> {
        let deleted = match key_of(key) {
            Ok(key) => self.in_time(self.services.cache.delete(key)).await?.map_err(Trouble::Cache),
            Err(refused) => Err(refused),
        };
        Ok(self.cached("cache_delete", deleted).is_some())
    }

    /// Adds to a counter and returns it; 0 on failure, and then the counter is unchanged.
    pub(crate) async fn cache_incr_by(&mut self, key: &[u8], delta: i64) -> InTime<i64> {
        let sum = match key_of(key) {
            Ok(key) => self.in_time(self.services.cache.add(key, delta)).await?.map_err(Trouble::Cache),
            Err(refused) => Err(refused),
        };
        Ok(self.cached("cache_incr", sum).unwrap_or_default())
    }

    /// The result, or a line in the log that says why there is none.
    fn cached<T>(&mut self, call: &str, result: Result<T, Trouble>) -> Option<T> {
        let trouble = match result {
            Ok(value) => return Some(value),
            Err(trouble) => trouble,
        };
        let message = match &trouble {
            Trouble::Refused(error) => error.to_string(),
            Trouble::Cache(error) => error.to_string(),
        };
        if let Trouble::Cache(error @ CacheError::Unavailable(_)) = &trouble {
            self.report("cache", error);
        }
        self.warn(format!("`{call}`: {message}"));
        None
    }
}

/// Why there is no result.
enum Trouble {
    Refused(Error),
    Cache(CacheError),
}

fn key_of(bytes: &[u8]) -> Result<CacheKey<'_>, Trouble> {
    match text("key", bytes, TEXT_BYTES_MAX) {
        Ok("") => Err(Trouble::Refused(Error::invalid("the key is empty"))),
        Ok(key) => Ok(CacheKey { map: FUNCTION_MAP, key }),
        Err(refused) => Err(Trouble::Refused(refused)),
    }
}

fn value_of(bytes: &[u8]) -> Result<Bytes, Trouble> {
    check_size("value", bytes, CACHE_VALUE_BYTES_MAX).map_err(Trouble::Refused)?;
    Ok(Bytes::copy_from_slice(bytes))
}

fn ttl_of(seconds: i64) -> Result<Option<Duration>, Trouble> {
    match seconds {
        0 => Ok(None),
        1..=TTL_SECONDS_MAX => Ok(Some(Duration::from_secs(seconds.unsigned_abs()))),
        _ => {
            let message = format!(
                "the time to live is {seconds} s; it must be 0 (for ever) to {TTL_SECONDS_MAX} s (10 years); nothing was stored"
            );
            Err(Trouble::Refused(Error::invalid(message)))
        }
    }
}
