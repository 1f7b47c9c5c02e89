//! One WebSocket: messages in, frames out, and everything that has to happen by itself in between.
//!
//! The library (tungstenite) reads frames, checks them and keeps the state of the closing handshake. It exists only while
//! something is being read: a socket at rest holds no buffer. Nothing here spawns, and one timer serves for everything.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, timeout};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error as LibraryError, Message};

use super::counts::Counted;
use super::frame::{self, Frame, Goodbye};
use super::wire::{Violation, Wire};
use crate::edge::{Place, Transport};

/// What the library reads at once. It is there only while something is half read.
const READ_BUFFER_BYTES: usize = 8 << 10;
/// A client that takes nothing is read no further when this much waits for it.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// What a client that is done may still send before it reads that it is done.
const DISCARDED_BYTES_MAX: usize = 8 << 20;

/// The timers of a socket.
#[derive(Debug, Clone)]
pub struct SocketConfig {
    /// Between two pings.
    pub ping: Duration,
    /// How long a client may be silent, its answers to pings included.
    pub pong_wait: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// How long a client may refuse to take bytes.
    pub write: Duration,
    /// For the closing handshake.
    pub close: Duration,
    /// Bytes of messages in memory at once, in all sockets.
    pub bytes_max: usize,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(30),
            pong_wait: Duration::from_secs(60),
            message: Duration::from_secs(60),
            write: Duration::from_secs(30),
            close: Duration::from_secs(5),
            bytes_max: 256 << 20,
        }
    }
}

/// A message of the client, with its place among all that are in memory.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) data: Bytes,
    pub(crate) text: bool,
    room: Option<OwnedSemaphorePermit>,
}

impl Received {
    /// Counts also a small message among all that are in memory, for who lets it wait. False when there is no room.
    pub(crate) fn hold(&mut self, room: &Arc<Semaphore>) -> bool {
        if self.room.is_none() {
            let kib = u32::try_from(self.data.len().div_ceil(1024)).unwrap_or(u32::MAX);
            self.room = room.clone().try_acquire_many_owned(kib).ok();
        }
        self.room.is_some()
    }
}

/// What happens on a socket.
#[derive(Debug)]
pub(crate) enum Event {
    Message(Received),
    /// There was no room, and now there is.
    Room,
    /// A ping was sent: time to look whether everything still holds.
    Tick,
    /// The moment has come that was set by [`Socket::wake_at`].
    Due,
}

/// How a socket ended that nobody here ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client said goodbye.
    ByClient,
    /// The connection is gone, or nobody is at the other end any more.
    Lost,
    /// The client did what it must not.
    Refused(Goodbye),
}

pub(crate) struct Socket {
    wire: Wire,
    library: Option<Box<WebSocketContext>>,
    /// We have said goodbye.
    closing: bool,
    /// There was no room when something was sent last.
    full: bool,
    message_bytes_max: usize,
    config: Arc<SocketConfig>,
    timer: Pin<Box<Sleep>>,
    ping_at: Instant,
    wake_at: Option<Instant>,
    counted: Counted,
    /// The connection counts until here.
    _place: Place,
}

impl Socket {
    pub(super) fn new(
        (transport, early, place): (Transport, Bytes, Place),
        message_bytes_max: usize,
        config: Arc<SocketConfig>,
        room: Arc<Semaphore>,
        counted: Counted,
    ) -> Self {
        let ping_at = Instant::now() + config.ping;
        Self {
            wire: Wire::new(transport, early, message_bytes_max, room),
            library: None,
            closing: false,
            full: false,
            message_bytes_max,
            timer: Box::pin(tokio::time::sleep_until(ping_at)),
            ping_at,
            wake_at: None,
            config,
            counted,
            _place: place,
        }
    }

    /// Puts a frame behind those that wait. Whoever asks [`Self::has_room`] before keeps little waiting.
    pub(crate) fn send(&mut self, frame: Frame) {
        self.counted.sent();
        self.wire.push(frame);
        self.full = !self.has_room();
    }

    pub(crate) fn has_room(&self) -> bool {
        self.wire.unsent_bytes() < UNSENT_BYTES_MAX
    }

    /// Asks for [`Event::Due`] at a moment, or for none.
    pub(crate) fn wake_at(&mut self, moment: Option<Instant>) {
        self.wake_at = moment;
    }

    /// What happens next. Safe to give up. Without `reading` messages wait, and nobody is late meanwhile.
    pub(crate) async fn next(&mut self, reading: bool) -> Result<Event, Ended> {
        poll_fn(|context| self.poll_next(context, reading)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>, reading: bool) -> Poll<Result<Event, Ended>> {
        self.write(context)?;
        if self.full && self.has_room() {
            self.full = false;
            return Poll::Ready(Ok(Event::Room));
        }
        if reading && self.has_room() {
            if let Poll::Ready(read) = self.poll_read(context) {
                return Poll::Ready(read.map(Event::Message));
            }
            // What was read may have been answered.
            self.write(context)?;
        } else {
            self.wire.excuse(Instant::now());
        }
        self.poll_timer(context)
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        match self.wire.poll_write(context) {
            Poll::Ready(Err(_)) => Err(Ended::Lost),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Ended>> {
        self.wire.allow_reading();
        loop {
            if let Some(violation) = self.wire.violation() {
                return Poll::Ready(Err(Ended::Refused(violation.goodbye())));
            }
            if self.library.is_none() && !self.wire.poll_readable(context) {
                return Poll::Pending;
            }
            match library(&mut self.library, self.message_bytes_max).read(&mut self.wire) {
                Ok(Message::Text(text)) => return Poll::Ready(Ok(self.received(text.into(), true))),
                Ok(Message::Binary(data)) => return Poll::Ready(Ok(self.received(data, false))),
                Ok(Message::Close(_)) => return Poll::Ready(Err(Ended::ByClient)),
                // The library answers pings with its next step.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(LibraryError::Io(blocked)) if blocked.kind() == io::ErrorKind::WouldBlock => {
                    if self.wire.is_exhausted() {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if self.wire.at_rest() && !self.closing {
                        self.library = None;
                    }
                    if self.wire.violation().is_none() && !self.wire.poll_readable(context) {
                        return Poll::Pending;
                    }
                }
                Err(error) => return Poll::Ready(Err(ended_by(&error))),
            }
        }
    }

    /// A small message is copied out of the buffer that it arrived in, so that keeping it does not keep that.
    fn received(&mut self, data: Bytes, text: bool) -> Received {
        self.counted.received();
        let data = if data.len() <= READ_BUFFER_BYTES { Bytes::copy_from_slice(&data) } else { data };
        Received { data, text, room: self.wire.take_room() }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Ended>> {
        loop {
            if let Some(due) = self.due(Instant::now()) {
                return Poll::Ready(due);
            }
            let next = self.next_moment();
            if self.timer.deadline() != next {
                self.timer.as_mut().reset(next);
            }
            ready!(self.timer.as_mut().poll(context));
        }
    }

    fn due(&mut self, now: Instant) -> Option<Result<Event, Ended>> {
        let passed = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        if passed(self.stuck_at()) || self.silent_at() <= now {
            return Some(Err(Ended::Lost));
        }
        if passed(self.overdue_at()) {
            let goodbye = Goodbye::new(frame::POLICY, "the message took too long to arrive");
            return Some(Err(Ended::Refused(goodbye)));
        }
        if passed(self.wake_at) {
            self.wake_at = None;
            return Some(Ok(Event::Due));
        }
        if self.ping_at <= now {
            self.ping_at = now + self.config.ping;
            self.wire.push(Frame::ping());
            return Some(Ok(Event::Tick));
        }
        None
    }

    fn next_moment(&self) -> Instant {
        let all = [Some(self.ping_at), Some(self.silent_at()), self.wake_at, self.stuck_at(), self.overdue_at()];
        all.into_iter().flatten().min().unwrap_or(self.ping_at)
    }

    fn silent_at(&self) -> Instant {
        self.wire.received_at() + self.config.pong_wait
    }

    fn stuck_at(&self) -> Option<Instant> {
        self.wire.stuck_since().map(|since| since + self.config.write)
    }

    fn overdue_at(&self) -> Option<Instant> {
        self.wire.message_since().map(|since| since + self.config.message)
    }

    /// Ends the socket after [`Self::next`] has failed: answers the client's goodbye, or says why it is refused.
    pub(crate) async fn end(mut self, how: &Ended) {
        match how {
            Ended::Lost => return self.counted.lost(),
            Ended::ByClient => {
                self.counted.left();
                // Queues the answer, and then says that the connection is closed.
                let _ = library(&mut self.library, self.message_bytes_max).flush(&mut self.wire);
            }
            Ended::Refused(goodbye) => self.say(goodbye),
        }
        let limit = self.config.close;
        let _ = timeout(limit, self.hang_up(how)).await;
    }

    /// Says goodbye and waits for the client's, as long as it may take.
    pub(crate) async fn close(mut self, goodbye: &Goodbye) {
        self.say(goodbye);
        let limit = self.config.close;
        let parting = async {
            let ended = loop {
                if let Err(ended) = poll_fn(|context| self.poll_parting(context)).await {
                    break ended;
                }
            };
            self.hang_up(&ended).await;
        };
        let _ = timeout(limit, parting).await;
    }

    /// Messages that cross our goodbye are lost: the client knows that from the handshake.
    fn poll_parting(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Ended>> {
        self.write(context)?;
        let read = self.poll_read(context);
        self.write(context)?;
        read
    }

    fn say(&mut self, goodbye: &Goodbye) {
        self.closing = true;
        self.counted.closed(goodbye.code);
        let frame = CloseFrame { code: goodbye.code.into(), reason: goodbye.reason.as_str().into() };
        // The wire takes everything; a library that has given up has nothing to say any more.
        let _ = library(&mut self.library, self.message_bytes_max).close(&mut self.wire, Some(frame));
    }

    /// The server closes first (RFC 6455, section 7.1.1). Who has said goodbye sends nothing more; from others it is thrown away.
    async fn hang_up(&mut self, how: &Ended) {
        let sent = poll_fn(|context| self.wire.poll_write(context)).await;
        if sent.is_ok() && self.wire.shut().await.is_ok() && *how != Ended::ByClient {
            self.wire.discard(DISCARDED_BYTES_MAX).await;
        }
    }
}

fn library(library: &mut Option<Box<WebSocketContext>>, message_bytes_max: usize) -> &mut WebSocketContext {
    library.get_or_insert_with(|| {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        Box::new(WebSocketContext::new(Role::Server, Some(config)))
    })
}

impl Violation {
    fn goodbye(self) -> Goodbye {
        match self {
            Self::TooManyFrames => Goodbye::new(frame::POLICY, "the message has too many frames"),
            Self::TooManyControls => Goodbye::new(frame::POLICY, "too many pings"),
            Self::NoRoom => Goodbye::new(frame::TRY_LATER, "too many large messages at once, try again"),
        }
    }
}

/// What the library says, as the client is told.
fn ended_by(error: &LibraryError) -> Ended {
    let refused = |code, reason: String| Ended::Refused(Goodbye::new(code, reason));
    match error {
        LibraryError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ended::Lost,
        LibraryError::Protocol(wrong) => refused(frame::PROTOCOL, wrong.to_string()),
        LibraryError::Utf8(_) => refused(frame::NOT_TEXT, "a text frame is not UTF-8".to_owned()),
        LibraryError::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
            refused(frame::TOO_BIG, format!("a message may have {max_size} bytes"))
        }
        LibraryError::ConnectionClosed | LibraryError::AlreadyClosed => Ended::ByClient,
        _ => Ended::Lost,
    }
}
