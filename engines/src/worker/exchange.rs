//! A request to a process, and its reply, streamed both ways; with the deadline, the log and the end of its call.

use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use domain::{Error, ErrorCode, FailureKind, HttpHead, ReplyHead};
use futures_util::{FutureExt, StreamExt, stream};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper_util::rt::TokioIo;
use ports::{
    Answer, Body, BodyStream, BoxError, Call, CallContext, Duplex, Ended, Exchange, Failed, Observed, Piece, Reply,
    Services,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::calls::Begun;
use super::connections::{Connection, RequestBody};
use super::homes::{Homes, NoProcess, Visit};
use super::meter::Used;
use super::process::Ending;
use crate::jail::Exit;

/// The most that a whole reply may have, as for every engine.
const OUTPUT_BYTES_MAX: usize = 8 << 20;
/// A request of so many bytes is read at once, head and body.
const READ_BYTES: usize = 4 << 10;
/// Until a process that broke off is known to have ended.
const ENDING_TIME_MAX: Duration = Duration::from_secs(1);
/// What workerd answers when code threw, or hangs for ever; it has no content type, as all that code answers has.
const THREW: &[u8] = b"Internal Server Error";

/// What is known of the body of a request.
#[derive(Default)]
struct Sent {
    /// Has the process read all of the request, whether its code wants the body or not? A process that has not answers nothing else
    /// over the connection before its code is done, which may be long after the reply.
    is_read: bool,
    /// It is the client that broke it off.
    broken: OnceLock<Error>,
}

/// A call at a process. Dropping it ends both.
struct Running {
    /// Ends first: what is still asked for the call is refused.
    begun: Begun,
    visit: Visit,
    before: Used,
    body: Arc<Sent>,
    /// Did the client ask by `https`?
    is_secure: bool,
    /// Is the reply complete? Otherwise nobody knows what the process does.
    complete: bool,
}

impl Running {
    async fn begin(
        homes: &Arc<Homes>,
        context: CallContext,
        services: Arc<Services>,
        observed: Observed,
        body: Arc<Sent>,
    ) -> Result<Self, Failed> {
        let visit = match tokio::time::timeout_at(context.deadline.into(), homes.visit(&services)).await {
            Ok(visit) => visit.map_err(no_process)?,
            Err(_) => return Err(refused(timed_out(services.version.manifest.timeout))),
        };
        let begun = visit.process.calls.begin(context, services, observed);
        let begun = begun.map_err(|cause| broken(Box::new(cause)))?;
        let before = visit.process.meter.read();
        Ok(Self { begun, visit, before, body, is_secure: false, complete: false })
    }

    /// Sends the request and waits for the head of the reply.
    async fn send(&self, request: Request<RequestBody>) -> Result<(Response<Incoming>, Connection), Error> {
        let live = &self.begun.live;
        let facts = live.facts();
        let sent = self.visit.process.send(request, &facts, self.is_secure);
        match tokio::time::timeout_at(live.deadline().into(), sent).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(broken)) if broken.is_head_too_large() => Err(failed(
                FailureKind::OutputLimit,
                "the head of the reply is larger than 128 KiB, or has more than 1,000 headers",
            )),
            Ok(Err(_)) => Err(self.why_broken().await),
            Err(_) => Err(self.overdue()),
        }
    }

    fn overdue(&self) -> Error {
        self.visit.avoid();
        timed_out(self.begun.live.services.version.manifest.timeout)
    }

    /// Why the connection broke off: mostly because the process ended.
    async fn why_broken(&self) -> Error {
        if let Some(error) = self.body.broken.get() {
            return error.clone();
        }
        let memory_mb = self.begun.live.services.version.manifest.memory_mb;
        match self.visit.process.ending(ENDING_TIME_MAX).await {
            None => failed(FailureKind::Abi, "the worker broke off its reply"),
            Some(Ending { why: Some(_), .. }) if Instant::now() >= self.begun.live.deadline() => self.overdue(),
            Some(Ending { why: Some(why), .. }) => failed(FailureKind::Exit, format!("the process was ended: {why}")),
            Some(ending) if ending.is_out_of_memory() => {
                let message = format!("the function ran out of memory: its limit is {memory_mb} MB");
                failed(FailureKind::Memory, message).hint("raise `memory` in function.yaml (at most 1024)")
            }
            Some(ending) => failed(FailureKind::Exit, format!("the process ended: {}", shown(ending.exit))),
        }
    }

    /// The reply is complete. A connection whose request may not be is closed, and with it whoever sends the rest.
    fn let_go(&mut self, connection: Connection) {
        self.complete = true;
        if self.body.is_read {
            self.visit.process.keep(connection);
        }
    }

    /// Waits until nothing goes on behind the reply; not longer than the call may run, or its process does.
    async fn settled(&self) {
        let live = &self.begun.live;
        tokio::select! {
            () = live.settled() => {}
            () = self.visit.process.ended() => {
                live.told("error", "the process ended before what went on behind the reply was done");
            }
        }
    }

    /// What the call used and logged until now.
    fn ended(&self) -> Ended {
        self.visit.process.drain_output();
        self.taken()
    }

    /// The same, when the output has just been read.
    fn taken(&self) -> Ended {
        let used = self.visit.process.meter.read();
        let (observed, threw) = (&self.begun.live.observed, self.begun.live.threw());
        observed.update(|ended| {
            ended.usage.cpu = used.cpu.saturating_sub(self.before.cpu);
            ended.usage.memory_peak_bytes = used.resident_bytes.max(self.before.resident_bytes);
            ended.fault = threw.map(|threw| failed(FailureKind::Trap, format!("the worker threw: {threw}")));
        });
        observed.take()
    }

    fn failed(&self, error: Error) -> Failed {
        Failed { error, ended: self.ended(), cause: None }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.complete {
            self.visit.process.drain_output();
            self.visit.process.suspect(self.begun.live.deadline());
        }
    }
}

impl Ending {
    /// By the kernel, or by its own heap.
    pub(super) fn is_out_of_memory(&self) -> bool {
        const SAID: [&str; 3] = ["heap limit", "heap out of memory", "out of memory"];
        let words = self.last_words.to_ascii_lowercase();
        self.exit == Exit::OutOfMemory || SAID.iter().any(|said| words.contains(said))
    }
}

fn shown(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::OutOfMemory => "out of memory".to_owned(),
        Exit::Lost => "its jail is gone".to_owned(),
    }
}

/// Carries an HTTP exchange.
pub(super) async fn exchange(
    homes: &Arc<Homes>,
    runtime: &Handle,
    exchange: Exchange,
    services: Arc<Services>,
) -> Result<Answer, Failed> {
    let Exchange { context, head, is_secure, body, observed, .. } = exchange;
    let sent = Arc::new(Sent::of(&head, &body));
    let request = request_of(&head, body, &sent).map_err(refused)?;
    let mut running = Running::begin(homes, context, services, observed, sent).await?;
    running.is_secure = is_secure;
    let (reply, connection) = running.send(request).await.map_err(|error| running.failed(error))?;
    let (end, receiver) = oneshot::channel();
    if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
        return upgraded(running, reply, end, receiver).await;
    }
    let (head, incoming) = reply.into_parts();
    let head = ReplyHead { status: head.status.as_u16(), headers: headers_of(&head.headers) };
    let reply = ReplyBody { running, incoming, first: None, connection, end, runtime: runtime.clone() };
    Ok(Answer { head, body: reply.into_body().await?, upgraded: None, end: receiver })
}

/// Makes one request of a call, and reads the whole reply.
pub(super) async fn invoke(homes: &Arc<Homes>, call: Call, services: Arc<Services>) -> Result<Reply, Failed> {
    let Call { context, http, input, observed } = call;
    let plain = http.is_none();
    let head = http.unwrap_or_else(|| Arc::new(head_for(&input)));
    let input = Body::Whole(input);
    let sent = Arc::new(Sent::of(&head, &input));
    let request = request_of(&head, input, &sent).map_err(refused)?;
    let mut running = Running::begin(homes, context, services, observed, sent).await?;
    let (reply, connection) = running.send(request).await.map_err(|error| running.failed(error))?;
    let (head, mut incoming) = reply.into_parts();
    let body = read_whole(&running, &mut incoming).await.map_err(|error| running.failed(error))?;
    running.let_go(connection);
    running.visit.process.drain_output();
    if plain && let Some(error) = exception(&running, head.status, &head.headers, &body) {
        return Err(running.failed(error));
    }
    // Who asks by name gets an answer to keep, with all that was logged for it.
    running.settled().await;
    let ended = running.ended();
    let headers = headers_of(&head.headers).into_iter().filter(|(name, _)| *name != CONTENT_LENGTH.as_str()).collect();
    Ok(Reply { head: Some(ReplyHead { status: head.status.as_u16(), headers }), body, ended })
}

/// The failure behind a reply that is workerd's own.
fn exception(running: &Running, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Error> {
    let own = status == StatusCode::INTERNAL_SERVER_ERROR && !headers.contains_key(CONTENT_TYPE) && body == THREW;
    let said = match running.begun.live.threw() {
        Some(threw) => format!("the worker threw: {threw}"),
        None => "the worker gave no reply of its own: it answered with one that was used already, or what it waits for cannot \
                 happen"
            .to_owned(),
    };
    own.then(|| failed(FailureKind::Trap, said))
}

async fn read_whole(running: &Running, incoming: &mut Incoming) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    let deadline = running.begun.live.deadline();
    loop {
        match tokio::time::timeout_at(deadline.into(), incoming.frame()).await {
            Err(_) => return Err(running.overdue()),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => return Err(running.why_broken().await),
            Ok(Some(Ok(frame))) => whole.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
        if whole.len() > OUTPUT_BYTES_MAX {
            let message = format!("the reply is larger than {} MiB", OUTPUT_BYTES_MAX >> 20);
            return Err(failed(FailureKind::OutputLimit, message));
        }
    }
}

/// A reply whose body is on its way.
struct ReplyBody {
    running: Running,
    incoming: Incoming,
    /// What came with the head.
    first: Option<Frame<Bytes>>,
    connection: Connection,
    end: oneshot::Sender<Ended>,
    runtime: Handle,
}

impl ReplyBody {
    /// A reply that has come with its head is whole, and its call is over.
    async fn into_body(mut self) -> Result<Body, Failed> {
        let came = match self.incoming.is_end_stream() {
            true => Some(None),
            false => self.incoming.frame().now_or_never(),
        };
        match came {
            Some(None) => {
                self.finish();
                Ok(Body::empty())
            }
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) if self.incoming.is_end_stream() => {
                    self.finish();
                    Ok(Body::Whole(bytes))
                }
                frame => {
                    self.first = Some(frame.map_or_else(|frame| frame, Frame::data));
                    Ok(Body::Stream(self.into_stream()))
                }
            },
            Some(Some(Err(_))) => Err(self.running.failed(self.running.why_broken().await)),
            None => Ok(Body::Stream(self.into_stream())),
        }
    }

    fn into_stream(self) -> BodyStream {
        Box::pin(stream::unfold(Some(self), |reply| async { reply?.next().await }))
    }

    async fn next(mut self) -> Option<(Result<Piece, BoxError>, Option<Self>)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(piece_of(first)), Some(self)));
        }
        let deadline = self.running.begun.live.deadline();
        match tokio::time::timeout_at(deadline.into(), self.incoming.frame()).await {
            // Who knows the length of a reply does not ask for what comes behind its last byte.
            Ok(Some(Ok(frame))) if self.incoming.is_end_stream() => {
                self.finish();
                Some((Ok(piece_of(frame)), None))
            }
            Ok(Some(Ok(frame))) => Some((Ok(piece_of(frame)), Some(self))),
            Ok(None) => {
                self.finish();
                None
            }
            Ok(Some(Err(_))) => {
                let error = self.running.why_broken().await;
                Some((Err(Box::new(error)), None))
            }
            Err(_) => {
                let error = self.running.overdue();
                Some((Err(Box::new(error)), None))
            }
        }
    }

    /// Every byte is through; the call ends with what the code still does behind its reply.
    fn finish(self) {
        let Self { mut running, connection, end, runtime, .. } = self;
        running.let_go(connection);
        running.visit.process.drain_output();
        if running.begun.live.is_settled() {
            // Nobody may wait for it any more.
            let _ = end.send(running.taken());
            return;
        }
        runtime.spawn(async move {
            running.settled().await;
            let _ = end.send(running.ended());
        });
    }
}

fn piece_of(frame: Frame<Bytes>) -> Piece {
    match frame.into_data() {
        Ok(data) => Piece::Data(data),
        Err(frame) => Piece::Trailers(frame.into_trailers().map(|fields| headers_of(&fields)).unwrap_or_default()),
    }
}

/// A connection that speaks another protocol from now on. The call lasts as long as it does.
async fn upgraded(
    running: Running,
    mut reply: Response<Incoming>,
    end: oneshot::Sender<Ended>,
    receiver: oneshot::Receiver<Ended>,
) -> Result<Answer, Failed> {
    let connection = match hyper::upgrade::on(&mut reply).await {
        Ok(connection) => connection,
        Err(_) => return Err(running.failed(running.why_broken().await)),
    };
    running.begun.live.upgraded();
    let head = ReplyHead { status: reply.status().as_u16(), headers: all_headers_of(reply.headers()) };
    let duplex: Box<dyn Duplex> =
        Box::new(Lasting { connection: TokioIo::new(connection), ending: Some((running, end)) });
    Ok(Answer { head, body: Body::empty(), upgraded: Some(duplex), end: receiver })
}

/// A connection, and the call that ends with it.
struct Lasting {
    connection: TokioIo<hyper::upgrade::Upgraded>,
    ending: Option<(Running, oneshot::Sender<Ended>)>,
}

impl Drop for Lasting {
    fn drop(&mut self) {
        if let Some((mut running, end)) = self.ending.take() {
            running.complete = true;
            // Nobody may wait for it any more.
            let _ = end.send(running.ended());
        }
    }
}

impl tokio::io::AsyncRead for Lasting {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl tokio::io::AsyncWrite for Lasting {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

/// The request of a call that came without one.
fn head_for(input: &[u8]) -> HttpHead {
    let content_type = match serde_json::from_slice::<serde::de::IgnoredAny>(input) {
        Ok(_) => "application/json",
        Err(_) => "application/octet-stream",
    };
    let headers = [("host", "orama"), ("content-type", content_type)];
    let header = |(name, value): (&'static str, &'static str)| {
        (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()))
    };
    HttpHead { method: "POST".into(), target: "/".into(), headers: headers.into_iter().map(header).collect() }
}

fn request_of(head: &HttpHead, body: Body, sent: &Arc<Sent>) -> Result<Request<RequestBody>, Error> {
    let invalid = |what: &str| Error::invalid(format!("the {what} of the request cannot be sent on"));
    let mut request = Request::new(body_of(body, sent));
    *request.method_mut() = Method::from_bytes(head.method.as_bytes()).map_err(|_| invalid("method"))?;
    *request.uri_mut() = Uri::from_str(&head.target).map_err(|_| invalid("target"))?;
    let headers = request.headers_mut();
    for (name, value) in &head.headers {
        let name = HeaderName::from_bytes(name).map_err(|_| invalid("headers"))?;
        let value = HeaderValue::from_maybe_shared(value.clone()).map_err(|_| invalid("headers"))?;
        // How the body is cut is for each connection to say.
        if name != TRANSFER_ENCODING {
            headers.append(name, value);
        }
    }
    Ok(request)
}

fn body_of(body: Body, sent: &Arc<Sent>) -> RequestBody {
    match body {
        Body::Whole(bytes) => RequestBody::new(Full::new(bytes).map_err(|never| match never {})),
        Body::Stream(pieces) => {
            let broken = sent.clone();
            let pieces = pieces.map(move |piece| piece.map(frame_of).inspect_err(|cause| broken.break_off(cause)));
            RequestBody::new(StreamBody::new(pieces))
        }
    }
}

impl Sent {
    fn of(head: &HttpHead, body: &Body) -> Self {
        let head_bytes: usize = head.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let is_read = match body {
            Body::Whole(bytes) => bytes.is_empty() || head.target.len() + head_bytes + bytes.len() <= READ_BYTES,
            Body::Stream(_) => false,
        };
        Self { is_read, broken: OnceLock::new() }
    }

    fn break_off(&self, cause: &BoxError) {
        let told = cause.downcast_ref::<Error>().cloned();
        // Only the first is of interest.
        let _ = self.broken.set(told.unwrap_or_else(|| Error::invalid("the body ended before it was complete")));
    }
}

fn frame_of(piece: Piece) -> Frame<Bytes> {
    match piece {
        Piece::Data(bytes) => Frame::data(bytes),
        Piece::Trailers(fields) => {
            let fields = fields.into_iter().filter_map(|(name, value)| {
                Some((HeaderName::from_bytes(&name).ok()?, HeaderValue::from_maybe_shared(value).ok()?))
            });
            Frame::trailers(fields.collect())
        }
    }
}

/// All but what concerns our own connection.
fn headers_of(headers: &HeaderMap) -> Vec<(Bytes, Bytes)> {
    let ours = [CONNECTION.as_str(), TRANSFER_ENCODING.as_str(), "keep-alive"];
    let all = all_headers_of(headers).into_iter();
    all.filter(|(name, _)| !ours.iter().any(|ours| name == ours)).collect()
}

fn all_headers_of(headers: &HeaderMap) -> Vec<(Bytes, Bytes)> {
    let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    headers.iter().map(|(name, value)| (bytes(name.as_str().as_bytes()), bytes(value.as_bytes()))).collect()
}

fn failed(kind: FailureKind, message: impl Into<String>) -> Error {
    Error::new(ErrorCode::FunctionExecutionFailed, message).kind(kind)
}

fn timed_out(timeout: Duration) -> Error {
    Error::new(ErrorCode::Timeout, format!("the function did not finish within {} s", timeout.as_secs()))
        .hint("raise `timeout` in function.yaml (at most 300), or do less in one call")
}

fn refused(error: Error) -> Failed {
    Failed { error, ended: Ended::default(), cause: None }
}

/// A failure of ours.
fn broken(cause: BoxError) -> Failed {
    Failed { error: Error::of(ErrorCode::Internal), ended: Ended::default(), cause: Some(cause) }
}

fn no_process(cause: NoProcess) -> Failed {
    match cause {
        NoProcess::Full => {
            refused(Error::new(ErrorCode::ServiceUnavailable, "every process for workers is busy; try again"))
        }
        NoProcess::Taken => {
            let message = "this machine keeps programs apart only so far that one namespace may have workers on it";
            let hint = "run the server as root, or set `engine.require_isolation: user`";
            refused(Error::new(ErrorCode::FunctionUnavailable, message).hint(hint))
        }
        cause => Failed {
            error: Error::of(ErrorCode::FunctionUnavailable),
            ended: Ended::default(),
            cause: Some(Box::new(cause)),
        },
    }
}
