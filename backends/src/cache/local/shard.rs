//! A part of a namespace's entries, in the order of their last use, beside those that expire, in the order in which they do.
//!
//! Nothing here locks, looks at a clock or knows a budget.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hashlink::LinkedHashMap;
use hashlink::linked_hash_map::RawEntryMut;
use ports::CacheKey;

/// The key of an entry: the name of its map, then its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    text: Arc<str>,
    map_bytes: u8,
}

impl Name {
    fn of(key: CacheKey<'_>) -> Self {
        let map_bytes = key.map.len().try_into().expect("a checked map has at most 255 bytes");
        Self { text: [key.map, key.key].concat().into(), map_bytes }
    }

    pub fn key(&self) -> &str {
        self.as_key().key
    }

    fn as_key(&self) -> CacheKey<'_> {
        let (map, key) = self.text.split_at(self.map_bytes.into());
        CacheKey { map, key }
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As what it is looked up by.
        self.as_key().hash(state);
    }
}

/// Where an entry lies, or would.
pub(super) struct Place<'k> {
    pub key: CacheKey<'k>,
    /// The hash of the key by the hasher that the shards were made with.
    pub hash: u64,
}

/// What lies there.
#[derive(Debug)]
pub(super) struct Stored {
    pub value: Bytes,
    pub expires: Option<Instant>,
    /// The number of its last use.
    pub used: u64,
}

impl Stored {
    fn is_present(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

#[derive(Debug)]
pub(super) struct Shard {
    /// The least recently used ones in front.
    entries: LinkedHashMap<Name, Stored, RandomState>,
    expiring: BTreeSet<(Instant, Name)>,
    bytes: u64,
}

impl Shard {
    pub fn new(hasher: RandomState) -> Self {
        Self { entries: LinkedHashMap::with_hasher(hasher), expiring: BTreeSet::new(), bytes: 0 }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// What lies at `place`, expired or not, as used just now.
    pub fn touch(&mut self, place: &Place<'_>, used: u64) -> Option<&Stored> {
        match self.entries.raw_entry_mut().from_hash(place.hash, |name| name.as_key() == place.key) {
            RawEntryMut::Vacant(_) => None,
            RawEntryMut::Occupied(mut entry) => {
                entry.to_back();
                let stored = entry.into_mut();
                stored.used = used;
                Some(stored)
            }
        }
    }

    /// What lies at `place` and has not expired.
    pub fn get(&self, place: &Place<'_>, now: Instant) -> Option<&Stored> {
        let found = self.entries.raw_entry().from_hash(place.hash, |name| name.as_key() == place.key);
        found.map(|(_, stored)| stored).filter(|stored| stored.is_present(now))
    }

    pub fn insert(&mut self, place: &Place<'_>, stored: Stored) {
        self.bytes += place.key.weight(stored.value.len());
        let expires = stored.expires;
        let (name, old) = match self.entries.raw_entry_mut().from_hash(place.hash, |name| name.as_key() == place.key) {
            RawEntryMut::Vacant(entry) => {
                let name = Name::of(place.key);
                entry.insert_hashed_nocheck(place.hash, name.clone(), stored);
                (name, None)
            }
            RawEntryMut::Occupied(mut entry) => {
                entry.to_back();
                (entry.key().clone(), Some(entry.replace_value(stored)))
            }
        };
        if let Some(old) = old {
            self.release(&name, &old);
        }
        if let Some(expires) = expires {
            self.expiring.insert((expires, name));
        }
    }

    /// True when something that had not expired was removed.
    pub fn remove(&mut self, place: &Place<'_>, now: Instant) -> bool {
        match self.entries.raw_entry_mut().from_hash(place.hash, |name| name.as_key() == place.key) {
            RawEntryMut::Vacant(_) => false,
            RawEntryMut::Occupied(entry) => {
                let (name, stored) = entry.remove_entry();
                self.release(&name, &stored);
                stored.is_present(now)
            }
        }
    }

    pub fn remove_oldest(&mut self) {
        if let Some((name, stored)) = self.entries.pop_front() {
            self.release(&name, &stored);
        }
    }

    /// Removes a whole map and returns how many of its entries had not expired.
    pub fn remove_map(&mut self, map: &str, now: Instant) -> u64 {
        let all = self.entries.keys().filter(|name| name.as_key().map == map).cloned().collect::<Vec<_>>();
        let removed = all.into_iter().filter_map(|name| {
            let stored = self.entries.remove(&name)?;
            self.release(&name, &stored);
            stored.is_present(now).then_some(())
        });
        removed.count() as u64
    }

    /// Removes at most `limit` entries that have expired, and returns how many it did.
    pub fn sweep(&mut self, now: Instant, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit && self.has_expired(now) {
            let (_, name) = self.expiring.pop_first().expect("there is one that has expired");
            let stored = self.entries.remove(&name).expect("what expires is there");
            self.release(&name, &stored);
            swept += 1;
        }
        swept
    }

    pub fn clear(&mut self) {
        *self = Self::new(self.entries.hasher().clone());
    }

    /// When the entry to remove first was last used; one that has expired counts as never used.
    pub fn oldest(&self, now: Instant) -> Option<u64> {
        if self.has_expired(now) {
            return Some(0);
        }
        self.entries.front().map(|(_, stored)| stored.used)
    }

    /// The entries of a map behind the key `after`.
    pub fn names(&self, map: &str, after: Option<&str>, now: Instant) -> Vec<Name> {
        let wanted = |name: &Name| name.as_key().map == map && after.is_none_or(|after| name.key() > after);
        let found = self.entries.iter().filter(|(name, stored)| wanted(name) && stored.is_present(now));
        found.map(|(name, _)| name.clone()).collect()
    }

    fn has_expired(&self, now: Instant) -> bool {
        self.expiring.first().is_some_and(|(expires, _)| *expires <= now)
    }

    /// Forgets what was kept of an entry that is no longer there.
    fn release(&mut self, name: &Name, stored: &Stored) {
        self.bytes -= name.as_key().weight(stored.value.len());
        if let Some(expires) = stored.expires {
            self.expiring.remove(&(expires, name.clone()));
        }
    }
}
