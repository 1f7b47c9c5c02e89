//! Reads what changed in the tables that triggers wait for, and owes the calls.
//!
//! A database rings when it has committed changes that are watched. They are read page by page, turned into deliveries, and
//! forgotten once these are written: whatever happens in between, none is lost. The ids of deliveries come from the change, so that
//! one that is read twice is owed once as long as it has not been made.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use domain::{Error, ErrorCode, FunctionRef, Namespace, TRIGGER_DEPTH_MAX, Timestamp, TriggerKind};
use ports::{Change, Delivery, SqlError, TableWatch};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::known::{OfNamespace, TableTrigger};
use super::{count, event};
use crate::{Platform, internal};

/// Databases that are read at once.
const READERS_MAX: usize = 8;
/// Changes of one page, and pages that are read while others wait.
const PAGE: usize = 100;
const PAGES_MAX: usize = 10;
/// The pause after a database failed, or while its namespace is owed too much.
const PAUSE: Duration = Duration::from_secs(1);

/// The namespaces whose databases rang.
#[derive(Default)]
pub(super) struct Feeds {
    woken: Mutex<Line>,
    bell: Notify,
}

/// Who rang, each once, the first first.
#[derive(Default)]
struct Line {
    order: VecDeque<Namespace>,
    waiting: HashSet<Namespace>,
}

impl Feeds {
    /// There may be changes. Called on the thread that writes the database: it must not wait.
    pub(super) fn wake(&self, namespace: &Namespace) {
        let mut woken = self.woken();
        if woken.waiting.insert(namespace.clone()) {
            woken.order.push_back(namespace.clone());
        }
        drop(woken);
        self.bell.notify_one();
    }

    fn woken(&self) -> MutexGuard<'_, Line> {
        self.woken.lock().expect("no holder panics")
    }

    /// The first who rang and whom nobody reads now.
    fn take(&self, busy: &HashSet<Namespace>) -> Option<Namespace> {
        let mut woken = self.woken();
        let place = woken.order.iter().position(|namespace| !busy.contains(namespace))?;
        let namespace = woken.order.remove(place)?;
        woken.waiting.remove(&namespace);
        Some(namespace)
    }
}

/// Reads whatever rang for as long as the platform lives. Nobody waits for a database that fails, nor for one that is never
/// read to its end: both go back into the line.
pub(super) async fn run(platform: Weak<Platform>) {
    let Some(feeds) = platform.upgrade().map(|platform| platform.triggers.feeds.clone()) else { return };
    let (mut readers, mut busy) = (JoinSet::new(), HashSet::new());
    let mut paused: VecDeque<(Instant, Namespace)> = VecDeque::new();
    loop {
        let wake_at = paused.front().map_or_else(Instant::now, |(at, _)| *at);
        tokio::select! {
            () = feeds.bell.notified() => {}
            () = tokio::time::sleep_until(wake_at), if !paused.is_empty() => {
                if let Some((_, namespace)) = paused.pop_front() {
                    feeds.wake(&namespace);
                }
            }
            Some(read) = readers.join_next() => match read {
                Ok((namespace, page)) => {
                    busy.remove(&namespace);
                    match page {
                        Page::Last => {}
                        Page::More => feeds.wake(&namespace),
                        Page::Later => paused.push_back((Instant::now() + PAUSE, namespace)),
                    }
                }
                // It has said so; its namespace is read again when it rings again.
                Err(_panicked) => busy.clear(),
            },
        }
        while busy.len() < READERS_MAX
            && let Some(namespace) = feeds.take(&busy)
        {
            busy.insert(namespace.clone());
            let platform = platform.clone();
            readers.spawn(async move {
                let page = read_some(&platform, &namespace).await;
                (namespace, page)
            });
        }
    }
}

/// Whether there may be more.
enum Page {
    More,
    Last,
    Later,
}

async fn read_some(platform: &Weak<Platform>, namespace: &Namespace) -> Page {
    for _turn in 0..PAGES_MAX {
        let Some(platform) = platform.upgrade() else { return Page::Last };
        match platform.read_page(namespace).await {
            Ok(Page::More) => {}
            Ok(page) => return page,
            Err(cause) => {
                tracing::warn!(cause = &cause as &dyn std::error::Error, %namespace, "failed to read changes");
                return Page::Later;
            }
        }
    }
    Page::More
}

impl Platform {
    /// Watches the tables of every namespace that has triggers for some, and looks once whether anything changed in them.
    pub(super) async fn watch_all_tables(&self) {
        let known = self.triggers.known.load_full();
        for namespace in known.namespaces() {
            let watches = known.of_namespace(namespace).map(|known| known.watches()).unwrap_or_default();
            if watches.is_empty() {
                continue;
            }
            if let Err(cause) = self.databases.changes(namespace).watch(watches).await {
                tracing::warn!(cause = &cause as &dyn std::error::Error, %namespace, "failed to watch tables");
            }
            self.triggers.feeds.wake(namespace);
        }
    }

    /// Reads a page, owes what it triggers, forgets it.
    async fn read_page(&self, namespace: &Namespace) -> Result<Page, SqlError> {
        let lease = self.identity.lease_of(namespace);
        let Ok(_held) = lease.hold() else { return Ok(Page::Last) };
        if self.draining.load(Ordering::SeqCst) {
            return Ok(Page::Last);
        }
        let feed = self.databases.changes(namespace);
        let known = self.triggers.known.load_full();
        let Some(known) = known.of_namespace(namespace).filter(|known| !known.watches().is_empty()) else {
            // Whoever deleted the last trigger was interrupted.
            feed.watch(Vec::new()).await?;
            feed.forget_changes(i64::MAX).await?;
            return Ok(Page::Last);
        };
        if !self.triggers.backlog.has_room(namespace) {
            return Ok(Page::Later);
        }
        let page = feed.changes(0, PAGE).await?;
        let Some(last) = page.last().map(|last| last.seq) else { return Ok(Page::Last) };
        let owed: Vec<Delivery> =
            page.iter().flat_map(|change| self.owed_for_change(namespace, known, change)).collect();
        match self.owe(namespace, &lease, owed).await {
            Ok(()) => {}
            Err(error) if error.code == ErrorCode::NotFound => return Ok(Page::Last),
            Err(error) if error.code == ErrorCode::RateLimited => return Ok(Page::Later),
            Err(error) => {
                tracing::warn!(%namespace, %error, "changes wait: the calls that they trigger cannot be kept now");
                return Ok(Page::Later);
            }
        }
        feed.forget_changes(last).await?;
        Ok(Page::More)
    }

    async fn owe(
        &self,
        namespace: &Namespace,
        lease: &Arc<crate::lease::Lease>,
        owed: Vec<Delivery>,
    ) -> Result<(), Error> {
        if owed.is_empty() {
            return Ok(());
        }
        let owes = owed.len() as u64;
        let charge = self.triggers.backlog.charge(namespace, &owed)?;
        self.triggers.queue.write(owed, lease.clone(), charge).await?;
        count(&self.triggers.counts.owed, owes);
        Ok(())
    }

    fn owed_for_change(&self, namespace: &Namespace, known: &OfNamespace, change: &Change) -> Vec<Delivery> {
        let triggers: Vec<&Arc<TableTrigger>> = known.of_change(change).collect();
        let depth = change.depth.saturating_add(1);
        if triggers.is_empty() {
            return Vec::new();
        }
        if depth > TRIGGER_DEPTH_MAX {
            self.triggers.cut(namespace, &change.table, triggers.len());
            return Vec::new();
        }
        let Some(input) = event::of_change(namespace, change, depth) else {
            let _logged = internal("read a change", format!("the rows of change {} are no JSON", change.seq));
            return Vec::new();
        };
        let event = derived_id(&[namespace.as_str(), &change.seq.to_string(), &change.at_ms.to_string()]);
        let bytes = (input.len() as u64).div_ceil(triggers.len() as u64);
        let now: Timestamp = self.clock.now();
        let owed = triggers.into_iter().map(|known| {
            let trigger = &known.trigger;
            let function = FunctionRef { name: trigger.function.clone(), version: None };
            Delivery {
                id: derived_id(&[&event, &trigger.id]),
                event: event.clone(),
                trigger: Some(trigger.id.clone()),
                bytes,
                depth,
                ..Delivery::new(namespace.clone(), function, TriggerKind::Database, input.clone(), now)
            }
        });
        owed.collect()
    }

    /// Before triggers change: watches what they wait for now and what they will wait for. Refused when a table cannot be watched.
    pub(super) async fn watch_more(
        &self,
        namespace: &Namespace,
        now: &[TableWatch],
        next: &[TableWatch],
    ) -> Result<(), Error> {
        if now == next || next.is_empty() {
            return Ok(());
        }
        let both = now.iter().chain(next).cloned().collect();
        self.databases.changes(namespace).watch(both).await.map_err(not_watched)
    }

    /// After triggers changed: watches exactly what they wait for.
    pub(super) async fn watch_exactly(&self, namespace: &Namespace, before: &[TableWatch], now: &[TableWatch]) {
        if before == now {
            return;
        }
        let feed = self.databases.changes(namespace);
        if let Err(cause) = feed.watch(now.to_vec()).await {
            // Too much is watched until the next change or start: what nobody waits for is forgotten when it is read.
            tracing::warn!(cause = &cause as &dyn std::error::Error, %namespace, "failed to watch tables");
        }
    }
}

/// A UUID (version 8) that is the same for the same parts.
fn derived_id(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn not_watched(error: SqlError) -> Error {
    match error {
        SqlError::Invalid(why) | SqlError::NotAllowed(why) => Error::invalid(why),
        other => internal("watch tables", other),
    }
}
