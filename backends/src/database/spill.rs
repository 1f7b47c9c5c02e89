//! What a statement keeps on its way to a result: rows to sort, sets of values seen, tables that it makes for itself.
//!
//! What goes beyond a small cache is written to a temporary file, not kept in the memory that all databases share. Such a
//! file has no name, and is gone with its statement. Nothing in SQLite bounds it, so the system is asked how much the thread
//! has written since the statement began. A reader writes nothing else; what a writer writes besides is bounded by the size of its database.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// What a statement that reads may write.
pub(super) const SPILL_BYTES_MAX: u64 = 256 << 20;
/// The system is not asked more often: it takes some microseconds.
const PAUSE: Duration = Duration::from_millis(5);
/// What the system tells of this thread.
const COUNTERS: &str = "/proc/thread-self/io";
/// SQLite's names of temporary files begin so; they have them for a moment.
pub(crate) const FILE_PREFIX: &str = "etilqs_";

/// What a statement that writes may write, into a database of this size: its pages go to the log, some more than once.
pub(super) fn of_writer(database_bytes_max: u64) -> u64 {
    database_bytes_max.saturating_mul(4).saturating_add(SPILL_BYTES_MAX)
}

/// Has temporary files made in `folder`, by all connections of the process.
pub(super) fn keep_files_in(connection: &Connection, folder: &Path) -> rusqlite::Result<()> {
    // One that is no UTF-8 cannot be said; then SQLite finds one as it always does.
    match folder.to_str() {
        Some(folder) => connection.pragma_update(None, "temp_store_directory", folder),
        None => Ok(()),
    }
}

/// Where nobody counts what a thread writes, memory is at least bounded.
pub(super) fn choose_store(connection: &Connection) -> rusqlite::Result<()> {
    let store = if written().is_some() { "FILE" } else { "MEMORY" };
    connection.pragma_update(None, "temp_store", store)
}

/// Measures what a statement writes, on the thread on which it runs.
#[derive(Debug)]
pub(super) struct Meter {
    /// What the thread had written when it was first looked at.
    from: Option<u64>,
    next: Instant,
}

impl Meter {
    /// For a statement that begins now.
    pub(super) fn begin() -> Self {
        Self { from: None, next: Instant::now() + PAUSE }
    }

    /// Has the statement written more than `bytes_max`?
    pub(super) fn is_over(&mut self, now: Instant, bytes_max: u64) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + PAUSE;
        let written = written().unwrap_or_default();
        written - *self.from.get_or_insert(written) > bytes_max
    }
}

/// The bytes that this thread has written to files since it began; `None` when the system does not tell.
fn written() -> Option<u64> {
    let counters = std::fs::read_to_string(COUNTERS).ok()?;
    counters.lines().find_map(|line| line.strip_prefix("wchar:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_system_counts_what_a_thread_writes() {
        let Some(before) = written() else {
            eprintln!("not run: the system does not count what a thread writes");
            return;
        };
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[0; 100_000]).expect("write");
        let other = std::thread::spawn(|| tempfile::tempfile().and_then(|mut file| file.write_all(&[0; 5_000_000])));
        other.join().expect("join").expect("write");
        let after = written().expect("as before");
        assert!((100_000..1_000_000).contains(&(after - before)), "{before} to {after}");
    }
}
