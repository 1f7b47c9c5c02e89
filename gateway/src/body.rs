//! Request bodies: read with a limit and a pace, never kept waiting for.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Error, ErrorCode};
use http::{HeaderMap, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::edge::EdgeConfig;
use crate::error::Refusal;
use crate::reply::Reply;

/// What a client of HTTP/2 may still send, unread, and for how long.
const REST_BYTES_MAX: usize = 64 << 20;
const REST_TIME_MAX: Duration = Duration::from_secs(10);

/// The body of a request: whole, or arriving.
#[derive(Debug)]
pub struct RequestBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Arriving(Arriving),
}

/// A body on its way. Over HTTP/1.1 the connection takes care of what nobody reads of it; over HTTP/2 see [`Rest`].
#[derive(Debug)]
struct Arriving {
    /// There until it is dropped.
    body: Option<Incoming>,
    rest: Option<Rest>,
}

/// What nobody reads of the body of a request over HTTP/2. The stream would be reset behind the reply (RFC 9113, 8.1), upon which many
/// clients throw away the reply that they have. Nor may the reply be whole before they have sent all: curl 7.88 then waits for a larger
/// window, and reads nothing any more. So the rest is taken from them, to a bound, before a reply that is no refusal ends; who is
/// refused mostly stops sending, and waits for the end.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    taken: CancellationToken,
    /// How long the client may pause.
    idle: Duration,
}

impl Rest {
    /// `None` where nothing comes, or nothing before the client is told to go on.
    pub(crate) fn of(request: &Request<Incoming>, config: &EdgeConfig) -> Option<Self> {
        let has_ended = request.body().is_end_stream();
        let is_coming = !(has_ended || request.headers().contains_key(header::EXPECT));
        is_coming.then(|| Self { taken: CancellationToken::new(), idle: config.unread_idle })
    }

    /// Lets a reply end when there is nothing left to take.
    pub(crate) async fn before_the_end_of(self, reply: &mut Reply) {
        let is_refused = reply.status().is_client_error() || reply.status().is_server_error();
        if is_refused || self.taken.is_cancelled() {
            return;
        }
        if reply.body().is_end_stream() {
            return self.taken().await;
        }
        let length = reply.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        reply.body_mut().end_after(self.taken(), length);
    }

    /// Returns when there is nothing left to take, or nobody takes it.
    async fn taken(self) {
        let _ = timeout(REST_TIME_MAX, self.taken.cancelled()).await;
    }

    async fn take(self, body: Incoming) {
        let _ended = self.taken.clone().drop_guard();
        let _ = timeout(REST_TIME_MAX, self.take_all(body)).await;
    }

    async fn take_all(&self, mut body: Incoming) {
        let mut bytes = 0;
        while bytes <= REST_BYTES_MAX
            && let Ok(Some(Ok(frame))) = timeout(self.idle, body.frame()).await
        {
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    }
}

impl Arriving {
    fn is_at_its_end(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take() else { return };
        match (self.body.take(), Handle::try_current()) {
            (Some(body), Ok(runtime)) if !body.is_end_stream() => drop(runtime.spawn(rest.take(body))),
            _ => rest.taken.cancel(),
        }
    }
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

    pub(crate) fn arriving(body: Incoming, rest: Option<Rest>) -> Self {
        Self(Kind::Arriving(Arriving { body: Some(body), rest }))
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
            Kind::Arriving(arriving) => arriving.is_at_its_end(),
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
            Kind::Arriving(Arriving { body: Some(body), .. }) if !body.is_end_stream() => body,
            Kind::Arriving(_) => return Ok(None),
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
