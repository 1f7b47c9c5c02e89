//! Watches the clock and fires what is due.
//!
//! The loop sleeps until the first schedule is due, but never long: a wall clock may jump. What it finds due it claims in the
//! registry, so that a slot is fired once however often it is looked at, and a clock that goes back finds nothing new. One that was
//! ahead by more than a day and is set right would leave schedules silent for as long: then they begin anew.
//!
//! A schedule whose function is disabled lets its slots pass; one moment (`once`) waits until the function is enabled. While the
//! namespace is owed as much as it may be, everything waits, and is late afterwards: the catch-up policy says what that means.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use domain::{Error, ErrorCode, Overlap, Timestamp, Trigger, TriggerSpec};
use ports::{Delivery, RegistryError};

use super::plan::{Plan, plan};
use crate::Platform;

/// The longest sleep while there are schedules: a clock that jumps is noticed within this.
const SLEEP_MAX: Duration = Duration::from_secs(1);
const SLEEP_IDLE: Duration = Duration::from_secs(60);
/// Schedules that one look fires; the others are next.
const PER_LOOK_MAX: usize = 256;
/// Calls of a schedule that wait for each other.
const IN_TURN_MAX: u64 = 1000;
/// A clock that was ahead by more than this was wrong.
const AHEAD_MIN: Duration = Duration::from_secs(24 * 3600);
/// The first pause after the registry failed, and the longest.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
const FAILED_PAUSE_MAX: Duration = Duration::from_secs(30);

/// What came of slots since the start.
#[derive(Default)]
pub(crate) struct Watched {
    fired: AtomicU64,
    left_out: AtomicU64,
}

impl Watched {
    /// Slots that became calls.
    pub(crate) fn fired(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }

    /// Slots that became none, since the call before still ran or the function was disabled.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

/// Fires schedules for as long as the platform lives.
pub(crate) async fn run(platform: Weak<Platform>) {
    let Some(changed) = platform.upgrade().map(|platform| platform.triggers.changed()) else { return };
    let mut watch = Watch::default();
    while let Some(platform) = platform.upgrade() {
        if platform.draining.load(Ordering::SeqCst) {
            return;
        }
        let pause = watch.tick(&platform, platform.clock.now()).await;
        drop(platform);
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What the loop remembers from one look at the clock to the next.
#[derive(Default)]
struct Watch {
    /// What the clock showed then.
    seen: Option<Timestamp>,
    /// How often in a row the registry failed.
    failures: u32,
    /// Schedules whose last slots were left out, and how many: it is told once.
    silent: HashMap<String, u64>,
}

impl Watch {
    /// Fires whatever is due as the clock shows `now`; returns for how long there is nothing to do.
    async fn tick(&mut self, platform: &Arc<Platform>, now: Timestamp) -> Duration {
        let mut schedules = platform.triggers.schedules();
        if self.seen.replace(now).is_none_or(|seen| now < seen) {
            match set_right(platform, &schedules, now).await {
                Ok(false) => {}
                Ok(true) => schedules = platform.triggers.schedules(),
                Err(error) => {
                    self.seen = None;
                    return self.failed(&error);
                }
            }
        }
        if !self.silent.is_empty() {
            let known: HashSet<&str> = schedules.iter().map(|trigger| trigger.id.as_str()).collect();
            self.silent.retain(|id, _| known.contains(id.as_str()));
        }
        let mut due: Vec<&Arc<Trigger>> = schedules.iter().filter(|trigger| is_ready(platform, trigger, now)).collect();
        due.sort_by_key(|trigger| trigger.next_run_at);
        for trigger in due.iter().take(PER_LOOK_MAX) {
            if let Err(error) = self.fire(platform, trigger, now).await {
                return self.failed(&error);
            }
        }
        self.failures = 0;
        match due.len() > PER_LOOK_MAX {
            true => Duration::ZERO,
            false => pause(&platform.triggers.schedules(), now),
        }
    }

    /// Claims what is due of one schedule, and lets it be called as its policies say.
    async fn fire(&mut self, platform: &Arc<Platform>, trigger: &Arc<Trigger>, now: Timestamp) -> Result<(), Error> {
        let Some(due) = trigger.next_run_at else { return Ok(()) };
        let Plan { fire, next } = plan(&trigger.spec, due, now).unwrap_or(Plan { fire: Vec::new(), next: None });
        if next.is_none() && fire.is_empty() {
            let (namespace, function) = (&trigger.namespace, &trigger.function);
            tracing::warn!(%namespace, %function, trigger = trigger.id, "a schedule is never due again");
        }
        let wanted = fire.len();
        let deliveries = admitted(platform, trigger, fire, now).await?;
        let fired = deliveries.len();
        if !platform.claim(trigger, due, next, deliveries).await? {
            return Ok(());
        }
        platform.watched.fired.fetch_add(fired as u64, Ordering::Relaxed);
        platform.watched.left_out.fetch_add((wanted - fired) as u64, Ordering::Relaxed);
        if wanted > 0 {
            self.tell(trigger, due, wanted - fired);
        }
        Ok(())
    }

    /// Says that slots are left out when it begins and when it ends, not at each of them.
    fn tell(&mut self, trigger: &Trigger, slot: Timestamp, left_out: usize) {
        let Trigger { id, namespace, function, .. } = trigger;
        match (left_out, self.silent.get_mut(id)) {
            (0, None) => {}
            (0, Some(_)) => {
                let count = self.silent.remove(id);
                tracing::info!(%namespace, %function, trigger = id, count, "a schedule fires again");
            }
            (more, Some(count)) => *count += more as u64,
            (more, None) => {
                tracing::info!(
                    %namespace, %function, trigger = id, %slot,
                    "a slot is left out: the call before still runs, or the function is disabled"
                );
                self.silent.insert(id.clone(), more as u64);
            }
        }
    }

    fn failed(&mut self, error: &Error) -> Duration {
        if self.failures == 0 {
            tracing::warn!(%error, "schedules cannot be fired; it is tried again");
        }
        self.failures = self.failures.saturating_add(1);
        (FAILED_PAUSE * 2u32.pow(self.failures.min(6) - 1)).min(FAILED_PAUSE_MAX)
    }
}

/// Is it due, and is there nothing for which it has to wait?
fn is_ready(platform: &Platform, trigger: &Trigger, now: Timestamp) -> bool {
    let due = trigger.next_run_at.is_some_and(|due| due <= now);
    let waits = || matches!(trigger.spec, TriggerSpec::Once { .. }) && !platform.is_enabled(trigger);
    due && platform.triggers.has_room(&trigger.namespace) && !waits()
}

/// The calls for those slots that the overlap policy lets through.
async fn admitted(
    platform: &Platform,
    trigger: &Trigger,
    slots: Vec<Timestamp>,
    now: Timestamp,
) -> Result<Vec<Delivery>, Error> {
    if slots.is_empty() || !platform.is_enabled(trigger) {
        return Ok(Vec::new());
    }
    let overlap = match &trigger.spec {
        TriggerSpec::Cron { overlap, .. } => *overlap,
        _ => Overlap::Allow,
    };
    let room = match overlap {
        Overlap::Allow => usize::MAX,
        Overlap::Skip if platform.owed_by(trigger).await? > 0 => 0,
        Overlap::Skip => usize::MAX,
        Overlap::Queue => IN_TURN_MAX.saturating_sub(platform.owed_by(trigger).await?) as usize,
    };
    // Those that are made up for together shall not overlap either.
    let in_turn = overlap == Overlap::Queue || (overlap == Overlap::Skip && slots.len() > 1);
    let delivery = |slot| Delivery { in_turn, ..super::delivery(trigger, slot, now) };
    Ok(slots.into_iter().take(room).map(delivery).collect())
}

/// Schedules that wait for a moment far behind their next one were told so by a clock that was ahead; those without any come from
/// manifests that are older than schedules. True when there were such.
async fn set_right(platform: &Platform, schedules: &[Arc<Trigger>], now: Timestamp) -> Result<bool, Error> {
    let mut any = false;
    for trigger in platform.triggers.all().iter().filter(|trigger| trigger.enabled && trigger.next_run_at.is_none()) {
        if trigger.last_run_at.is_none()
            && let Some(next) = super::next(&trigger.spec, now)
        {
            any |= platform.set_next_run(trigger, next).await?;
        }
    }
    for trigger in schedules.iter().filter(|trigger| matches!(trigger.spec, TriggerSpec::Cron { .. })) {
        let Some((due, next)) = trigger.next_run_at.zip(super::next(&trigger.spec, now)) else { continue };
        if due > next + AHEAD_MIN {
            let (namespace, function) = (&trigger.namespace, &trigger.function);
            tracing::warn!(%namespace, %function, trigger = trigger.id, %due, %next, "the clock was ahead: a schedule begins anew");
            any |= platform.set_next_run(trigger, next).await?;
        }
    }
    Ok(any)
}

fn pause(schedules: &[Arc<Trigger>], now: Timestamp) -> Duration {
    let next = schedules.iter().filter_map(|trigger| trigger.next_run_at).filter(|due| *due > now).min();
    match next {
        _ if schedules.is_empty() => SLEEP_IDLE,
        None => SLEEP_MAX,
        Some(next) => Duration::try_from(next - now).unwrap_or(SLEEP_MAX).clamp(Duration::from_millis(1), SLEEP_MAX),
    }
}

impl Platform {
    /// Moves a schedule on from `slot`, and owes the calls; false when somebody else did, or it was changed meanwhile.
    async fn claim(
        self: &Arc<Self>,
        trigger: &Arc<Trigger>,
        slot: Timestamp,
        next: Option<Timestamp>,
        deliveries: Vec<Delivery>,
    ) -> Result<bool, Error> {
        let lease = self.identity.lease_of(&trigger.namespace);
        // The namespace is being deleted, and its triggers with it.
        let Ok(_held) = lease.hold() else { return Ok(false) };
        let (namespace, id) = (&trigger.namespace, &trigger.id);
        let write = self.registry.claim_slot(namespace, id, slot, next, deliveries.clone());
        let write = async { write.await.map_err(not_fired) };
        let claimed = match self.triggers.owe(namespace, &deliveries, write).await {
            // Somebody else took the room; it stays due.
            Err(full) if full.code == ErrorCode::RateLimited => return Ok(false),
            claimed => claimed?,
        };
        if claimed {
            self.triggers.update(namespace, id, |trigger| {
                if trigger.next_run_at == Some(slot) {
                    (trigger.next_run_at, trigger.last_run_at) = (next, Some(slot));
                }
            });
        }
        Ok(claimed)
    }

    async fn set_next_run(&self, trigger: &Trigger, next: Timestamp) -> Result<bool, Error> {
        let (namespace, id) = (&trigger.namespace, &trigger.id);
        match self.registry.set_next_run(namespace, id, Some(next)).await {
            Err(RegistryError::NotFound) => return Ok(false),
            set => set.map_err(not_fired)?,
        }
        self.triggers.update(namespace, id, |trigger| trigger.next_run_at = Some(next));
        Ok(true)
    }

    async fn owed_by(&self, trigger: &Trigger) -> Result<u64, Error> {
        self.registry.owed_by(&trigger.namespace, &trigger.id).await.map_err(not_fired)
    }

    fn is_enabled(&self, trigger: &Trigger) -> bool {
        let functions = self.functions.load();
        functions.find(&trigger.namespace, &trigger.function).is_some_and(|function| function.state.enabled)
    }
}

/// Told by the loop, which knows whether it was told before.
fn not_fired(error: RegistryError) -> Error {
    Error::new(ErrorCode::ServiceUnavailable, format!("{error}"))
}

#[cfg(test)]
mod tests;
