//! A stream that does not wait for ever, in either direction.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::framing::{Framing, Position};
use super::transport::Transport;
use super::{EdgeConfig, illegible};
use crate::Gateway;

/// What a client may still send, unread, after we answered: so that it reads our answer before it learns that we closed.
const LINGER_BYTES_MAX: usize = 64 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// What the stream of a connection and its requests tell each other.
#[derive(Debug)]
pub(super) struct Shared {
    running: AtomicUsize,
    begun: AtomicU64,
    /// The requests that are not running any more: what they left with the HTTP library may not be written yet.
    answered: AtomicU64,
    /// The number of the head that is ambiguous; `u64::MAX` for none.
    ambiguous_head: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            running: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            ambiguous_head: AtomicU64::new(u64::MAX),
        }
    }
}

/// A request that is being answered, up to the last byte of the answer that is not in memory.
pub(super) struct Running {
    shared: Arc<Shared>,
    pub(super) ambiguous: bool,
}

impl Shared {
    pub(super) fn begin(self: Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let ambiguous = number >= self.ambiguous_head.load(Ordering::Relaxed);
        Running { shared: self, ambiguous }
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.answered.fetch_add(1, Ordering::Relaxed);
        self.shared.running.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct GuardedStream {
    transport: Transport,
    /// What was read before it was known which protocol this is.
    sniffed: Vec<u8>,
    /// `None` for HTTP/2, whose connection has timers of its own.
    framing: Option<Framing>,
    shared: Arc<Shared>,
    gateway: Arc<Gateway>,
    limits: Limits,
    head_began: Option<Instant>,
    read: Wait,
    write: Wait,
    taking: Taking,
    /// The requests that had been answered when everything was last written; `None` while a part of it is left.
    written_for: Option<u64>,
    /// What is written in the place of something else.
    instead: Option<Instead>,
    linger: Linger,
}

#[derive(Default)]
struct Instead {
    bytes: Vec<u8>,
    written: usize,
}

#[derive(Clone, Copy)]
struct Limits {
    header: Duration,
    body_idle: Duration,
    keep_alive: Duration,
    write: Duration,
    write_bytes_per_second_min: u32,
}

/// What a client has taken since its last request, and how long we waited for that.
#[derive(Default)]
struct Taking {
    request: u64,
    bytes: u64,
    waited: Duration,
}

#[derive(Default)]
struct Linger {
    until: Option<Instant>,
    discarded: usize,
}

impl GuardedStream {
    pub(super) fn new(
        transport: Transport,
        sniffed: Vec<u8>,
        http1: bool,
        shared: Arc<Shared>,
        gateway: Arc<Gateway>,
    ) -> Self {
        let EdgeConfig { header, body_idle, keep_alive, write, write_bytes_per_second_min, .. } = gateway.config.edge;
        Self {
            transport,
            sniffed,
            framing: http1.then(Framing::default),
            shared,
            gateway,
            limits: Limits { header, body_idle, keep_alive, write, write_bytes_per_second_min },
            head_began: None,
            read: Wait::default(),
            write: Wait::default(),
            taking: Taking::default(),
            written_for: Some(0),
            instead: None,
            linger: Linger::default(),
        }
    }

    /// The stream without its guard, and what was read of it and not taken.
    pub(super) fn into_parts(self) -> (Transport, Vec<u8>) {
        (self.transport, self.sniffed)
    }

    fn received(&mut self, bytes: &[u8]) {
        let Some(framing) = &mut self.framing else { return };
        if let Some(number) = framing.feed(bytes) {
            self.shared.ambiguous_head.store(number, Ordering::Relaxed);
        }
        match framing.position() {
            Position::InHead => {
                self.head_began.get_or_insert_with(Instant::now);
            }
            Position::BetweenMessages | Position::InBody => self.head_began = None,
        }
    }

    /// Called when the client has sent nothing new: has it had its time?
    fn read_is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(framing) = &self.framing else { return false };
        if self.shared.running() > 0 || self.write.has_begun() {
            // The request is with us, or its body is read at the pace that `body.rs` demands, or it is the client's turn to
            // take what we wrote, for which it has another limit.
            return false;
        }
        let limit = match framing.position() {
            Position::InHead => self.limits.header,
            Position::InBody => self.limits.body_idle,
            Position::BetweenMessages => self.limits.keep_alive,
        };
        self.read.is_over(cx, self.head_began, limit)
    }

    fn take_sniffed(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.sniffed.len().min(buffer.remaining());
        let rest = self.sniffed.split_off(count);
        let taken = std::mem::replace(&mut self.sniffed, rest);
        buffer.put_slice(&taken);
        self.received(&taken);
    }
}

/// How long one direction has been waiting. The timer is armed lazily, so that a busy connection hardly touches it.
#[derive(Default)]
struct Wait {
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    fn ended(&mut self) {
        self.since = None;
    }

    fn has_begun(&self) -> bool {
        self.since.is_some()
    }

    /// Is `limit` over, counted from `began`, or else from the first time this was asked since the wait last ended?
    fn is_over(&mut self, cx: &mut Context<'_>, began: Option<Instant>, limit: Duration) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = began.unwrap_or(since) + limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            sleep.as_mut().reset(deadline);
        }
        false
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client was too slow")
}

impl AsyncRead for GuardedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.sniffed.is_empty() {
            self.take_sniffed(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let Poll::Ready(result) = Pin::new(&mut self.transport).poll_read(cx, buffer) else {
            return if self.read_is_late(cx) { Poll::Ready(Err(late())) } else { Poll::Pending };
        };
        self.read.ended();
        self.received(&buffer.filled()[before..]);
        Poll::Ready(result)
    }
}

impl GuardedStream {
    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>, of: usize) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.taking.bytes += bytes as u64;
            self.written_for = (bytes == of).then(|| self.shared.answered.load(Ordering::Relaxed));
        }
        self.waited_for(cx, written)
    }

    /// Is this what the HTTP library says by itself, where nothing of ours is on its way? Then it is said in our words.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        let nothing_of_ours = || {
            let shared = &self.shared;
            self.framing.is_some()
                && shared.running() == 0
                && self.written_for == Some(shared.answered.load(Ordering::Relaxed))
        };
        if self.instead.is_none()
            && let Some(status) = illegible::status_of(bytes)
            && nothing_of_ours()
        {
            let bytes = illegible::answer(&self.gateway, status, bytes);
            self.instead = Some(Instead { bytes, written: 0 });
        }
        self.instead.is_some()
    }

    /// Writes all of that, and tells that `bytes` of the library's were written.
    fn poll_instead(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<usize>> {
        let mut instead = self.instead.take().unwrap_or_default();
        while instead.written < instead.bytes.len() {
            let left = &instead.bytes[instead.written..];
            match Pin::new(&mut self.transport).poll_write(cx, left) {
                Poll::Ready(Ok(written)) if written > 0 => instead.written += written,
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Err(cause)) => return Poll::Ready(Err(cause)),
                Poll::Pending => {
                    self.instead = Some(instead);
                    return self.wrote(cx, Poll::Pending, bytes);
                }
            }
        }
        self.wrote(cx, Poll::Ready(Ok(bytes)), bytes)
    }

    /// No wait for the client may be longer than `write`, and all for one reply must give the least rate.
    fn waited_for<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let request = self.shared.begun();
        if request != self.taking.request {
            self.taking = Taking { request, ..Taking::default() };
        }
        if done.is_ready() {
            self.taking.waited += self.write.since.map_or(Duration::ZERO, |since| since.elapsed());
            self.write.ended();
            return done;
        }
        let limit = self.limits.write;
        let earned = Duration::from_secs(self.taking.bytes / u64::from(self.limits.write_bytes_per_second_min.max(1)));
        let left = limit.min((limit + earned).saturating_sub(self.taking.waited));
        if self.write.is_over(cx, None, left) { Poll::Ready(Err(late())) } else { Poll::Pending }
    }

    /// Throws away what a client goes on sending after it was refused. Closing at once would reset the connection, and the
    /// client would perhaps never see why.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.linger.until.get_or_insert_with(|| Instant::now() + LINGER);
        let mut space = [0; 16 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.transport).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.linger.discarded += buffer.filled().len(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.read.is_over(cx, Some(until - LINGER), LINGER) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
            if self.linger.discarded > LINGER_BYTES_MAX || Instant::now() > until {
                return Poll::Ready(());
            }
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replaces(bytes) {
            return self.poll_instead(cx, bytes.len());
        }
        let written = Pin::new(&mut self.transport).poll_write(cx, bytes);
        self.wrote(cx, written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        if let (Some(only), None) = (filled.next(), filled.next())
            && self.replaces(only)
        {
            return self.poll_instead(cx, only.len());
        }
        let written = Pin::new(&mut self.transport).poll_write_vectored(cx, slices);
        self.wrote(cx, written, slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        // TCP has nothing to flush, so that saying it is done says nothing about the client.
        if self.transport.is_tls() { self.waited_for(cx, flushed) } else { flushed }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.until.is_none() {
            let shut = Pin::new(&mut self.transport).poll_shutdown(cx);
            ready!(self.waited_for(cx, shut))?;
        }
        let unread = self.framing.as_ref().is_some_and(|framing| framing.position() != Position::BetweenMessages);
        if unread {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
