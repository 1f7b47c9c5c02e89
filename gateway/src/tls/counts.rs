//! How handshakes ended.

use std::sync::atomic::{AtomicU64, Ordering};

use super::handshake::Refused;

/// Handshakes, by how they ended; the labels are a closed set.
#[derive(Default)]
pub(crate) struct HandshakeCounts {
    done: AtomicU64,
    refused: [AtomicU64; Refused::ALL.len()],
}

impl HandshakeCounts {
    pub(super) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, why: Refused) {
        let index = Refused::ALL.iter().position(|known| *known == why).expect("every reason is in the list");
        self.refused[index].fetch_add(1, Ordering::Relaxed);
    }

    /// Name of each end, and how often it was.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let refused = Refused::ALL.iter().zip(&self.refused).map(|(why, count)| (why.as_str(), count));
        [("done", &self.done)].into_iter().chain(refused).map(|(end, count)| (end, count.load(Ordering::Relaxed)))
    }
}
