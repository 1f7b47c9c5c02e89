//! The cache: bytes under a key, in named maps, with an optional time to live.
//!
//! A [`Cache`] is already that of one namespace; nothing here knows tenants. Implementations: `backends::cache`,
//! [`crate::memory::MemoryCaches`]. All pass [`crate::conformance::cache`].

use std::num::{IntErrorKind, ParseIntError};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorCode, Namespace};

use crate::BoxError;

/// The longest key, in bytes.
pub const CACHE_KEY_BYTES_MAX: usize = 1024;
/// The largest value, in bytes.
pub const CACHE_VALUE_BYTES_MAX: usize = 1 << 20;
/// The longest name of a map, in bytes.
pub const CACHE_MAP_BYTES_MAX: usize = 255;
/// What an entry counts besides its map, its key and its value; about what it costs to keep one.
pub const CACHE_ENTRY_BYTES: usize = 256;
/// The map that functions use.
pub const FUNCTION_MAP: &str = "serverless_cache";

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the {what} is {size} bytes, the limit is {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    /// The value is not a whole number, so that nothing can be added to it; it is unchanged.
    #[error("the value is not a whole number")]
    NotANumber,
    /// The counter would leave 64 bits; it is unchanged.
    #[error("the counter would overflow")]
    Overflow,
    /// Its namespace was deleted; nothing will ever come of it.
    #[error("the cache was removed with its namespace")]
    Removed,
    #[error("the cache is unavailable")]
    Unavailable(#[source] BoxError),
}

impl CacheError {
    /// As a client may read it.
    pub fn for_client(&self) -> Error {
        let code = match self {
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::NotANumber | Self::Overflow => ErrorCode::Conflict,
            Self::Removed => ErrorCode::NotFound,
            Self::Unavailable(_) => ErrorCode::ServiceUnavailable,
        };
        Error::new(code, self.to_string())
    }
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey<'a> {
    /// The name of a map, at most [`CACHE_MAP_BYTES_MAX`] bytes.
    pub map: &'a str,
    /// At most [`CACHE_KEY_BYTES_MAX`] bytes, not empty.
    pub key: &'a str,
}

impl CacheKey<'_> {
    /// Refuses names that are too long, and a value that is too large; for implementations.
    pub fn check(&self, value: &[u8]) -> Result<(), CacheError> {
        within("map", self.map.len(), CACHE_MAP_BYTES_MAX)?;
        within("key", self.key.len(), CACHE_KEY_BYTES_MAX)?;
        within("value", value.len(), CACHE_VALUE_BYTES_MAX)
    }

    /// What an entry of `value_bytes` under this key counts against the budget.
    pub fn weight(&self, value_bytes: usize) -> u64 {
        (self.map.len() + self.key.len() + value_bytes + CACHE_ENTRY_BYTES) as u64
    }
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), CacheError> {
    if size <= limit { Ok(()) } else { Err(CacheError::TooLarge { what, size, limit }) }
}

/// The decimal number in `value` (0 when there is none) plus `delta`; for implementations of [`Cache::add`].
pub fn cache_sum(value: Option<&[u8]>, delta: i64) -> Result<i64, CacheError> {
    let present = match value {
        None => 0,
        Some(text) => parse_number(text)?,
    };
    present.checked_add(delta).ok_or(CacheError::Overflow)
}

fn parse_number(text: &[u8]) -> Result<i64, CacheError> {
    let text = std::str::from_utf8(text).map_err(|_| CacheError::NotANumber)?;
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        // Digits, but more than 64 bits hold: no sum of it fits either.
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => CacheError::Overflow,
        _ => CacheError::NotANumber,
    })
}

/// A value with what is left of its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    pub value: Bytes,
    /// `None` means that it does not expire.
    pub ttl: Option<Duration>,
}

/// How full a namespace's cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheUsage {
    pub entries: u64,
    /// Maps, keys and values together, and [`CACHE_ENTRY_BYTES`] for each entry.
    pub bytes: u64,
    pub bytes_max: u64,
}

/// The cache of one namespace.
#[async_trait]
pub trait Cache: Send + Sync {
    async fn get(&self, key: CacheKey<'_>) -> Result<Option<CacheEntry>, CacheError>;

    /// Sets a value; `None` means that it does not expire. The least recently used entries make room.
    async fn set(&self, key: CacheKey<'_>, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError>;

    /// True when there was something to delete.
    async fn delete(&self, key: CacheKey<'_>) -> Result<bool, CacheError>;

    /// Adds to the decimal number under `key` (0 when there is none) and returns the sum. The time to live stays.
    async fn add(&self, key: CacheKey<'_>, delta: i64) -> Result<i64, CacheError>;

    /// Sets `value` if the present value is `expected` (`None`: if there is none); true when it did.
    async fn compare_and_swap(
        &self,
        key: CacheKey<'_>,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<bool, CacheError>;

    /// The keys of a map that `wanted` accepts, sorted, behind `after`, at most `limit`.
    async fn keys(
        &self,
        map: &str,
        wanted: &(dyn for<'k> Fn(&'k str) -> bool + Sync),
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, CacheError>;

    /// Deletes every entry of a map; returns how many.
    async fn clear_map(&self, map: &str) -> Result<u64, CacheError>;

    async fn usage(&self) -> Result<CacheUsage, CacheError>;
}

/// The caches of a node.
#[async_trait]
pub trait Caches: Send + Sync {
    /// The cache of `namespace`, until it is removed.
    fn of(&self, namespace: &Namespace) -> Arc<dyn Cache>;

    /// Deletes everything that `namespace` has cached. What [`Caches::of`] gave before answers [`CacheError::Removed`] from now
    /// on: a later namespace of that name gets a cache of its own.
    async fn remove(&self, namespace: &Namespace) -> Result<(), CacheError>;

    /// Is the cache there? The error says why not.
    async fn check(&self) -> Result<(), CacheError>;
}
