//! What is counted of sockets. Labels are bounded: three kinds, and the codes that we say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::frame;

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketKind {
    /// A topic of pub/sub.
    Topic,
    /// A function, a call for each message.
    Stateless,
    /// A function with an instance for the socket.
    Persistent,
}

const KINDS: [(SocketKind, &str); 3] =
    [(SocketKind::Topic, "topic"), (SocketKind::Stateless, "stateless"), (SocketKind::Persistent, "persistent")];

const CODES: [u16; 12] = [
    frame::NORMAL,
    frame::GOING_AWAY,
    frame::PROTOCOL,
    frame::NOT_TEXT,
    frame::POLICY,
    frame::TOO_BIG,
    frame::FAILED,
    frame::RESTART,
    frame::TRY_LATER,
    frame::UNAUTHORIZED,
    frame::FORBIDDEN,
    frame::GONE,
];

#[derive(Default)]
pub(crate) struct SocketCounts {
    opened: [AtomicU64; KINDS.len()],
    closed: [AtomicU64; KINDS.len()],
    /// The client said goodbye first.
    left: AtomicU64,
    /// Nobody did.
    lost: AtomicU64,
    /// We did.
    by_code: [AtomicU64; CODES.len()],
    received: AtomicU64,
    sent: AtomicU64,
}

/// One socket, as it is counted until it is dropped.
pub(super) struct Counted {
    counts: Arc<SocketCounts>,
    kind: usize,
}

impl SocketCounts {
    /// Name of the kind, those open, and those that ever were.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        KINDS.iter().enumerate().map(|(index, (_, name))| {
            let closed = self.closed[index].load(Ordering::Relaxed);
            let opened = self.opened[index].load(Ordering::Relaxed);
            (*name, opened.saturating_sub(closed), opened)
        })
    }

    /// Who ended it or with which code, and how often.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (String, u64)> {
        let codes = CODES.iter().zip(&self.by_code).map(|(code, count)| (code.to_string(), count));
        let all = codes.chain([("client".to_owned(), &self.left), ("lost".to_owned(), &self.lost)]);
        all.map(|(how, count)| (how, count.load(Ordering::Relaxed)))
    }

    /// Messages of clients, and frames to them.
    pub(crate) fn messages(&self) -> [(&'static str, u64); 2] {
        [("in", self.received.load(Ordering::Relaxed)), ("out", self.sent.load(Ordering::Relaxed))]
    }
}

impl Counted {
    pub(super) fn new(counts: Arc<SocketCounts>, kind: SocketKind) -> Self {
        let kind = KINDS.iter().position(|(known, _)| *known == kind).expect("every kind is in the table");
        counts.opened[kind].fetch_add(1, Ordering::Relaxed);
        Self { counts, kind }
    }

    pub(super) fn received(&self) {
        self.counts.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self) {
        self.counts.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn left(&self) {
        self.counts.left.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) {
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A code that is in no table is counted nowhere.
    pub(super) fn closed(&self, code: u16) {
        if let Some(index) = CODES.iter().position(|known| *known == code) {
            self.counts.by_code[index].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.closed[self.kind].fetch_add(1, Ordering::Relaxed);
    }
}
