//! Who is next: the functions that are owed calls, when, and how many of each may run.
//!
//! A lane is what one function is owed. Lanes whose time has come stand in a line and take turns, so that no function and no
//! namespace waits behind the backlog of another. A namespace never has more than its places, nor more than a quarter of those
//! that are free on the node. Pure: nothing here knows the registry or a clock.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use domain::{FunctionName, Namespace, Timestamp};

/// A function that is owed calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LaneKey {
    pub(super) namespace: Namespace,
    pub(super) function: FunctionName,
}

/// How many calls one turn begins at most: others wait meanwhile.
const TURN_MAX: usize = 32;

/// When nothing can be begun although something is due, and nothing runs that could be in its way.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How many calls may run at once.
pub(super) trait Places {
    fn of_namespace(&self, namespace: &Namespace) -> usize;
    fn of_function(&self, lane: &LaneKey) -> usize;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing is known to wait.
    Idle,
    /// Until its time comes.
    Until(Timestamp),
    /// In the line.
    Lined,
    /// No place was free for it, or what waits waits its turn; the next call of its namespace that ends puts it back into the line.
    Parked,
    /// The registry is being asked for its deliveries.
    Asked,
}

#[derive(Debug)]
struct Lane {
    standing: Standing,
    running: usize,
    /// What came while the registry was being asked.
    noted: Option<Timestamp>,
}

/// The lanes of a node.
#[derive(Debug)]
pub(super) struct Agenda {
    places: usize,
    running: usize,
    running_of: HashMap<Namespace, usize>,
    lanes: HashMap<LaneKey, Lane>,
    timers: BTreeSet<(Timestamp, LaneKey)>,
    line: VecDeque<LaneKey>,
    parked: HashMap<Namespace, HashSet<LaneKey>>,
}

impl Agenda {
    pub(super) fn new(places: usize) -> Self {
        Self {
            places,
            running: 0,
            running_of: HashMap::new(),
            lanes: HashMap::new(),
            timers: BTreeSet::new(),
            line: VecDeque::new(),
            parked: HashMap::new(),
        }
    }

    /// Something of this lane is due at `due`.
    pub(super) fn note(&mut self, key: &LaneKey, due: Timestamp) {
        let lane = self.lane(key);
        match lane.standing {
            Standing::Asked => lane.noted = lane.noted.into_iter().chain([due]).min(),
            Standing::Idle => self.wait(key, due),
            Standing::Until(later) if due < later => {
                self.timers.remove(&(later, key.clone()));
                self.wait(key, due);
            }
            // Perhaps it need not wait for what those before it wait for.
            Standing::Parked => {
                self.parked.entry(key.namespace.clone()).or_default().remove(key);
                self.wait(key, due);
            }
            Standing::Until(_) | Standing::Lined => {}
        }
    }

    fn lane(&mut self, key: &LaneKey) -> &mut Lane {
        self.lanes.entry(key.clone()).or_insert(Lane { standing: Standing::Idle, running: 0, noted: None })
    }

    fn wait(&mut self, key: &LaneKey, due: Timestamp) {
        self.lane(key).standing = Standing::Until(due);
        self.timers.insert((due, key.clone()));
    }

    fn park(&mut self, key: LaneKey) {
        self.lane(&key).standing = Standing::Parked;
        self.parked.entry(key.namespace.clone()).or_default().insert(key);
    }

    fn line_up(&mut self, key: LaneKey) {
        self.lane(&key).standing = Standing::Lined;
        self.line.push_back(key);
    }

    /// Lanes whose turn it is, with how many calls each may begin; the places are taken until [`Self::begun`].
    pub(super) fn pick(&mut self, now: Timestamp, places: &dyn Places) -> Vec<(LaneKey, usize)> {
        while let Some((due, key)) = self.timers.first().filter(|(due, _)| *due <= now).cloned() {
            self.timers.remove(&(due, key.clone()));
            self.line_up(key);
        }
        let mut picked = Vec::new();
        while self.running < self.places
            && let Some(key) = self.line.pop_front()
        {
            match self.room(&key, places) {
                0 => self.park(key),
                room => {
                    let lane = self.lane(&key);
                    lane.standing = Standing::Asked;
                    lane.running += room;
                    self.running += room;
                    *self.running_of.entry(key.namespace.clone()).or_default() += room;
                    picked.push((key, room));
                }
            }
        }
        picked
    }

    fn room(&self, key: &LaneKey, places: &dyn Places) -> usize {
        let of_lane = self.lanes.get(key).map_or(0, |lane| lane.running);
        let of_namespace = self.running_of.get(&key.namespace).copied().unwrap_or(0);
        let fair = ((self.places - self.running) / 4).max(1);
        let rooms = [
            places.of_function(key).saturating_sub(of_lane),
            places.of_namespace(&key.namespace).saturating_sub(of_namespace),
            fair,
            TURN_MAX,
        ];
        rooms.into_iter().min().unwrap_or(0)
    }

    /// The registry has answered: of the places that were taken `unused` are free again, and the next delivery is due at `next`.
    pub(super) fn begun(&mut self, key: &LaneKey, unused: usize, next: Option<Timestamp>, now: Timestamp) {
        self.free(key, unused);
        let lane = self.lane(key);
        lane.standing = Standing::Idle;
        let (noted, busy) = (lane.noted.take(), lane.running > 0);
        match noted.into_iter().chain(next).min() {
            None => self.forget_if_done(key),
            Some(due) if due > now => self.wait(key, due),
            Some(_) if unused == 0 || noted.is_some() => self.line_up(key.clone()),
            // It waits its turn.
            Some(_) if busy => self.park(key.clone()),
            Some(_) => self.wait(key, now + LOOK_AGAIN),
        }
    }

    /// A call of this lane has ended.
    pub(super) fn ended(&mut self, key: &LaneKey) {
        self.free(key, 1);
        for parked in self.parked.remove(&key.namespace).unwrap_or_default() {
            self.line_up(parked);
        }
        self.forget_if_done(key);
    }

    fn free(&mut self, key: &LaneKey, places: usize) {
        let lane = self.lane(key);
        lane.running = lane.running.saturating_sub(places);
        self.running = self.running.saturating_sub(places);
        if let Some(running) = self.running_of.get_mut(&key.namespace) {
            *running = running.saturating_sub(places);
            if *running == 0 {
                self.running_of.remove(&key.namespace);
            }
        }
    }

    fn forget_if_done(&mut self, key: &LaneKey) {
        if self.lanes.get(key).is_some_and(|lane| lane.standing == Standing::Idle && lane.running == 0) {
            self.lanes.remove(key);
        }
    }

    /// When the next lane joins the line; `None` when none will by itself. A lane in the line that found no place waits for an end.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }
}

#[cfg(test)]
mod tests;
