//! What the databases of a node share: where they are, and how many may be open and at work.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use domain::Namespace;
use ports::SqlError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::DatabaseConfig;
use super::changes::Listening;
use super::error::unavailable;
use super::slot::Slot;
use super::turns::Turns;

/// Where databases are.
#[derive(Debug, Clone)]
pub(super) enum Room {
    Folder(PathBuf),
    Memory,
}

#[derive(Debug)]
pub(super) struct House {
    pub(super) room: Room,
    pub(super) config: DatabaseConfig,
    pub(super) turns: Arc<Turns>,
    pub(super) listening: Arc<Listening>,
    slots: Mutex<HashMap<Namespace, Arc<Slot>>>,
    places: Arc<Semaphore>,
    /// Those that were opened; some have been closed since.
    open: Mutex<Vec<Weak<Slot>>>,
}

impl House {
    pub(super) fn new(room: Room, config: DatabaseConfig) -> Self {
        Self {
            room,
            turns: Arc::new(Turns::new(config.running_max)),
            listening: Arc::default(),
            places: Arc::new(Semaphore::new(config.open_max)),
            config,
            slots: Mutex::default(),
            open: Mutex::default(),
        }
    }

    pub(super) fn slot(&self, namespace: &Namespace) -> Arc<Slot> {
        let mut slots = self.slots.lock().expect("no holder panics");
        slots.entry(namespace.clone()).or_insert_with(|| Arc::new(Slot::new(namespace.clone()))).clone()
    }

    /// The next database of this name gets a slot of its own.
    pub(super) fn forget(&self, slot: &Slot) {
        self.slots.lock().expect("no holder panics").remove(&slot.namespace);
    }

    /// A place among the open databases; when there is none, the one that was used least recently gives way. Without
    /// files there is nothing to give way to: closing would lose them.
    pub(super) async fn take_place(&self, deadline: Instant) -> Result<Option<OwnedSemaphorePermit>, SqlError> {
        if matches!(self.room, Room::Memory) {
            return Ok(None);
        }
        loop {
            if let Ok(permit) = self.places.clone().try_acquire_owned() {
                return Ok(Some(permit));
            }
            self.close_one();
            // Those in use are asked again: they may have come to rest without anybody telling.
            let pause = deadline.min(Instant::now() + Duration::from_millis(20));
            match tokio::time::timeout_at(pause.into(), self.places.clone().acquire_owned()).await {
                Ok(permit) => return permit.map(Some).map_err(unavailable),
                Err(_) if Instant::now() >= deadline => return Err(SqlError::Busy),
                Err(_) => {}
            }
        }
    }

    fn close_one(&self) {
        let open: Vec<Arc<Slot>> =
            self.open.lock().expect("no holder panics").iter().filter_map(Weak::upgrade).collect();
        let oldest = open.iter().filter_map(|slot| Some((slot.unused_since()?, slot))).min_by_key(|(since, _)| *since);
        if let Some((_, slot)) = oldest {
            slot.close_if_unused_for(Duration::ZERO);
        }
    }

    pub(super) fn note_open(&self, slot: &Arc<Slot>) {
        let mut open = self.open.lock().expect("no holder panics");
        open.retain(|other| other.upgrade().is_some_and(|other| other.is_open() && !Arc::ptr_eq(&other, slot)));
        open.push(Arc::downgrade(slot));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let slots = self.slots.get_mut().expect("no holder panics");
        for slot in slots.values() {
            slot.close_blocking();
        }
    }
}
