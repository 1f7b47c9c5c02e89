//! The connection of a socket: bytes in, watched (`boundary.rs`), and frames out, in order.
//!
//! The library reads and writes here as if nothing ever blocked: what it writes is queued, and where nothing is to be read, or
//! enough was for now, it is told that there is nothing yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::boundary::{Boundary, Head};
use super::frame::Frame;
use crate::edge::Transport;

/// What is read before others have their turn.
const READ_AT_ONCE: usize = 64 << 10;
/// Slices of one system call.
const SLICES_MAX: usize = 16;
/// Messages larger than this need room among all that arrive.
const SMALL_BYTES: u64 = 16 << 10;
/// The most frames of one message; where messages may be large, as many as have this size.
const FRAMES_MAX: u64 = 16 << 10;
const FRAME_BYTES_MIN: u64 = 64;
/// The most pings and pongs of a client within a window.
const CONTROLS_MAX: u32 = 300;
const CONTROLS_WINDOW: Duration = Duration::from_secs(10);

/// What a client did that the library does not mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Violation {
    /// A message of far too many frames.
    TooManyFrames,
    TooManyControls,
    /// Not its fault: all clients together send too much at once.
    NoRoom,
}

pub(super) struct Wire {
    transport: Transport,
    /// What arrived together with the request.
    early: Bytes,
    boundary: Boundary,
    message_bytes_max: u64,
    /// When the message began that is not complete.
    message_since: Option<Instant>,
    received_at: Instant,
    /// What may still be read now.
    allowance: usize,
    violation: Option<Violation>,
    controls: (Instant, u32),
    room: Arc<Semaphore>,
    /// That of what has arrived of the present message.
    taken: Option<OwnedSemaphorePermit>,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    /// Since when the client has taken nothing of what waits.
    stuck_since: Option<Instant>,
}

impl Wire {
    pub(super) fn new(transport: Transport, early: Bytes, message_bytes_max: usize, room: Arc<Semaphore>) -> Self {
        let now = Instant::now();
        Self {
            transport,
            early,
            boundary: Boundary::default(),
            message_bytes_max: message_bytes_max as u64,
            message_since: None,
            received_at: now,
            allowance: 0,
            violation: None,
            controls: (now, 0),
            room,
            taken: None,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            stuck_since: None,
        }
    }

    /// Lets the library read some more.
    pub(super) fn allow_reading(&mut self) {
        self.allowance = READ_AT_ONCE;
    }

    /// Was reading stopped so that others have their turn?
    pub(super) fn is_exhausted(&self) -> bool {
        self.allowance == 0
    }

    /// Is nothing half read, nor waiting to be?
    pub(super) fn at_rest(&self) -> bool {
        self.early.is_empty() && self.boundary.at_rest()
    }

    /// Is there perhaps something to read? If not, the task is woken when there is.
    pub(super) fn poll_readable(&mut self, context: &mut Context<'_>) -> bool {
        !self.early.is_empty() || self.transport.poll_readable(context)
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        self.violation
    }

    pub(super) fn message_since(&self) -> Option<Instant> {
        self.message_since
    }

    pub(super) fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Nobody read: what the client sent meanwhile is not late.
    pub(super) fn excuse(&mut self, now: Instant) {
        self.received_at = now;
        self.message_since = self.message_since.map(|_| now);
    }

    /// The room that the message took that was just completed.
    pub(super) fn take_room(&mut self) -> Option<OwnedSemaphorePermit> {
        self.taken.take()
    }

    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.push_bytes(frame.0);
    }

    fn push_bytes(&mut self, bytes: Bytes) {
        self.unsent_bytes += bytes.len();
        self.unsent.push_back(bytes);
    }

    /// Writes what the client takes; ready when nothing waits any more.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent_bytes > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.unsent) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            match Pin::new(&mut self.transport).poll_write_vectored(context, &slices[..count])? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => self.wrote(written),
                Poll::Pending => return self.stuck(),
            }
        }
        self.unsent.shrink_to(4);
        // What TLS has encrypted may not have gone out yet.
        match Pin::new(&mut self.transport).poll_flush(context)? {
            Poll::Pending => self.stuck(),
            Poll::Ready(()) => {
                self.stuck_since = None;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn stuck<T>(&mut self) -> Poll<T> {
        self.stuck_since.get_or_insert_with(Instant::now);
        Poll::Pending
    }

    fn wrote(&mut self, mut written: usize) {
        self.stuck_since = None;
        self.unsent_bytes -= written;
        while let Some(first) = self.unsent.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.unsent.pop_front();
        }
    }

    /// Says that nothing more will come; the client may still send.
    pub(super) async fn shut(&mut self) -> io::Result<()> {
        tokio::io::AsyncWriteExt::shutdown(&mut self.transport).await
    }

    /// Throws away what the client still sends, to its end or to `bytes_max`. Were it left unread, closing would reset the
    /// connection, and the client would perhaps never read why.
    pub(super) async fn discard(&mut self, bytes_max: usize) {
        let mut space = [0; 4096];
        let mut discarded = 0;
        while let Ok(count @ 1..) = tokio::io::AsyncReadExt::read(&mut self.transport, &mut space).await {
            discarded += count;
            if discarded > bytes_max {
                return;
            }
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        self.received_at = now;
        let mut boundary = std::mem::take(&mut self.boundary);
        boundary.feed(bytes, |head| self.head_ended(head, now));
        self.boundary = boundary;
        self.message_since = match self.boundary.at_rest() {
            true => None,
            false => self.message_since.or(Some(now)),
        };
    }

    fn head_ended(&mut self, head: Head, now: Instant) {
        let violation = if head.control {
            self.control_came(now).then_some(Violation::TooManyControls)
        } else if u64::from(head.frames) > FRAMES_MAX.max(self.message_bytes_max / FRAME_BYTES_MIN) {
            Some(Violation::TooManyFrames)
        } else if head.bytes > SMALL_BYTES && head.bytes <= self.message_bytes_max {
            // One that is too large by itself needs none: the library refuses it.
            (!self.make_room(head.bytes)).then_some(Violation::NoRoom)
        } else {
            None
        };
        self.violation = self.violation.or(violation);
    }

    /// Counts a ping or a pong; true when there are too many.
    fn control_came(&mut self, now: Instant) -> bool {
        let (since, count) = &mut self.controls;
        if now.duration_since(*since) > CONTROLS_WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count > CONTROLS_MAX
    }

    /// Takes what a message of so many bytes needs and has not yet.
    fn make_room(&mut self, bytes: u64) -> bool {
        let kib = usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX);
        let missing = kib.saturating_sub(self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(missing) else { return false };
        match &mut self.taken {
            Some(taken) => taken.merge(room),
            none => *none = Some(room),
        }
        true
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.allowance);
        if room == 0 || self.violation.is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = match self.early.is_empty() {
            true => self.transport.try_read(&mut buffer[..room])?,
            false => {
                let count = room.min(self.early.len());
                self.early.copy_to_slice(&mut buffer[..count]);
                count
            }
        };
        self.allowance -= count;
        self.received(&buffer[..count]);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push_bytes(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
