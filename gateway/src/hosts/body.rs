//! Bodies on their way through: piece by piece, at the pace of whoever is slower, trailers included.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use ports::{Body, BodyStream, BoxError, Piece};

use crate::body::BodyReader;
use crate::error::Refusal;

/// What is to be said to a client whose body broke off while the function read it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<Refusal>>>);

impl Fault {
    pub(super) fn take(&self) -> Option<Refusal> {
        self.0.lock().expect("no holder panics").take()
    }

    /// Keeps the answer for the client, and tells the function what it may know.
    fn keep(&self, refusal: Refusal) -> BoxError {
        let error = refusal.error().clone();
        *self.0.lock().expect("no holder panics") = Some(refusal);
        error.into()
    }
}

/// The body of a request while it arrives. Nothing is read before the function asks for it, and a client that expects
/// `100 Continue` is told so then.
pub(super) fn arriving(reader: BodyReader, fault: Fault) -> Body {
    if reader.is_empty() {
        return Body::empty();
    }
    Body::Stream(Box::pin(stream::unfold(Some((reader, fault)), |reader| async move {
        let (mut reader, fault) = reader?;
        match reader.next_frame().await {
            Ok(None) => None,
            Ok(Some(frame)) => Some((Ok(piece_of(frame)), Some((reader, fault)))),
            Err(refusal) => Some((Err(fault.keep(refusal)), None)),
        }
    })))
}

fn piece_of(frame: Frame<Bytes>) -> Piece {
    match frame.into_data() {
        Ok(bytes) => Piece::Data(bytes),
        Err(frame) => Piece::Trailers(fields_of(&frame.into_trailers().unwrap_or_default())),
    }
}

fn fields_of(map: &HeaderMap) -> Vec<(Bytes, Bytes)> {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (Bytes::copy_from_slice(name.as_str().as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    };
    map.iter().map(field).collect()
}

/// The body of a function's reply, asked for when the client has taken what was there before.
pub(crate) struct ForwardedBody(BodyStream);

impl ForwardedBody {
    pub(super) fn new(pieces: BodyStream) -> Self {
        Self(pieces)
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_next(cx).map_ok(frame_of)
    }
}

fn frame_of(piece: Piece) -> Frame<Bytes> {
    match piece {
        Piece::Data(bytes) => Frame::data(bytes),
        Piece::Trailers(fields) => Frame::trailers(map_of(fields)),
    }
}

/// Fields that HTTP cannot carry are left out.
fn map_of(fields: Vec<(Bytes, Bytes)>) -> HeaderMap {
    let readable = fields.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_bytes(&name).ok()?, HeaderValue::from_maybe_shared(value).ok()?))
    });
    let mut map = HeaderMap::new();
    for (name, value) in readable {
        map.append(name, value);
    }
    map
}
