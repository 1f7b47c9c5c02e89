//! Triggers: what a function waits for, and the calls that it is owed when that happens.
//!
//! A message, a change of a table or a slot of a schedule becomes deliveries, rows of a queue on disk, before it is acknowledged or
//! forgotten; the [`dispatcher`] makes the calls, at least once each. `known.rs` has the triggers in memory, `queue.rs` writes,
//! `agenda.rs` says who is next, `feeds.rs` reads what changed in databases, `manage.rs` is what people do with triggers. When a
//! schedule is due, [`crate::schedule`] knows.

mod agenda;
mod backlog;
pub(crate) mod dispatcher;
mod event;
mod feeds;
mod known;
mod manage;
mod queue;
mod windows;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use domain::{Error, FunctionRef, Namespace, TRIGGER_DEPTH_MAX, Timestamp, Trigger, TriggerKind};
use ports::{Clock, Delivery, Registry};
use tokio::sync::Notify;

use crate::bus::Outgoing;
use crate::lease::Lease;
use crate::{Config, OpenError, Platform, cannot_read};
use agenda::{Agenda, LaneKey};
use backlog::Backlog;
use feeds::Feeds;
use known::{Known, OfNamespace, TopicTrigger};
use queue::{Listener, Queue};
use windows::Windows;

pub use manage::Fired;

/// What nobody may have more of.
#[derive(Debug, Clone, Copy)]
pub struct TriggerLimits {
    /// Triggers of one function; `domain::LIMITS` has the same for a manifest.
    pub per_function: usize,
    pub per_namespace: usize,
    /// Those of a namespace that are patterns: a message looks at each of them.
    pub patterns: usize,
    /// Calls that a namespace may be owed at once, and the bytes of what they are given, those of one event once.
    pub waiting: u64,
    pub waiting_bytes: u64,
    /// Given-up calls that are kept for a namespace, their bytes, and for how long.
    pub dead: u64,
    pub dead_bytes: u64,
    pub dead_age: Duration,
}

pub const TRIGGER_LIMITS: TriggerLimits = TriggerLimits {
    per_function: 100,
    per_namespace: 2000,
    patterns: 1000,
    waiting: 100_000,
    waiting_bytes: 256 << 20,
    dead: 10_000,
    dead_bytes: 64 << 20,
    dead_age: Duration::from_secs(30 * 24 * 3600),
};

/// The longest time after which a call that failed, or found no room, is made again: that of a manifest's `retry.delay`.
const AGAIN_MAX: Duration = Duration::from_secs(300);
/// Deliveries of a publish that are written at once, and those of one event more.
const PORTION: usize = 1000;
/// How often the log hears that something of a namespace stands too deep.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// The triggers of a node, and what it owes because of them.
pub(crate) struct Triggers {
    /// Replaced by whoever holds the management lock.
    known: ArcSwap<Known>,
    windows: Mutex<Windows>,
    backlog: Arc<Backlog>,
    queue: Queue,
    board: Arc<Board>,
    feeds: Arc<Feeds>,
    /// For whoever watches the clock: triggers were changed.
    changed: Arc<Notify>,
    clock: Arc<dyn Clock>,
    counts: Counts,
    /// When it was said last of a namespace that something stands too deep.
    said: Mutex<HashMap<Namespace, Instant>>,
}

/// The agenda, and a bell for whenever it changes.
struct Board {
    agenda: Mutex<Agenda>,
    bell: Notify,
}

impl Board {
    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().expect("no holder panics")
    }

    fn note(&self, deliveries: &[Delivery]) {
        if deliveries.is_empty() {
            return;
        }
        let mut agenda = self.agenda();
        for delivery in deliveries {
            agenda.note(&lane_of(delivery), delivery.due_at);
        }
        drop(agenda);
        self.bell.notify_one();
    }
}

fn lane_of(delivery: &Delivery) -> LaneKey {
    LaneKey { namespace: delivery.namespace.clone(), function: delivery.function.name.clone() }
}

/// What became of deliveries since the start.
#[derive(Default)]
struct Counts {
    owed: AtomicU64,
    made: AtomicU64,
    failed: AtomicU64,
    put_off: AtomicU64,
    dead: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
}

/// The same at one moment, with what waits or runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    pub triggers: u64,
    /// Calls that are owed now.
    pub waiting: u64,
    /// Calls that run now.
    pub running: u64,
    /// Calls that came to be owed.
    pub owed: u64,
    /// Calls that were made and succeeded.
    pub made: u64,
    /// Calls that failed and are made again.
    pub failed: u64,
    /// Calls for which there was no room, and that are made later.
    pub put_off: u64,
    /// Calls that were given up.
    pub dead: u64,
    /// Publishes that were refused since the namespace was owed too much.
    pub refused: u64,
    /// Events that triggered nothing since they stood too deep.
    pub cut: u64,
}

impl Triggers {
    /// Reads triggers and the queue. What an earlier process had begun is owed again.
    pub(crate) async fn load(
        registry: Arc<dyn Registry>,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> Result<Arc<Self>, OpenError> {
        let known = Known::of(registry.load_triggers().await.map_err(cannot_read("triggers"))?);
        let now = clock.now();
        registry.release_deliveries().await.map_err(cannot_read("deliveries"))?;
        registry.hasten_deliveries(now, now + AGAIN_MAX).await.map_err(cannot_read("deliveries"))?;
        let lanes = registry.lanes(None).await.map_err(cannot_read("deliveries"))?;

        let (backlog, mut agenda) = (Arc::new(Backlog::default()), Agenda::new(places(config.limits.node_concurrency)));
        let mut by_namespace: BTreeMap<Namespace, Vec<_>> = BTreeMap::new();
        for lane in lanes {
            if let Some(due) = lane.due_at {
                agenda.note(&LaneKey { namespace: lane.namespace.clone(), function: lane.function.clone() }, due);
            }
            by_namespace.entry(lane.namespace.clone()).or_default().push(lane);
        }
        by_namespace.iter().for_each(|(namespace, lanes)| backlog.set(namespace, lanes));
        let board = Arc::new(Board { agenda: Mutex::new(agenda), bell: Notify::new() });
        let listener: Listener = {
            let board = board.clone();
            Arc::new(move |deliveries| board.note(deliveries))
        };
        Ok(Arc::new(Self {
            known: ArcSwap::from_pointee(known),
            windows: Mutex::default(),
            queue: Queue::start(registry, backlog.clone(), listener),
            backlog,
            board,
            feeds: Arc::default(),
            changed: Arc::default(),
            clock,
            counts: Counts::default(),
            said: Mutex::default(),
        }))
    }

    /// Owes a call to each trigger that waits for one of these messages; on disk when this returns. `depth` is that of the calls:
    /// beyond the deepest nothing is owed. Whoever calls this holds the lease of the namespace.
    pub(crate) async fn deliver(
        &self,
        namespace: &Namespace,
        lease: &Arc<Lease>,
        messages: &[Outgoing],
        depth: u8,
    ) -> Result<(), Error> {
        let owed = match self.known.load().of_namespace(namespace) {
            None => return Ok(()),
            Some(known) => self.owed_for(known, namespace, messages, depth),
        };
        if owed.is_empty() {
            return Ok(());
        }
        let portions = portions(owed);
        // All or none: what is taken is given back when something is refused.
        let charges =
            portions.iter().map(|portion| self.backlog.charge(namespace, portion)).collect::<Result<Vec<_>, _>>();
        let charges = charges.inspect_err(|_| count(&self.counts.refused, 1))?;
        for (portion, charge) in portions.into_iter().zip(charges) {
            let owes = portion.len() as u64;
            self.queue.write(portion, lease.clone(), charge).await?;
            count(&self.counts.owed, owes);
        }
        Ok(())
    }

    fn owed_for(&self, known: &OfNamespace, namespace: &Namespace, messages: &[Outgoing], depth: u8) -> Vec<Delivery> {
        let now = self.clock.now();
        let mut owed = Vec::new();
        for Outgoing { topic, data, .. } in messages {
            let triggers: Vec<&Arc<TopicTrigger>> = known.of_topic(topic).collect();
            if triggers.is_empty() {
                continue;
            }
            if depth > TRIGGER_DEPTH_MAX {
                self.cut(namespace, topic.as_str(), triggers.len());
                continue;
            }
            let event = new_id();
            let input = event::of_message(namespace, topic, data, depth, now, &event);
            let bytes = (input.len() as u64).div_ceil(triggers.len() as u64);
            owed.extend(triggers.into_iter().map(|known| {
                let trigger = &known.trigger;
                let function = FunctionRef { name: trigger.function.clone(), version: None };
                Delivery {
                    id: new_id(),
                    event: event.clone(),
                    trigger: Some(trigger.id.clone()),
                    bytes,
                    depth,
                    batch_max: known.batch_max,
                    due_at: self.due(known, now),
                    ..Delivery::new(namespace.clone(), function, TriggerKind::Pubsub, input.clone(), now)
                }
            }));
        }
        owed
    }

    /// When a message is due: at once, or at the end of the window in which its trigger collects.
    fn due(&self, known: &TopicTrigger, now: Timestamp) -> Timestamp {
        match known.batch_max {
            0 => now,
            batch_max => {
                let window = Duration::from_millis(known.window_ms.into());
                self.windows.lock().expect("no holder panics").due(&known.trigger.id, batch_max, window, now)
            }
        }
    }

    /// Something that would trigger stands too deep: most likely in a circle. Said now and then, since circles are quick.
    fn cut(&self, namespace: &Namespace, source: &str, triggers: usize) {
        count(&self.counts.cut, triggers as u64);
        let now = self.clock.instant();
        let mut said = self.said.lock().expect("no holder panics");
        said.retain(|_, at| now.saturating_duration_since(*at) < SAY_AGAIN);
        if said.contains_key(namespace) {
            return;
        }
        said.insert(namespace.clone(), now);
        drop(said);
        tracing::warn!(
            %namespace, source, triggers,
            "nothing is triggered: {TRIGGER_DEPTH_MAX} triggered calls stand above it already; do they go in a circle?"
        );
    }

    /// The triggers of a namespace.
    pub(crate) fn of_namespace(&self, namespace: &Namespace) -> Vec<Arc<Trigger>> {
        self.known.load().of_namespace(namespace).map(|known| known.all().to_vec()).unwrap_or_default()
    }

    /// Every trigger of the node.
    pub(crate) fn all(&self) -> Vec<Arc<Trigger>> {
        self.known.load().all().cloned().collect()
    }

    /// Those that the clock fires next: enabled, with a moment at which they are due.
    pub(crate) fn schedules(&self) -> Vec<Arc<Trigger>> {
        let known = self.known.load();
        known.all().filter(|trigger| trigger.enabled && trigger.next_run_at.is_some()).cloned().collect()
    }

    /// May more be owed to the functions of this namespace?
    pub(crate) fn has_room(&self, namespace: &Namespace) -> bool {
        self.backlog.has_room(namespace)
    }

    /// Changes a trigger in the snapshot, as it was changed in the registry.
    pub(crate) fn update(&self, namespace: &Namespace, id: &str, change: impl Fn(&mut Trigger)) {
        self.known.rcu(|known| {
            let mut all = known.of_namespace(namespace).map(|known| known.all().to_vec()).unwrap_or_default();
            if let Some(trigger) = all.iter_mut().find(|trigger| trigger.id == id) {
                change(Arc::make_mut(trigger));
            }
            known.with(namespace, all)
        });
        self.changed.notify_one();
    }

    /// Replaces the triggers of a namespace in the snapshot. Only for who holds the management lock.
    fn replace(&self, namespace: &Namespace, change: impl Fn(Vec<Arc<Trigger>>) -> Vec<Arc<Trigger>>) {
        self.known.rcu(|known| {
            let all = known.of_namespace(namespace).map(|known| known.all().to_vec()).unwrap_or_default();
            known.with(namespace, change(all))
        });
        self.changed.notify_one();
    }

    /// Whoever watches the clock is woken by this.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// Writes deliveries of a namespace on a way of their own, such as together with a job: counted and dispatched as all others.
    /// `write` says whether they were written. Not to be dropped half-way.
    pub(crate) async fn owe(
        &self,
        namespace: &Namespace,
        deliveries: &[Delivery],
        write: impl Future<Output = Result<bool, Error>>,
    ) -> Result<bool, Error> {
        let charge = self.backlog.charge(namespace, deliveries).inspect_err(|_| count(&self.counts.refused, 1))?;
        let written = write.await?;
        if written {
            charge.keep_but([]);
            count(&self.counts.owed, deliveries.len() as u64);
            self.board.note(deliveries);
        }
        Ok(written)
    }

    /// A delivery was taken out of the queue that nobody had begun.
    pub(crate) fn withdrawn(&self, namespace: &Namespace, bytes: u64) {
        self.backlog.withdraw(namespace, bytes);
    }

    /// Deliveries were written that did not come through [`Self::deliver`], such as those of a slot: they are dispatched from now on.
    pub(crate) async fn recount(&self, namespace: &Namespace) {
        let Ok(lanes) = self.queue.count(namespace).await else { return };
        let mut agenda = self.board.agenda();
        for lane in lanes {
            if let Some(due) = lane.due_at {
                agenda.note(&LaneKey { namespace: lane.namespace, function: lane.function }, due);
            }
        }
        drop(agenda);
        self.board.bell.notify_one();
    }

    pub(crate) fn counts(&self) -> DeliveryCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DeliveryCounts {
            triggers: self.known.load().count() as u64,
            waiting: self.backlog.deliveries(),
            running: self.board.agenda().running() as u64,
            owed: read(&self.counts.owed),
            made: read(&self.counts.made),
            failed: read(&self.counts.failed),
            put_off: read(&self.counts.put_off),
            dead: read(&self.counts.dead),
            refused: read(&self.counts.refused),
            cut: read(&self.counts.cut),
        }
    }

    /// Writes what waits to be written; nothing can be written afterwards.
    pub(crate) async fn close(&self) {
        self.queue.close().await;
    }
}

/// Deliveries in pieces, each for a transaction that holds nobody up; those of one event stay together.
fn portions(owed: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut portions: Vec<Vec<Delivery>> = Vec::new();
    for delivery in owed {
        let fits = |portion: &&mut Vec<Delivery>| {
            portion.len() < PORTION || portion.last().is_some_and(|last| last.event == delivery.event)
        };
        match portions.last_mut().filter(fits) {
            Some(portion) => portion.push(delivery),
            None => portions.push(vec![delivery]),
        }
    }
    portions
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// How many of so many calls at once may be triggered ones: the others stay free for whoever waits for an answer.
fn places(calls: usize) -> usize {
    (calls / 4).max(1)
}

impl Platform {
    /// Starts making the calls that are owed, and watching the tables that triggers wait for.
    pub(crate) async fn start_triggers(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        let feeds = self.triggers.feeds.clone();
        self.databases.on_change(Arc::new(move |namespace| feeds.wake(namespace)));
        self.watch_all_tables().await;
        let mut tasks = self.tasks.lock().expect("no holder panics");
        tasks.spawn(dispatcher::run(weak.clone()));
        tasks.spawn(feeds::run(weak));
    }

    /// Forgets dead deliveries past their time, and counts anew what could have been counted wrong.
    pub(crate) async fn tidy_triggers(&self) {
        let now = self.clock.now();
        let TriggerLimits { dead, dead_bytes, dead_age, .. } = TRIGGER_LIMITS;
        let before = now.checked_sub(dead_age).unwrap_or(now);
        match self.registry.expire_dead(before, dead, dead_bytes).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "forgot dead deliveries past what is kept"),
            Err(cause) => {
                tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to expire dead deliveries");
            }
        }
    }
}
