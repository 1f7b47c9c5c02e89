//! A call as a streamed HTTP exchange: what a function's own host name receives and answers.
//!
//! An engine that can pass bytes on while they arrive implements [`crate::Engine::exchange`]; for every other one [`exchange_whole`] reads
//! the body, makes an ordinary call of it and answers its output.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use domain::{Error, ErrorCode, HttpHead, ReplyHead};
use futures_util::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::{BoxError, Call, CallContext, Ended, Engine, Failed, Observed, Reply, Services};

/// What arrives of a body, in order. An error ends it; when it is a [`domain::Error`], that is what the user may read.
///
/// Nothing is read ahead: who polls is ready for the next piece.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Piece, BoxError>> + Send>>;

/// A part of a body that arrives in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Data(Bytes),
    /// The fields behind a body, in the order received, duplicates kept (RFC 9110, 6.5); nothing follows.
    Trailers(Vec<(Bytes, Bytes)>),
}

/// A body: whole, or arriving in pieces.
pub enum Body {
    Whole(Bytes),
    Stream(BodyStream),
}

/// Both directions of a connection after `101 Switching Protocols`.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// One HTTP request for a function. That it wants another protocol is said by the `Upgrade` and `Connection` in its head.
#[derive(Debug)]
pub struct Exchange {
    pub context: CallContext,
    /// As received: only what concerns one connection alone, and a credential that was for us, are not in it.
    pub head: Arc<HttpHead>,
    /// Did the client ask by `https`?
    pub is_secure: bool,
    pub body: Body,
    /// The most that may be read by who needs the body whole, in bytes.
    pub body_bytes_max: usize,
    pub observed: Observed,
}

/// What the function answers.
pub struct Answer {
    pub head: ReplyHead,
    /// Empty beside `upgraded`. Dropping it ends the call.
    pub body: Body,
    /// Set beside status 101.
    pub upgraded: Option<Box<dyn Duplex>>,
    /// Yields what the call used and logged when the last byte is through; what is dropped before that is in
    /// [`Exchange::observed`].
    pub end: oneshot::Receiver<Ended>,
}

impl Body {
    pub fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// The whole body, without its trailers; an error as soon as it is known to be larger than `bytes_max`.
    pub async fn read_whole(self, bytes_max: usize) -> Result<Bytes, Error> {
        let mut pieces = match self {
            Self::Whole(bytes) if bytes.len() > bytes_max => return Err(too_large(bytes_max)),
            Self::Whole(bytes) => return Ok(bytes),
            Self::Stream(pieces) => pieces,
        };
        let mut whole = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            if let Piece::Data(bytes) = piece.map_err(broken_off)? {
                if bytes.len() > bytes_max - whole.len() {
                    return Err(too_large(bytes_max));
                }
                whole.extend_from_slice(&bytes);
            }
        }
        Ok(whole.freeze())
    }

    pub fn into_stream(self) -> BodyStream {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => Box::pin(stream::empty()),
            Self::Whole(bytes) => Box::pin(stream::iter([Ok(Piece::Data(bytes))])),
            Self::Stream(pieces) => pieces,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("head", &self.head).field("body", &self.body).finish_non_exhaustive()
    }
}

fn too_large(bytes_max: usize) -> Error {
    Error::new(ErrorCode::PayloadTooLarge, format!("the body is larger than {bytes_max} bytes"))
}

/// What a user may read of why a body ended early.
fn broken_off(cause: BoxError) -> Error {
    match cause.downcast::<Error>() {
        Ok(error) => *error,
        Err(_) => Error::invalid("the body ended before it was complete"),
    }
}

/// Makes an ordinary call of an exchange, for engines that do not stream; a function that is not `http: true` is given the body
/// alone.
pub async fn exchange_whole<E: Engine + ?Sized>(
    engine: &E,
    exchange: Exchange,
    services: Arc<Services>,
) -> Result<Answer, Failed> {
    let Exchange { context, head, is_secure: _, body, body_bytes_max, observed } = exchange;
    let refused = |error| Failed { error, ended: Ended::default(), cause: None };
    let input = body.read_whole(body_bytes_max).await.map_err(refused)?;
    let http = services.version.manifest.http.then_some(head);
    let Reply { head, body, ended } = engine.invoke(Call { context, http, input, observed }, services).await?;
    let (end, receiver) = oneshot::channel();
    // Nobody may wait for it any more.
    let _ = end.send(ended);
    let head = head.unwrap_or_else(|| plain_head(&body));
    Ok(Answer { head, body: body.into(), upgraded: None, end: receiver })
}

/// The head of a reply whose function composed none.
fn plain_head(body: &[u8]) -> ReplyHead {
    let content_type = match body.first() {
        Some(b'{' | b'[') => "application/json",
        _ if std::str::from_utf8(body).is_ok() => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    let header = (Bytes::from_static(b"content-type"), Bytes::from_static(content_type.as_bytes()));
    ReplyHead { status: 200, headers: vec![header] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(of: Vec<Result<Piece, BoxError>>) -> Body {
        Body::Stream(Box::pin(stream::iter(of)))
    }

    fn data(text: &'static str) -> Result<Piece, BoxError> {
        Ok(Piece::Data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let body = || pieces(vec![data("ab"), data("cd"), Ok(Piece::Trailers(vec![]))]);
        assert_eq!(body().read_whole(4).await.expect("it fits"), "abcd");
        assert_eq!(body().read_whole(3).await.expect_err("too large").code, ErrorCode::PayloadTooLarge);
        let whole = Body::Whole(Bytes::from_static(b"abcd"));
        assert_eq!(whole.read_whole(3).await.expect_err("too large").code, ErrorCode::PayloadTooLarge);
    }

    #[tokio::test]
    async fn what_broke_a_body_off_is_told_when_it_may_be() {
        let slow = Error::new(ErrorCode::Timeout, "the body arrived too slowly");
        let told = pieces(vec![data("ab"), Err(Box::new(slow.clone()))]).read_whole(9).await;
        assert_eq!(told.expect_err("it broke off"), slow);
        let hidden = pieces(vec![Err("connection 7 of 10.0.0.1 was reset".into())]).read_whole(9).await;
        assert_eq!(hidden.expect_err("it broke off").message, "the body ended before it was complete");
    }

    #[test]
    fn a_reply_without_a_head_says_what_it_looks_like() {
        let content_type = |body: &[u8]| plain_head(body).headers[0].1.clone();
        assert_eq!(content_type(b"[1]"), "application/json");
        assert_eq!(content_type(b"2,3"), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"\xff\0"), "application/octet-stream");
    }
}
