//! Makes the calls that are owed.
//!
//! Begins what is due, a few of each function in turn, runs each call without a caller, and writes what became of it. A call that
//! failed is made again as often as its manifest says, in the queue: nothing is held meanwhile, and a restart forgets no attempt.
//! One for which there was no room is put off, which is no failure. What is given up stays as a dead delivery, and is told on the
//! `dlq_topic` of its function.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Caller, Credential, Error, ErrorCode, Namespace, RequestId, Retry, Timestamp, Topic};
use ports::{Asked, Death, Delivery, DeliveryEnd, MESSAGE_BYTES_MAX, Origin};
use serde_json::json;
use tokio::sync::OwnedRwLockReadGuard;

use super::agenda::{LaneKey, Places};
use super::{AGAIN_MAX, Board, count, event, places};
use crate::api::{Cause, Invoke};
use crate::bus::Outgoing;
use crate::invoke::Owed;
use crate::lease::Lease;
use crate::registry::Functions;
use crate::{Platform, jobs};

/// The longest sleep, so that a clock that is set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// A clock that goes back by more than this was set.
const JUMP_MIN: Duration = Duration::from_secs(1);
/// How often a delivery may be begun without an end: more, and it is what ends the node.
pub(crate) const BEGUN_MAX: u32 = 10;
/// How often a call may be put off: with the longest pause, for a day.
const PUT_OFF_MAX: u32 = 1500;
const PUT_OFF_FIRST: Duration = Duration::from_millis(500);
const PUT_OFF_LONGEST: Duration = Duration::from_secs(60);
/// The pause after the registry failed.
const REGISTRY_PAUSE: Duration = Duration::from_secs(1);
/// What the events of one call may have together, in bytes, unless the first alone has more.
const BATCH_BYTES_MAX: usize = 1 << 20;

type UnderWay = Arc<OwnedRwLockReadGuard<()>>;

/// Makes calls for as long as the platform lives.
pub(super) async fn run(platform: Weak<Platform>) {
    let Some(board) = platform.upgrade().map(|platform| platform.triggers.board.clone()) else { return };
    let mut ahead = None;
    while let Some(platform) = platform.upgrade() {
        platform.notice_set_clock(&mut ahead).await;
        let pause = platform.dispatch().await;
        drop(platform);
        tokio::select! {
            () = board.bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How many calls at once each may have.
struct Shares<'a> {
    platform: &'a Platform,
    functions: arc_swap::Guard<Arc<Functions>>,
}

impl Places for Shares<'_> {
    fn of_namespace(&self, namespace: &Namespace) -> usize {
        let set = self.platform.settings_of(namespace).concurrency.and_then(|set| usize::try_from(set).ok());
        places(set.unwrap_or(self.platform.config.limits.namespace_concurrency))
    }

    fn of_function(&self, lane: &LaneKey) -> usize {
        let function = self.functions.find(&lane.namespace, &lane.function);
        function.map_or(1, |function| function.active().version.manifest.concurrency as usize)
    }
}

/// A place on the node; given back when dropped, also by a call that panics.
struct Place {
    board: Arc<Board>,
    lane: LaneKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.board.agenda().ended(&self.lane);
        self.board.bell.notify_one();
    }
}

impl Platform {
    /// Begins whatever is due and has a place; returns how long there is nothing to do.
    async fn dispatch(self: &Arc<Self>) -> Duration {
        loop {
            // Held by every call that begins: a clean stop waits for them, and leaves the others in the queue.
            let Ok(under_way) = self.under_way.clone().try_read_owned() else { return SLEEP_MAX };
            if self.draining.load(Ordering::SeqCst) {
                return SLEEP_MAX;
            }
            let now = self.clock.now();
            let picked = {
                let shares = Shares { platform: self, functions: self.functions.load() };
                self.triggers.board.agenda().pick(now, &shares)
            };
            if picked.is_empty() {
                let next = self.triggers.board.agenda().next();
                return next.map_or(SLEEP_MAX, |next| until(next, now));
            }
            self.begin(picked, now, &Arc::new(under_way)).await;
        }
    }

    async fn begin(self: &Arc<Self>, picked: Vec<(LaneKey, usize)>, now: Timestamp, under_way: &UnderWay) {
        // Before the registry is asked: what it answers may be of a later namespace, but never of an earlier one.
        let leases: Vec<Arc<Lease>> = picked.iter().map(|(lane, _)| self.identity.lease_of(&lane.namespace)).collect();
        let asked = picked.iter().map(|(LaneKey { namespace, function }, limit)| Asked {
            namespace: namespace.clone(),
            function: function.clone(),
            limit: *limit,
        });
        let board = &self.triggers.board;
        let begun = match self.registry.begin_deliveries(asked.collect(), now).await {
            Ok(begun) => begun,
            Err(cause) => {
                tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to begin deliveries");
                let mut agenda = board.agenda();
                for (lane, places) in picked {
                    agenda.begun(&lane, places, Some(now + REGISTRY_PAUSE), now);
                }
                return;
            }
        };
        let mut deliveries = begun.deliveries.into_iter().peekable();
        for (((lane, places), lease), next) in picked.into_iter().zip(leases).zip(begun.next) {
            let mut of_lane = Vec::new();
            while let Some(delivery) = deliveries.next_if(|delivery| super::lane_of(delivery) == lane) {
                of_lane.push(delivery);
            }
            let calls = calls_of(of_lane);
            board.agenda().begun(&lane, places.saturating_sub(calls.len()), next, now);
            for call in calls {
                let place = Place { board: board.clone(), lane: lane.clone() };
                let (platform, lease, under_way) = (self.clone(), lease.clone(), under_way.clone());
                tokio::spawn(async move {
                    platform.make(call, &lease).await;
                    drop((place, under_way));
                });
            }
        }
    }

    /// Makes a call, or several if what was collected is too much for one.
    async fn make(self: &Arc<Self>, mut call: Vec<Delivery>, lease: &Arc<Lease>) {
        let Some(Delivery { batch_max, trigger, namespace, .. }) = call.first().cloned() else { return };
        let most = batch_max as usize;
        if let Some(trigger) = trigger.filter(|_| call.len() < most) {
            match self.registry.begin_companions(&namespace, &trigger, most - call.len()).await {
                Ok(companions) => call.extend(companions),
                Err(cause) => tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to begin deliveries"),
            }
        }
        call.sort_by(|a, b| (a.created_at, &a.event).cmp(&(b.created_at, &b.event)));
        for call in portions(call) {
            self.make_one(call, lease).await;
        }
    }

    async fn make_one(self: &Arc<Self>, call: Vec<Delivery>, lease: &Arc<Lease>) {
        if let [job] = &call[..]
            && jobs::is_job(job)
        {
            if let Some(end) = self.carry_out(job, lease).await {
                self.write_end(job.clone(), end).await;
            }
            return;
        }
        let ends = self.ends_of(call, lease).await;
        let ends = ends.into_iter().map(|(end, delivery)| self.write_end(delivery, end));
        futures_util::future::join_all(ends).await;
    }

    /// Runs the call and says what becomes of each of its deliveries.
    async fn ends_of(self: &Arc<Self>, call: Vec<Delivery>, lease: &Arc<Lease>) -> Vec<(DeliveryEnd, Delivery)> {
        // Held until the end is decided, so that the namespace is the one for which the call was owed.
        let Ok(_held) = lease.hold() else {
            let now = self.clock.now();
            return call.into_iter().map(|delivery| (DeliveryEnd::Later(now), delivery)).collect();
        };
        let (poisonous, call): (Vec<_>, Vec<_>) = call.into_iter().partition(|delivery| delivery.begun > BEGUN_MAX);
        let mut ends = Vec::with_capacity(poisonous.len() + call.len());
        for delivery in poisonous {
            ends.push((self.give_up_poison(&delivery).await, delivery));
        }
        if !call.is_empty() {
            let owed = self.invoke_owed(&invoke_of(&call)).await;
            for delivery in call {
                ends.push((self.end_of(&delivery, &owed).await, delivery));
            }
        }
        ends
    }

    /// Whatever it does, the node does not survive it.
    async fn give_up_poison(self: &Arc<Self>, delivery: &Delivery) -> DeliveryEnd {
        let why = format!("the server stopped {BEGUN_MAX} times while this call ran");
        let request_id = RequestId::new(delivery.id.clone());
        let owed = Owed { request_id, live: None, result: Err(Error::of(ErrorCode::Internal)) };
        self.give_up(delivery, &owed, why).await
    }

    async fn end_of(self: &Arc<Self>, delivery: &Delivery, owed: &Owed) -> DeliveryEnd {
        let counts = &self.triggers.counts;
        let Err(error) = &owed.result else {
            count(&counts.made, 1);
            return DeliveryEnd::Done;
        };
        let retry = owed.live.as_ref().map(|live| live.version.manifest.retry);
        match verdict(delivery, error, retry, self.clock.now()) {
            Some(end) => {
                let counter = if matches!(end, DeliveryEnd::Retry(_)) { &counts.failed } else { &counts.put_off };
                count(counter, 1);
                end
            }
            None => self.give_up(delivery, owed, format!("{}: {}", error.code, error.message)).await,
        }
    }

    /// A delivery is dead: its function's `dlq_topic` is told.
    async fn give_up(self: &Arc<Self>, delivery: &Delivery, owed: &Owed, why: String) -> DeliveryEnd {
        count(&self.triggers.counts.dead, 1);
        let (namespace, function, at) = (&delivery.namespace, &delivery.function, self.clock.now());
        tracing::debug!(%namespace, %function, delivery = delivery.id, why, "a triggered call was given up");
        if let Err(error) = self.tell_dead_letter(delivery, owed, &why, at).await {
            tracing::debug!(%namespace, %function, delivery = delivery.id, %error, "a dead letter was refused");
        }
        DeliveryEnd::Dead(Death { at, why })
    }

    async fn tell_dead_letter(&self, delivery: &Delivery, owed: &Owed, why: &str, at: Timestamp) -> Result<(), Error> {
        let active =
            || self.find(&delivery.namespace, &delivery.function.name).ok().map(|function| function.active().clone());
        let Some(live) = owed.live.clone().or_else(active) else { return Ok(()) };
        let Some(topic) = live.version.manifest.dlq_topic.as_deref().and_then(|topic| Topic::parse(topic).ok()) else {
            return Ok(());
        };
        let input = STANDARD.encode(&delivery.input);
        let fits = input.len() < MESSAGE_BYTES_MAX - (64 << 10);
        let mut letter = json!({
            "function_id": live.version.id,
            "function_name": live.version.name.as_str(),
            "namespace": delivery.namespace.as_str(),
            "request_id": owed.request_id.to_string(),
            "input": if fits { input } else { String::new() },
            "error": why,
            "failed_at": at.to_string(),
            "trigger_type": delivery.kind.as_str(),
            "delivery_id": delivery.id,
        });
        if !fits {
            letter["input_bytes_left_out"] = json!(delivery.input.len());
        }
        let message = Outgoing { topic, data: Bytes::from(letter.to_string()), origin: Origin::User };
        self.publish_through(&delivery.namespace, vec![message], delivery.depth.saturating_add(1)).await.map(drop)
    }

    /// Writes what became of a delivery, however often that takes. Who stops meanwhile makes the call again.
    async fn write_end(&self, delivery: Delivery, end: DeliveryEnd) {
        while let Err(error) = self.triggers.queue.end(delivery.clone(), end.clone()).await {
            if self.draining.load(Ordering::SeqCst) {
                tracing::warn!(delivery = delivery.id, %error, "the end of a call was not written: it is made again");
                return;
            }
            tokio::time::sleep(REGISTRY_PAUSE).await;
        }
    }

    /// A clock that was set back leaves deliveries due in what is the future again.
    async fn notice_set_clock(&self, ahead: &mut Option<(Timestamp, std::time::Instant)>) {
        let (now, instant) = (self.clock.now(), self.clock.instant());
        let seen = ahead.replace((now, instant));
        let Some((then, since)) = seen else { return };
        if now + JUMP_MIN >= then + instant.saturating_duration_since(since) {
            return;
        }
        tracing::warn!("the clock was set back: what is due is due now");
        match self.registry.hasten_deliveries(now, now + AGAIN_MAX).await {
            Err(cause) => tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to hasten deliveries"),
            Ok(_) => self.look_at_every_lane(now).await,
        }
    }

    async fn look_at_every_lane(&self, now: Timestamp) {
        let Ok(lanes) = self.registry.lanes(None).await else { return };
        let mut agenda = self.triggers.board.agenda();
        for lane in lanes {
            let key = LaneKey { namespace: lane.namespace, function: lane.function };
            agenda.note(&key, lane.due_at.unwrap_or(now));
        }
    }
}

/// What becomes of a call that failed; `None` when it is given up.
pub(crate) fn verdict(delivery: &Delivery, error: &Error, retry: Option<Retry>, now: Timestamp) -> Option<DeliveryEnd> {
    use ErrorCode::{FunctionExecutionFailed, FunctionUnavailable, Internal, RateLimited, ServiceUnavailable, Timeout};
    match error.code {
        FunctionExecutionFailed | Timeout | Internal => {
            let retry = retry.filter(|retry| delivery.failed < retry.count)?;
            Some(DeliveryEnd::Retry(now + retry.delay))
        }
        // One that is switched off is switched on again, most likely.
        RateLimited | ServiceUnavailable | FunctionUnavailable if delivery.put_off < PUT_OFF_MAX => {
            Some(DeliveryEnd::Later(now + put_off_for(delivery)))
        }
        _ => None,
    }
}

/// Twice as long each time, and no two deliveries equally long.
fn put_off_for(delivery: &Delivery) -> Duration {
    let longest = (PUT_OFF_FIRST * 2u32.pow(delivery.put_off.min(10))).min(PUT_OFF_LONGEST);
    let scatter =
        delivery.id.bytes().fold(delivery.put_off, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    longest / 2 + longest / 2 * (scatter % 1000) / 1000
}

/// What is due becomes calls: one for each, but what a trigger collects together.
fn calls_of(deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut calls: Vec<Vec<Delivery>> = Vec::new();
    for delivery in deliveries {
        let collects = |call: &&mut Vec<Delivery>| {
            let first = &call[0];
            first.batch_max > call.len() as u32 && first.trigger == delivery.trigger
        };
        match calls.iter_mut().find(collects).filter(|_| delivery.batch_max > 0) {
            Some(call) => call.push(delivery),
            None => calls.push(vec![delivery]),
        }
    }
    calls
}

/// What fits into one call, and the rest into others.
fn portions(call: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut portions: Vec<Vec<Delivery>> = Vec::new();
    let mut bytes = 0;
    for delivery in call {
        let fits = bytes + delivery.input.len() <= BATCH_BYTES_MAX && delivery.batch_max > 0;
        match portions.last_mut().filter(|_| fits) {
            Some(portion) => portion.push(delivery),
            None => {
                bytes = 0;
                portions.push(vec![delivery]);
            }
        }
        bytes += portions.last().and_then(|portion| portion.last()).map_or(0, |delivery| delivery.input.len());
    }
    portions
}

/// A call that nobody makes: without a caller, and as deep as what triggered it says.
pub(crate) fn invoke_of(call: &[Delivery]) -> Invoke {
    let first = &call[0];
    let depth = call.iter().map(|delivery| delivery.depth).max().unwrap_or(0);
    let job = jobs::is_job(first).then(|| first.id.as_str().into());
    Invoke {
        request_id: RequestId::new(super::new_id()),
        namespace: first.namespace.clone(),
        function: first.function.clone(),
        caller: Arc::new(Caller { credential: Credential::Platform, ..Caller::anonymous() }),
        trigger: first.kind,
        cause: Cause { depth, socket: None, job },
        http: None,
        input: event::input_of(call),
        client_request_id: Some(first.id.clone()),
        trace_id: None,
        idempotency_key: None,
    }
}

fn until(next: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(next - now).unwrap_or_default().clamp(Duration::from_millis(1), SLEEP_MAX)
}

#[cfg(test)]
mod tests;
