//! The place of one namespace's database: closed, open, or on its way from one to the other.
//!
//! A database is opened at its first use and closed when nobody has used it for a while, or when its place among the open ones
//! is wanted. Work that goes on holds a [`Live`], which keeps the database open. A slot whose database was removed stays empty: a
//! later database of the same name gets a slot of its own.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use domain::Namespace;
use ports::SqlError;
use tokio::sync::OwnedSemaphorePermit;

use super::changes::Bell;
use super::error::unavailable;
use super::house::{House, Room};
use super::readers::Readers;
use super::session::{Session, Shared};
use super::work::Manner;
use super::writer::{self, Ending, Writer};
use super::{file, work};

/// An open database. The readers go first: the last connection, the writer, then empties the write-ahead log.
#[derive(Debug)]
pub(super) struct Live {
    /// `None` without a file: then there is one connection for all.
    pub(super) readers: Option<Arc<Readers>>,
    writer: Writer,
    closing: Arc<AtomicBool>,
}

impl Live {
    /// Runs `read` on a connection that reads, on a thread that may block; without a file, on the only connection.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        deadline: Instant,
        mut read: impl FnMut(&Session) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        match &self.readers {
            Some(readers) => readers.blocking(self.clone(), deadline, move |session| read(session)).await,
            None => {
                let done =
                    self.write(deadline, Manner::Bare, move |session, _| read(session).map_err(work::Fail::from));
                done.await.map_err(|fail| fail.error)
            }
        }
    }

    /// Has the writer do `run`, durably, and waits for it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        deadline: Instant,
        manner: Manner,
        run: impl FnMut(&Session, Instant) -> Result<T, work::Fail> + Send + 'static,
    ) -> Result<T, work::Fail> {
        if self.closing.load(Ordering::Acquire) {
            return Err(unavailable("the database is being closed").into());
        }
        let (piece, waiting) = work::request(deadline, manner, run);
        self.writer.submit(piece)?;
        waiting.answer(deadline).await
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        live: Arc<Live>,
        ending: Ending,
        used_at: Instant,
    },
    /// No new work comes to it; the file is free when it has ended.
    Closing(Ending),
    /// For good. There may still be a file, if it could not be deleted.
    Removed,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) namespace: Namespace,
    /// The largest size, in bytes.
    pub(super) limit: Arc<AtomicU64>,
    state: Mutex<State>,
    /// Held by whoever opens or removes.
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl Slot {
    pub(super) fn new(namespace: Namespace) -> Self {
        Self { namespace, limit: Arc::new(AtomicU64::new(u64::MAX)), state: Mutex::default(), changing: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// The open database; opens it when it is not.
    pub(super) async fn live(self: &Arc<Self>, house: &Arc<House>, deadline: Instant) -> Result<Arc<Live>, SqlError> {
        if let Some(live) = self.opened() {
            return Ok(live);
        }
        let locked = tokio::time::timeout_at(deadline.into(), self.changing.clone().lock_owned()).await;
        let changing = locked.map_err(|_| SqlError::Deadline)?;
        if let Some(live) = self.opened() {
            return Ok(live);
        }
        self.closed().await;
        if self.is_removed() {
            return Err(SqlError::Removed);
        }
        let permit = house.take_place(deadline).await?;
        let (slot, house) = (self.clone(), house.clone());
        let opening = tokio::task::spawn_blocking(move || {
            // Whoever asked may go: nobody else opens until this is done.
            let _changing = changing;
            slot.open(&house, permit)
        });
        opening.await.map_err(unavailable)?
    }

    fn opened(&self) -> Option<Arc<Live>> {
        let mut state = self.state();
        match &mut *state {
            State::Open { live, used_at, .. } if !live.writer.is_broken() => {
                *used_at = Instant::now();
                Some(live.clone())
            }
            State::Open { .. } => {
                *state = begin_to_close(std::mem::take(&mut state));
                None
            }
            _ => None,
        }
    }

    /// Waits until a database that was being closed is.
    async fn closed(&self) {
        let mut closed = match &*self.state() {
            State::Closing(ending) => ending.closed(),
            _ => return,
        };
        // The sender is never used, only dropped.
        let _ = closed.changed().await;
        *self.state() = State::Closed;
    }

    fn open(self: &Arc<Self>, house: &Arc<House>, permit: Option<OwnedSemaphorePermit>) -> Result<Arc<Live>, SqlError> {
        let closing = Arc::new(AtomicBool::new(false));
        let bell = Bell { listening: house.listening.clone(), namespace: self.namespace.clone() };
        let shared = Shared { closing: closing.clone(), limit: self.limit.clone(), schema: Arc::default(), bell };
        let (session, readers) = match &house.room {
            Room::Memory => (file::open_in_memory(shared)?, None),
            Room::Folder(folder) => {
                let session = file::open_writer(folder, &self.namespace, shared.clone())?;
                (session, Some(self.readers(house, folder, shared)?))
            }
        };
        let (slot, idle) = (Arc::downgrade(self), house.config.idle);
        let close_idle = move || {
            if let Some(slot) = slot.upgrade() {
                slot.close_if_unused_for(idle);
            }
        };
        let (writer, ending) = writer::start(session, idle, close_idle, permit).map_err(unavailable)?;
        let live = Arc::new(Live { readers, writer, closing });
        *self.state() = State::Open { live: live.clone(), ending, used_at: Instant::now() };
        house.note_open(self);
        Ok(live)
    }

    fn readers(&self, house: &House, folder: &Path, shared: Shared) -> Result<Arc<Readers>, SqlError> {
        let path = file::path_of(folder, &self.namespace);
        let (threads, turns) = (house.config.threads_per_database_max, house.turns.clone());
        let readers = Readers::new(path, self.namespace.clone(), shared, threads, turns);
        readers.make_fast()?;
        Ok(Arc::new(readers))
    }

    fn is_removed(&self) -> bool {
        matches!(&*self.state(), State::Removed)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.state(), State::Open { .. })
    }

    /// When it was used last; `None` unless it is open and nobody uses it now.
    pub(super) fn unused_since(&self) -> Option<Instant> {
        match &*self.state() {
            State::Open { live, used_at, .. } if live.readers.is_some() && Arc::strong_count(live) == 1 => {
                Some(*used_at)
            }
            _ => None,
        }
    }

    /// Begins to close a database that nobody has used for so long.
    pub(super) fn close_if_unused_for(&self, time: Duration) {
        if self.unused_since().is_none_or(|since| since.elapsed() < time) {
            return;
        }
        let mut state = self.state();
        // Somebody may have come in between: nobody can come now.
        if matches!(&*state, State::Open { live, .. } if Arc::strong_count(live) == 1) {
            *state = begin_to_close(std::mem::take(&mut state));
        }
    }

    /// The size without opening anything; `None` when it is open, or cannot be told so.
    pub(super) fn bytes_closed(&self, house: &House) -> Option<u64> {
        match (&house.room, &*self.state()) {
            (Room::Folder(folder), State::Closed) => file::bytes_closed(folder, &self.namespace),
            _ => None,
        }
    }

    /// Stops all work, closes the database for good and deletes it.
    pub(super) async fn remove(&self, house: &House) -> Result<(), SqlError> {
        let changing = self.changing.clone().lock_owned().await;
        self.stop();
        self.closed().await;
        *self.state() = State::Removed;
        let Room::Folder(folder) = house.room.clone() else {
            return Ok(());
        };
        let namespace = self.namespace.clone();
        let removing = tokio::task::spawn_blocking(move || {
            let _changing = changing;
            file::remove(&folder, &namespace)
        });
        removing.await.map_err(unavailable)?.map_err(unavailable)
    }

    fn stop(&self) {
        let mut state = self.state();
        if let State::Open { live, .. } = &*state {
            live.closing.store(true, Ordering::Release);
            if let Some(readers) = &live.readers {
                readers.wake();
            }
        }
        *state = begin_to_close(std::mem::take(&mut state));
    }

    /// Closes the database and waits for it, on a thread that may block.
    pub(super) fn close_blocking(&self) {
        self.stop();
        if let State::Closing(ending) = std::mem::take(&mut *self.state()) {
            ending.join();
        }
    }
}

/// Our hold on the database goes here; the last hold closes it.
fn begin_to_close(state: State) -> State {
    match state {
        State::Open { ending, .. } | State::Closing(ending) => State::Closing(ending),
        rest @ (State::Closed | State::Removed) => rest,
    }
}
