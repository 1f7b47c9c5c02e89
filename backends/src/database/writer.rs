//! The one connection of a database that writes, with its thread and its queue.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ports::SqlError;
use tokio::sync::watch;

use super::batch::{self, Piece};
use super::session::Session;

/// Work that may wait; whoever comes then is told to come again.
const QUEUE_MAX: usize = 512;
/// Pieces of work in one transaction.
const BATCH_MAX: usize = 128;

/// The way to the writer. When it is dropped, the thread finishes what waits, and closes the connection.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Piece>,
    broken: Arc<AtomicBool>,
}

/// Tells when the connection of a writer is closed.
#[derive(Debug)]
pub(super) struct Ending {
    closed: watch::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Ending {
    /// Changes, as an error, when the connection is closed.
    pub(super) fn closed(&self) -> watch::Receiver<()> {
        self.closed.clone()
    }

    /// The same for those who may block.
    pub(super) fn join(self) {
        // A panic on that thread was printed where it happened.
        let _ = self.thread.join();
    }
}

/// Starts the thread. `idle` is asked whenever nothing came for `idle_after`; `kept` is dropped when all is closed.
pub(super) fn start(
    session: Session,
    idle_after: Duration,
    idle: impl Fn() + Send + 'static,
    kept: impl Send + 'static,
) -> io::Result<(Writer, Ending)> {
    let (queue, work) = sync_channel(QUEUE_MAX);
    let (closing, closed) = watch::channel(());
    let broken = Arc::new(AtomicBool::new(false));
    let is_broken = broken.clone();
    let thread = std::thread::Builder::new().name("database".to_owned()).spawn(move || {
        // Dropped from the last to the first, also when a panic ends the thread.
        let _ended = (kept, closing);
        let session = session;
        let _broken = BreakAtEnd(is_broken.clone());
        serve(&session, &is_broken, &work, idle_after, idle);
    })?;
    Ok((Writer { queue, broken }, Ending { closed, thread }))
}

struct BreakAtEnd(Arc<AtomicBool>);

impl Drop for BreakAtEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn serve(session: &Session, broken: &AtomicBool, work: &Receiver<Piece>, idle_after: Duration, idle: impl Fn()) {
    let mut limit = None;
    loop {
        let first = match work.recv_timeout(idle_after) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                idle();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        apply_limit(session, &mut limit);
        // Whatever came while the last transaction was written; nothing is waited for.
        let pieces = std::iter::once(first).chain(work.try_iter().take(BATCH_MAX - 1)).collect();
        batch::process(session, broken, pieces);
    }
}

/// The limit counts for this connection alone, which is the only one that writes.
fn apply_limit(session: &Session, applied: &mut Option<u64>) {
    let limit = session.limit().load(Ordering::Relaxed);
    if applied.replace(limit) == Some(limit) {
        return;
    }
    let connection = session.ours();
    let page_bytes = connection.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0)).unwrap_or(4096);
    let pages = (limit / u64::from(page_bytes)).clamp(1, u32::MAX.into());
    if connection.pragma_update_and_check(None, "max_page_count", pages as i64, |_| Ok(())).is_err() {
        *applied = None;
    }
}

impl Writer {
    pub(super) fn submit(&self, piece: Piece) -> Result<(), SqlError> {
        self.queue.try_send(piece).map_err(|refused| match refused {
            TrySendError::Full(_) => SqlError::Busy,
            TrySendError::Disconnected(_) => SqlError::Unavailable("the writer of the database has ended".into()),
        })
    }

    /// Must the database be opened anew?
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}
