//! Request bodies: read with a limit and a pace, never kept waiting for.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Error, ErrorCode};
use http::{HeaderMap, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::edge::EdgeConfig;
use crate::error::Refusal;

/// The body of a request: whole, or arriving.
#[derive(Debug)]
pub struct RequestBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Arriving(Incoming),
}

impl Default for RequestBody {
    fn default() -> Self {
        Self::whole(Bytes::new())
    }
}

impl RequestBody {
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(bytes.into()))
    }

    pub fn arriving(body: Incoming) -> Self {
        Self(Kind::Arriving(body))
    }
}

/// How slowly a body may arrive.
#[derive(Debug, Clone, Copy)]
struct Pace {
    idle: Duration,
    bytes_per_second_min: u32,
    total: Duration,
}

/// Reads a body piece by piece.
pub(crate) struct BodyReader {
    body: RequestBody,
    /// What `Content-Length` says; the HTTP library holds the client to it.
    declared: Option<u64>,
    pace: Pace,
    /// How long its client was waited for, all in all: what we make of the pieces takes its own time.
    waited: Duration,
    received: u64,
}

impl BodyReader {
    pub(crate) fn new(body: RequestBody, headers: &HeaderMap, edge: &EdgeConfig) -> Self {
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let EdgeConfig { body_idle: idle, body_bytes_per_second_min: bytes_per_second_min, body_total: total, .. } =
            *edge;
        let pace = Pace { idle, bytes_per_second_min, total };
        Self { body, declared, pace, waited: Duration::ZERO, received: 0 }
    }

    pub(crate) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// Is it known already that nothing comes?
    pub(crate) fn is_empty(&self) -> bool {
        match &self.body.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Arriving(body) => http_body::Body::is_end_stream(body),
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            match self.next_frame().await?.map(Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) => return Ok(Some(data)),
                // Trailers carry nothing that we read.
                Some(Err(_trailers)) => {}
            }
        }
    }

    /// The next piece, or what stands behind the last one; `None` at the end.
    pub(crate) async fn next_frame(&mut self) -> Result<Option<Frame<Bytes>>, Refusal> {
        let (began, allowed) = (Instant::now(), self.allowed());
        let body = match &mut self.body.0 {
            Kind::Whole(bytes) if bytes.is_empty() => return Ok(None),
            Kind::Whole(bytes) => return Ok(Some(Frame::data(std::mem::take(bytes)))),
            Kind::Arriving(body) if http_body::Body::is_end_stream(body) => return Ok(None),
            Kind::Arriving(body) => body,
        };
        let frame = match timeout_at(began + allowed, body.frame()).await {
            Err(_) => return Err(too_slow()),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Refusal::invalid("the body ended before it was complete").close()),
            Ok(Some(Ok(frame))) => frame,
        };
        self.waited += began.elapsed();
        self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        Ok(Some(frame))
    }

    /// No piece may keep us waiting longer than `idle`, and all together must keep the least rate and end at some time.
    fn allowed(&self) -> Duration {
        let Pace { idle, bytes_per_second_min, total } = self.pace;
        let earned = Duration::from_secs(self.received / u64::from(bytes_per_second_min.max(1)));
        idle.min((idle + earned).min(total).saturating_sub(self.waited))
    }

    /// The whole body, refused as soon as it is known to be larger than `limit`.
    pub(crate) async fn read_all(&mut self, limit: usize) -> Result<Bytes, Refusal> {
        if let Some(declared) = self.declared.filter(|declared| *declared > limit as u64) {
            return Err(over(declared, limit));
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return within(first, limit) };
        let mut whole = BytesMut::from(within(first, limit)?);
        let mut piece = Some(second);
        while let Some(bytes) = piece {
            if whole.len() + bytes.len() > limit {
                return Err(over((whole.len() + bytes.len()) as u64, limit));
            }
            whole.extend_from_slice(&bytes);
            piece = self.next().await?;
        }
        Ok(whole.freeze())
    }
}

fn within(bytes: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    if bytes.len() > limit { Err(over(bytes.len() as u64, limit)) } else { Ok(bytes) }
}

fn over(size: u64, limit: usize) -> Refusal {
    Refusal::too_large(format!("the body has {size} bytes or more, the limit is {limit}"))
}

fn too_slow() -> Refusal {
    let error = Error::new(ErrorCode::Timeout, "the body arrived too slowly; send it again");
    Refusal::with_status(StatusCode::REQUEST_TIMEOUT, error).close()
}
