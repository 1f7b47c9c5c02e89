//! How much each namespace is owed, so that nobody fills the disk with calls that are never made.
//!
//! Counted in memory, in step with what is written: a charge is taken before deliveries are written and given back if they were
//! not. Whatever changes the queue on another way has it counted anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::{Error, ErrorCode, Namespace};
use ports::{Delivery, Lane};

use super::TRIGGER_LIMITS;

const DELIVERIES_MAX: u64 = TRIGGER_LIMITS.waiting;
const BYTES_MAX: u64 = TRIGGER_LIMITS.waiting_bytes;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) deliveries: u64,
    pub(super) bytes: u64,
}

impl Owed {
    fn plus(self, other: Self) -> Self {
        Self { deliveries: self.deliveries + other.deliveries, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            deliveries: self.deliveries.saturating_sub(other.deliveries),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    fn of<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> Self {
        deliveries.into_iter().fold(Self::default(), |owed, delivery| Self {
            deliveries: owed.deliveries + 1,
            bytes: owed.bytes + delivery.bytes,
        })
    }
}

/// What one namespace is owed, and what it will be owed once it is written.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    written: Owed,
    pending: Owed,
}

impl Account {
    fn all(&self) -> Owed {
        self.written.plus(self.pending)
    }
}

/// What every namespace is owed.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    accounts: Mutex<HashMap<Namespace, Account>>,
}

/// Room that was taken. Dropped without [`Charge::keep_but`], it is given back.
#[derive(Debug)]
pub(super) struct Charge {
    backlog: Arc<Backlog>,
    namespace: Namespace,
    taken: Owed,
}

impl Backlog {
    fn accounts(&self) -> MutexGuard<'_, HashMap<Namespace, Account>> {
        self.accounts.lock().expect("no holder panics")
    }

    fn change(&self, namespace: &Namespace, change: impl FnOnce(&mut Account)) {
        let mut accounts = self.accounts();
        let account = accounts.entry(namespace.clone()).or_default();
        change(account);
        if account.all() == Owed::default() {
            accounts.remove(namespace);
        }
    }

    /// Takes room for deliveries of a namespace, all or none.
    pub(super) fn charge(self: &Arc<Self>, namespace: &Namespace, deliveries: &[Delivery]) -> Result<Charge, Error> {
        let taken = Owed::of(deliveries);
        let mut accounts = self.accounts();
        let account = accounts.entry(namespace.clone()).or_default();
        let after = account.all().plus(taken);
        if after.deliveries > DELIVERIES_MAX || after.bytes > BYTES_MAX {
            return Err(full(account.all()));
        }
        account.pending = account.pending.plus(taken);
        Ok(Charge { backlog: self.clone(), namespace: namespace.clone(), taken })
    }

    /// A delivery has left the queue.
    pub(super) fn forget(&self, delivery: &Delivery) {
        let gone = Owed::of([delivery]);
        self.change(&delivery.namespace, |account| account.written = account.written.minus(gone));
    }

    /// A delivery of so many bytes was taken out of the queue before it was begun.
    pub(super) fn withdraw(&self, namespace: &Namespace, bytes: u64) {
        let gone = Owed { deliveries: 1, bytes };
        self.change(namespace, |account| account.written = account.written.minus(gone));
    }

    /// What is written for a namespace was counted.
    pub(super) fn set(&self, namespace: &Namespace, lanes: &[Lane]) {
        let of_lane = |lane: &Lane| Owed { deliveries: lane.deliveries, bytes: lane.bytes };
        let counted = lanes.iter().fold(Owed::default(), |owed, lane| owed.plus(of_lane(lane)));
        self.change(namespace, |account| account.written = counted);
    }

    /// Calls that all namespaces are owed together.
    pub(super) fn deliveries(&self) -> u64 {
        self.accounts().values().map(|account| account.written.deliveries).sum()
    }

    pub(super) fn has_room(&self, namespace: &Namespace) -> bool {
        let owed = self.accounts().get(namespace).map_or(Owed::default(), Account::all);
        owed.deliveries < DELIVERIES_MAX && owed.bytes < BYTES_MAX
    }
}

impl Charge {
    /// The deliveries were written, but for some: these are given back.
    pub(super) fn keep_but<'a>(self, left_out: impl IntoIterator<Item = &'a Delivery>) {
        let kept = self.taken.minus(Owed::of(left_out));
        self.backlog.change(&self.namespace, |account| account.written = account.written.plus(kept));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.backlog.change(&self.namespace, |account| account.pending = account.pending.minus(self.taken));
    }
}

fn full(owed: Owed) -> Error {
    let what = match owed.deliveries >= DELIVERIES_MAX / 2 {
        true => {
            format!("{} triggered calls of the namespace wait, and no more than {DELIVERIES_MAX} may", owed.deliveries)
        }
        false => format!("the triggered calls that wait hold {} bytes, and no more than {BYTES_MAX} may", owed.bytes),
    };
    Error::new(ErrorCode::RateLimited, what)
        .retry_after(Duration::from_secs(1))
        .hint("wait until they are made, or pause triggers with `orama function triggers pause`")
}

#[cfg(test)]
mod tests {
    use domain::{FunctionRef, Timestamp, TriggerKind};

    use super::*;

    fn delivery(bytes: u64) -> Delivery {
        let function = FunctionRef::parse("f").expect("a reference");
        let namespace = Namespace::default_namespace();
        let new = Delivery::new(namespace, function, TriggerKind::Pubsub, bytes::Bytes::new(), Timestamp::UNIX_EPOCH);
        Delivery { bytes, ..new }
    }

    fn owed(backlog: &Backlog) -> Owed {
        backlog.accounts().get(&Namespace::default_namespace()).map_or(Owed::default(), Account::all)
    }

    #[test]
    fn what_was_not_written_is_given_back() {
        let (backlog, home) = (Arc::new(Backlog::default()), Namespace::default_namespace());
        let both = [delivery(3), delivery(4)];
        drop(backlog.charge(&home, &both).expect("there is room"));
        assert_eq!(owed(&backlog), Owed::default());
        backlog.charge(&home, &both).expect("there is room").keep_but(&both[..1]);
        assert_eq!(owed(&backlog), Owed { deliveries: 1, bytes: 4 });
        backlog.forget(&both[1]);
        backlog.forget(&both[1]);
        assert_eq!(owed(&backlog), Owed::default(), "it never falls below nothing");
    }

    #[test]
    fn there_is_room_for_so_many_and_so_much() {
        let (backlog, home) = (Arc::new(Backlog::default()), Namespace::default_namespace());
        let large = [delivery(BYTES_MAX)];
        backlog.charge(&home, &large).expect("there is room").keep_but([]);
        assert!(!backlog.has_room(&home));
        let refused = backlog.charge(&home, &[delivery(1)]).expect_err("it is full");
        assert_eq!(refused.code, ErrorCode::RateLimited);
        assert!(refused.message.contains("268435456 bytes"), "{refused}");
        backlog.forget(&large[0]);

        let many: Vec<Delivery> = (0..DELIVERIES_MAX).map(|_| delivery(0)).collect();
        backlog.charge(&home, &many).expect("there is room").keep_but([]);
        let refused = backlog.charge(&home, &[delivery(0)]).expect_err("it is full");
        assert!(refused.message.starts_with("100000 triggered calls"), "{refused}");
    }
}
