//! How many requests a namespace, a caller and an address may make.
//!
//! Each limit refills evenly and lets half a minute's worth through at once. Limits are read at each request, so a change holds
//! at once; nothing is kept about who is within its limits and at rest.

mod buckets;

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use domain::{Caller, Credential, Error, ErrorCode, Namespace, NamespaceSettings};

use crate::{Config, Platform};
use buckets::{Buckets, Full, Rate};

/// What is left of the limit that is nearest to its end, for the RateLimit headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLeft {
    /// Requests a minute.
    pub limit: u64,
    pub remaining: u64,
    /// Until everything is there again.
    pub reset: Duration,
}

/// Who has asked how often lately.
#[derive(Default)]
pub(crate) struct Rates {
    namespaces: Buckets,
    callers: Buckets,
    sign_ins: Buckets,
}

impl Platform {
    /// Counts a request of a caller; `None` when no limit is set. A refusal is `RATE_LIMITED` and says when to come back.
    pub fn count_request(&self, caller: &Caller, address: IpAddr) -> Result<Option<RateLeft>, Error> {
        match &caller.namespace {
            Some(home) => self.count_within(&self.settings_of(home), caller, address),
            None => self.count_within(&self.config.namespace_defaults, caller, address),
        }
    }

    /// Counts a call of a function towards the limit of the function's namespace, for a caller whose home is elsewhere, or who
    /// has none: [`Self::count_request`] counts at home alone.
    pub fn count_call_from_elsewhere(&self, caller: &Caller, called: &Namespace) -> Result<Option<RateLeft>, Error> {
        if caller.namespace.as_ref() == Some(called) || caller.credential == Credential::Platform {
            return Ok(None);
        }
        let limit = self.settings_of(called).requests_per_minute.and_then(Rate::of_half_a_minute);
        let Some(rate) = limit else { return Ok(None) };
        let taken = self.rates.namespaces.take(called, rate, self.clock.instant());
        let too_many = |full| refused(&full, &format!("the functions of `{called}` take {} a minute", rate.limit()));
        taken.map(Some).map_err(too_many)
    }

    fn count_within(
        &self,
        settings: &NamespaceSettings,
        caller: &Caller,
        address: IpAddr,
    ) -> Result<Option<RateLeft>, Error> {
        let of_namespace = settings.requests_per_minute.and_then(Rate::of_half_a_minute);
        let of_caller = settings.caller_requests_per_minute.and_then(Rate::of_half_a_minute);
        if of_namespace.is_none() && of_caller.is_none() || caller.credential == Credential::Platform {
            return Ok(None);
        }
        let now = self.clock.instant();
        // The caller first: who is refused here uses up nothing that others of the namespace share.
        let caller_left = of_caller.map(|rate| self.count_caller(rate, caller, address, now)).transpose()?;
        let shared = of_namespace.zip(caller.namespace.as_ref());
        let shared_left = shared.map(|(rate, home)| self.count_namespace(rate, home, now)).transpose()?;
        Ok(caller_left.into_iter().chain(shared_left).min_by_key(|left| left.remaining))
    }

    fn count_caller(&self, rate: Rate, caller: &Caller, address: IpAddr, now: Instant) -> Result<RateLeft, Error> {
        let taken = match (&caller.credential, &caller.subject, &caller.namespace) {
            (Credential::Key { id }, ..) => self.rates.callers.take(&("key", id), rate, now),
            (_, Some(subject), home) => self.rates.callers.take(&("subject", home, subject), rate, now),
            (Credential::Token { session }, ..) => self.rates.callers.take(&("session", session), rate, now),
            _ => self.rates.callers.take(&("address", network(address)), rate, now),
        };
        taken.map_err(|full| refused(&full, &format!("one caller may send {} a minute", rate.limit())))
    }

    fn count_namespace(&self, rate: Rate, home: &Namespace, now: Instant) -> Result<RateLeft, Error> {
        let taken = self.rates.namespaces.take(home, rate, now);
        taken.map_err(|full| refused(&full, &format!("the namespace `{home}` may send {} a minute", rate.limit())))
    }

    /// Counts an attempt to sign in from an address, which has a limit of its own.
    pub fn count_sign_in(&self, address: IpAddr) -> Result<(), Error> {
        let Config { sign_ins_per_minute, .. } = self.config;
        let Some(rate) = Rate::of_a_quarter(sign_ins_per_minute) else { return Ok(()) };
        match self.rates.sign_ins.take(&network(address), rate, self.clock.instant()) {
            Ok(_) => Ok(()),
            Err(full) => {
                Err(refused(&full, &format!("one address may try to sign in {} times a minute", rate.limit())))
            }
        }
    }
}

fn refused(full: &Full, limit: &str) -> Error {
    Error::new(ErrorCode::RateLimited, format!("too many requests: {limit}")).retry_after(full.retry_after)
}

/// An address as it counts. Whoever has one IPv6 address has at least 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}
