//! The body of a reply: bytes in memory, content on its way from a store, read piece by piece as the client takes it, or what
//! comes as long as it comes.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use domain::RequestId;
use futures_util::{FutureExt, Stream};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use ports::{Content, StorageError};

use crate::hosts::ForwardedBody;

/// The most that is read at once.
const PIECE_BYTES: usize = 256 << 10;

/// The body of a reply.
pub struct ReplyBody(Kind);

enum Kind {
    /// Calls of functions answer this: nothing is boxed on their way.
    Whole(Full<Bytes>),
    Pieces(Box<Pieces>),
    Endless(Box<Endless>),
    /// What a function answers, as it comes.
    Forwarded(Box<Forwarded>),
    Held(Box<Held>),
}

/// What was to be sent broke off in the middle of a body; the connection ends, so that nobody takes the beginning for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the content could not be read to its end")]
pub struct BrokenOff;

type Reading = Pin<Box<dyn Future<Output = Result<Bytes, StorageError>> + Send>>;

struct Pieces {
    content: Arc<dyn Content>,
    offset: u64,
    end: u64,
    reading: Option<Reading>,
    request_id: RequestId,
    /// What must live until the last byte is gone.
    held: Option<Box<dyn Any + Send>>,
}

/// What comes as long as it comes.
struct Endless {
    stream: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    held: Option<Box<dyn Any + Send>>,
}

struct Forwarded {
    body: ForwardedBody,
    held: Option<Box<dyn Any + Send>>,
}

/// A body whose end waits for something else: its trailers, or the piece with which it is as long as it was said to be.
struct Held {
    /// `None` when there is no more of it.
    body: Option<ReplyBody>,
    last: Option<Frame<Bytes>>,
    /// The bytes up to its end, if that is known.
    left: Option<u64>,
    until: Pin<Box<dyn Future<Output = ()> + Send>>,
    held: Option<Box<dyn Any + Send>>,
    has_ended: bool,
}

impl From<ForwardedBody> for ReplyBody {
    fn from(body: ForwardedBody) -> Self {
        Self(Kind::Forwarded(Box::new(Forwarded { body, held: None })))
    }
}

impl ReplyBody {
    /// The body of a reply that is all in memory.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        let Kind::Whole(body) = &self.0 else { return None };
        Some(body.clone().collect().now_or_never()?.ok()?.to_bytes())
    }

    /// The bytes from `start` to `end` of `content`, which must be within it.
    pub(crate) fn of_content(content: Box<dyn Content>, start: u64, end: u64, request_id: RequestId) -> Self {
        let content = Arc::from(content);
        Self(Kind::Pieces(Box::new(Pieces { content, offset: start, end, reading: None, request_id, held: None })))
    }

    /// What `stream` has, asked for when the client has taken what was there before; dropped when the client is gone.
    pub(crate) fn of_stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Kind::Endless(Box::new(Endless { stream: Box::pin(stream), held: None })))
    }

    /// Keeps `guard` until the body has gone out or is given up. A body in memory is gone as soon as it is handed over.
    pub(crate) fn hold(&mut self, guard: impl Any + Send) {
        match &mut self.0 {
            Kind::Whole(_) => {}
            Kind::Pieces(pieces) => pieces.held = Some(Box::new(guard)),
            Kind::Endless(endless) => endless.held = Some(Box::new(guard)),
            Kind::Forwarded(forwarded) => forwarded.held = Some(Box::new(guard)),
            Kind::Held(body) => body.held = Some(Box::new(guard)),
        }
    }

    /// Does not end before `until` has; `length` is what the client was told of it, in bytes.
    pub(crate) fn end_after(&mut self, until: impl Future<Output = ()> + Send + 'static, length: Option<u64>) {
        let left = self.size_hint().exact().or(length);
        let (body, until) = (Some(std::mem::take(self)), Box::pin(until));
        self.0 = Kind::Held(Box::new(Held { body, last: None, left, until, held: None, has_ended: false }));
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }
}

impl Default for ReplyBody {
    fn default() -> Self {
        Self(Kind::Whole(Full::default()))
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Whole(whole) => whole.fmt(f),
            Kind::Pieces(pieces) => write!(f, "Pieces({}..{})", pieces.offset, pieces.end),
            Kind::Endless(_) => f.write_str("Endless"),
            Kind::Forwarded(_) => f.write_str("Forwarded"),
            Kind::Held(held) => write!(f, "Held({:?})", held.body),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.get_mut().0 {
            Kind::Whole(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            Kind::Pieces(pieces) => pieces.poll_piece(cx).map_ok(Frame::data),
            Kind::Endless(endless) => endless.stream.as_mut().poll_next(cx).map(|bytes| Some(Ok(Frame::data(bytes?)))),
            // Why it broke off is in the record of the call.
            Kind::Forwarded(forwarded) => forwarded.body.poll_frame(cx).map_err(|_| BrokenOff),
            Kind::Held(held) => held.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.is_end_stream(),
            Kind::Pieces(pieces) => pieces.offset >= pieces.end,
            Kind::Endless(_) | Kind::Forwarded(_) => false,
            Kind::Held(held) => {
                held.has_ended && held.last.is_none() && held.body.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(whole) => whole.size_hint(),
            Kind::Pieces(pieces) => SizeHint::with_exact(pieces.end.saturating_sub(pieces.offset)),
            Kind::Endless(_) | Kind::Forwarded(_) => SizeHint::default(),
            Kind::Held(held) => held.left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Held {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        while self.last.is_none()
            && let Some(body) = &mut self.body
        {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) if self.ends_with(&frame) => self.last = Some(frame),
                None => self.body = None,
                other => return Poll::Ready(other),
            }
        }
        if !self.has_ended {
            ready!(self.until.as_mut().poll(cx));
            self.has_ended = true;
        }
        // Trailers may follow the last byte, and are taken next.
        Poll::Ready(self.last.take().map(Ok))
    }

    fn ends_with(&mut self, frame: &Frame<Bytes>) -> bool {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.left = self.left.map(|left| left.saturating_sub(bytes));
        frame.is_trailers() || self.left == Some(0)
    }
}

impl Pieces {
    /// Reads the next piece; nothing is read before the client has taken the last one.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if self.offset >= self.end {
            return Poll::Ready(None);
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (content, offset) = (self.content.clone(), self.offset);
            let wanted = usize::try_from(self.end - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            Box::pin(async move { content.read(offset, wanted).await })
        });
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        Poll::Ready(Some(self.took(read)))
    }

    fn took(&mut self, read: Result<Bytes, StorageError>) -> Result<Bytes, BrokenOff> {
        let left = self.end - self.offset;
        match read {
            Ok(mut piece) if !piece.is_empty() => {
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                self.offset += piece.len() as u64;
                Ok(piece)
            }
            Ok(_) => {
                tracing::error!(request_id = %self.request_id, left, "failed to send content: it is shorter than it was");
                Err(self.broken())
            }
            Err(cause) => {
                let cause: &dyn std::error::Error = &cause;
                tracing::error!(request_id = %self.request_id, cause, "failed to read content that is being sent");
                Err(self.broken())
            }
        }
    }

    fn broken(&mut self) -> BrokenOff {
        self.end = self.offset;
        BrokenOff
    }
}

#[cfg(test)]
mod tests;
