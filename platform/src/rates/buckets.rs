//! Counting by the generic cell rate algorithm: of each who asks, one moment is kept, at which all will be as if it had never asked.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::RateLeft;

const MINUTE: Duration = Duration::from_secs(60);
const SHARDS: usize = 16;
/// As many are remembered by each shard; beyond that, who is nearest to rest is forgotten early.
const SHARD_ENTRIES_MAX: usize = 4096;

/// A limit: how many a minute, and how many of them at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    limit: u64,
    /// Between two that come evenly.
    apart: Duration,
    /// How far ahead of time one may be.
    tolerance: Duration,
}

impl Rate {
    /// `None` for 0, which means no limit.
    pub(super) fn of_half_a_minute(limit: u64) -> Option<Self> {
        Self::of(limit, limit / 2)
    }

    pub(super) fn of_a_quarter(limit: u64) -> Option<Self> {
        Self::of(limit, limit / 4)
    }

    fn of(limit: u64, burst: u64) -> Option<Self> {
        let apart = Duration::from_nanos((MINUTE.as_nanos() as u64).checked_div(limit)?.max(1));
        let burst = u32::try_from(burst.max(1)).unwrap_or(u32::MAX);
        Some(Self { limit, apart, tolerance: apart.saturating_mul(burst) })
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }
}

/// Nothing is left.
pub(super) struct Full {
    pub(super) retry_after: Duration,
}

/// Whoever asked lately, by a hash of who it is, and when it is as if it had not.
#[derive(Default)]
pub(super) struct Buckets {
    hasher: RandomState,
    shards: [Mutex<HashMap<u64, Instant>>; SHARDS],
}

impl Buckets {
    /// Takes one for `who`, if one is left.
    pub(super) fn take(&self, who: &impl Hash, rate: Rate, now: Instant) -> Result<RateLeft, Full> {
        let who = self.hasher.hash_one(who);
        let shard = &self.shards[who as usize % SHARDS];
        let mut rested_at = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = rested_at.get(&who).copied().unwrap_or(now).max(now);
        let next = earlier + rate.apart;
        let ahead = next - now;
        if ahead > rate.tolerance {
            return Err(Full { retry_after: ahead - rate.tolerance });
        }
        if !rested_at.contains_key(&who) {
            make_room(&mut rested_at, now);
        }
        rested_at.insert(who, next);
        let remaining = (rate.tolerance - ahead).as_nanos() / rate.apart.as_nanos();
        Ok(RateLeft { limit: rate.limit, remaining: remaining as u64, reset: ahead })
    }
}

/// Forgets whoever rests, for which it makes no difference; when hardly anybody does, also a quarter of the others, those who are
/// nearest to it: a few at a time would cost a look at all of them each time.
fn make_room(rested_at: &mut HashMap<u64, Instant>, now: Instant) {
    const LEFT_MAX: usize = SHARD_ENTRIES_MAX / 4 * 3;
    if rested_at.len() < SHARD_ENTRIES_MAX {
        return;
    }
    rested_at.retain(|_, at| *at > now);
    let mut moments: Vec<Instant> = rested_at.values().copied().collect();
    if moments.len() > LEFT_MAX {
        let last = moments.len() - LEFT_MAX - 1;
        let (_, nearest, _) = moments.select_nth_unstable(last);
        rested_at.retain(|_, at| *at > *nearest);
    }
}
