//! The connections of a database that read.
//!
//! A short read runs on the thread of its caller, on a *fast* connection that gives up after some steps. What it gives up on,
//! or does not even begin because one step of it could take long, runs on a *full* connection on a thread that may block,
//! of which every database has few; whose statement runs on those of all databases is decided in turns ([`super::turns`]).

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use domain::{Namespace, SqlRows, SqlStatement, SqlValue};
use ports::SqlError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::unavailable;
use super::file;
use super::guard::Kind;
use super::session::{Budget, Session, Shared};
use super::turns::{Place, Turns};

/// Longer statements and larger arguments are not tried on the thread of the caller.
const FAST_SQL_BYTES_MAX: usize = 4 << 10;
const FAST_ARGUMENT_BYTES_MAX: usize = 64 << 10;
/// Nor do larger results come from it.
const FAST_RESULT_BYTES_MAX: usize = 256 << 10;
/// Reads that may wait for a blocking thread, for each that may run.
const WAITING_PER_THREAD_MAX: usize = 128;

/// Threads that may block, bounded, with a bounded number of those who wait for one.
#[derive(Debug, Clone)]
pub(super) struct Threads {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

impl Threads {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            waiting: Arc::default(),
            waiting_max: count * WAITING_PER_THREAD_MAX,
        }
    }

    async fn take(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, SqlError> {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _seat = Seat::of(&self.waiting, self.waiting_max)?;
        let waited = tokio::time::timeout_at(deadline.into(), self.free.clone().acquire_owned()).await;
        waited.map_err(|_| SqlError::Deadline)?.map_err(unavailable)
    }
}

/// A seat among those who wait.
struct Seat<'a>(&'a AtomicUsize);

impl<'a> Seat<'a> {
    fn of(waiting: &'a AtomicUsize, max: usize) -> Result<Self, SqlError> {
        let seat = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= max { Err(SqlError::Busy) } else { Ok(seat) }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The readers of one open database.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    namespace: Namespace,
    shared: Shared,
    fast: Mutex<Vec<Session>>,
    /// Fast ones that must read the schema first.
    behind: Mutex<Vec<Session>>,
    fast_made: AtomicUsize,
    fast_max: usize,
    /// Held by whoever makes or mends fast connections.
    preparing: Arc<tokio::sync::Mutex<()>>,
    full: Mutex<Vec<Session>>,
    threads: Threads,
    turns: Arc<Turns>,
}

impl Readers {
    /// The readers of the file at `path`, with `threads` for long reads, which take `turns` with those of others.
    pub(super) fn new(path: PathBuf, namespace: Namespace, shared: Shared, threads: usize, turns: Arc<Turns>) -> Self {
        let fast_max = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            path,
            namespace,
            shared,
            fast: Mutex::default(),
            behind: Mutex::default(),
            fast_made: AtomicUsize::new(0),
            fast_max,
            preparing: Arc::default(),
            full: Mutex::default(),
            threads: Threads::new(threads),
            turns,
        }
    }

    /// Tries a read on this thread; `None` when it is to be tried on another.
    pub(super) async fn fast(
        self: &Arc<Self>,
        hold: impl Send + 'static,
        statement: &SqlStatement,
        budget: Budget,
    ) -> Option<SqlRows> {
        if !is_small(statement) {
            return None;
        }
        match self.try_fast(statement, budget) {
            Fast::NoConnection => {}
            Fast::Tried(rows) => return rows,
        }
        self.prepare_fast(hold, budget.deadline).await?;
        match self.try_fast(statement, budget) {
            Fast::NoConnection => None,
            Fast::Tried(rows) => rows,
        }
    }

    fn try_fast(&self, statement: &SqlStatement, budget: Budget) -> Fast {
        let Some(session) = lock(&self.fast).pop() else {
            return Fast::NoConnection;
        };
        if session.is_behind() {
            lock(&self.behind).push(session);
            return Fast::NoConnection;
        }
        let read = session.read(statement, &mut budget.within(FAST_RESULT_BYTES_MAX));
        lock(&self.fast).push(session);
        // Every error is found again, and told, where there is time to.
        Fast::Tried(read.ok().flatten())
    }

    /// Sees to it that there is a fast connection, on a thread that may block; one caller does that for all who wait.
    async fn prepare_fast(self: &Arc<Self>, hold: impl Send + 'static, deadline: Instant) -> Option<()> {
        let turn = tokio::time::timeout_at(deadline.into(), self.preparing.clone().lock_owned()).await.ok()?;
        if !lock(&self.fast).is_empty() {
            return Some(());
        }
        let readers = self.clone();
        let preparing = tokio::task::spawn_blocking(move || {
            let _held = (turn, hold);
            let readers = readers;
            readers.make_fast()
        });
        preparing.await.ok()?.ok()
    }

    /// Runs `read` on a thread that may block, which keeps `hold` as long.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        hold: impl Send + 'static,
        deadline: Instant,
        read: impl FnOnce(&Session) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let permit = self.threads.take(deadline).await?;
        let readers = self.clone();
        let ran = tokio::task::spawn_blocking(move || {
            let _held = (permit, hold);
            let readers = readers;
            readers.on_full(read)
        });
        ran.await.map_err(unavailable)?
    }

    fn on_full<T>(&self, read: impl FnOnce(&Session) -> Result<T, SqlError>) -> Result<T, SqlError> {
        let kept = lock(&self.full).pop();
        let session = match kept {
            Some(session) => session,
            None => self.open_full()?,
        };
        let result = read(&session);
        session.roll_back();
        lock(&self.full).push(session);
        result
    }

    fn open_full(&self) -> Result<Session, SqlError> {
        let session = file::open_reader(&self.path, Kind::Full, self.shared.clone())?;
        let closing = self.shared.closing.clone();
        session.watch().take_turns(Place::new(self.turns.clone(), self.namespace.clone(), closing));
        Ok(session)
    }

    /// Has statements that wait for their turn look whether the database is being closed.
    pub(super) fn wake(&self) {
        self.turns.wake();
    }

    /// One fast connection more, up to one for each processor: no more can be at work.
    pub(super) fn make_fast(&self) -> Result<(), SqlError> {
        if self.fast_made.load(Ordering::Relaxed) >= self.fast_max || !lock(&self.behind).is_empty() {
            return self.catch_up();
        }
        let session = file::open_reader(&self.path, Kind::Fast, self.shared.clone())?;
        self.fast_made.fetch_add(1, Ordering::Relaxed);
        lock(&self.behind).push(session);
        self.catch_up()
    }

    fn catch_up(&self) -> Result<(), SqlError> {
        loop {
            let Some(session) = lock(&self.behind).pop() else {
                return Ok(());
            };
            // One that cannot is tried again: the statement that runs now tells what is wrong.
            let caught_up = session.catch_up();
            lock(if caught_up.is_ok() { &self.fast } else { &self.behind }).push(session);
            if caught_up.is_err() {
                return Ok(());
            }
        }
    }
}

/// What became of a read on the thread of its caller.
enum Fast {
    /// `None` when it gave up.
    Tried(Option<SqlRows>),
    NoConnection,
}

/// A panic while a connection was away from the list leaves the list as it was.
fn lock(sessions: &Mutex<Vec<Session>>) -> MutexGuard<'_, Vec<Session>> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_small(statement: &SqlStatement) -> bool {
    let bytes = |value: &SqlValue| match value {
        SqlValue::Text(text) => text.len(),
        SqlValue::Blob(bytes) => bytes.len(),
        _ => 0,
    };
    let arguments: usize = statement.arguments.iter().map(bytes).sum();
    statement.sql.len() <= FAST_SQL_BYTES_MAX && arguments <= FAST_ARGUMENT_BYTES_MAX
}
