//! The course of one exchange, as a task: places, attempts, the reply piece by piece, the record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::{Error, ErrorCode, ReplyHead};
use ports::{Answer, Body, CallContext, Duplex, Ended, Exchange, Failed, Observed};
use tokio::io::copy_bidirectional;
use tokio::sync::{OwnedRwLockReadGuard, oneshot};
use tokio::time::timeout;
use tokio_util::io::InspectReader;

use super::pipe::{Passed, PassedOn, Writer, counted, pipe};
use super::sign::{Seal, read_reply};
use super::{Forwarded, Signing};
use crate::Platform;
use crate::api::Invoke;
use crate::invoke::{Found, Pending, worth_retrying};
use crate::permits::{Patience, Permit};

/// What an engine gets on top of the deadline to say itself how a call ended: it knows more about it.
const GRACE: Duration = Duration::from_millis(100);
/// The longest wait for what a call used where somebody waits for it, once its last byte is through.
const ENDING: Duration = Duration::from_secs(1);
/// The most headers of a reply, and the most bytes of them: what clients and proxies are known to take.
const HEADERS_MAX: usize = 256;
const HEADER_BYTES_MAX: usize = 64 << 10;
/// What may wait in either direction of a connection that became something else, in bytes.
const DUPLEX_BYTES: usize = 64 << 10;

pub(super) type Reply = oneshot::Sender<Result<Forwarded, Error>>;

/// One exchange and what it needs.
pub(super) struct Course {
    pub(super) platform: Arc<Platform>,
    pub(super) invoke: Invoke,
    pub(super) found: Found,
    pub(super) is_secure: bool,
    pub(super) signing: Option<Signing>,
}

/// An attempt whose reply has begun. Its places are kept until the last byte.
struct Begun {
    answer: Answer,
    permit: Permit,
    deadline: Instant,
}

impl Course {
    /// Runs as a task of its own; `under_way` is held until it has ended. Not within a future of the caller: that would keep
    /// room for all of this.
    pub(super) fn set_out(self, body: Body, reply: Reply, under_way: OwnedRwLockReadGuard<()>) {
        tokio::spawn(async move {
            self.run(body, reply).await;
            drop(under_way);
        });
    }

    /// Runs to the end. Dropped before, or left by whoever asked, it records that.
    async fn run(mut self, body: Body, mut reply: Reply) {
        // Before anything runs: the time that is signed is that of the request.
        let seal = self.signing.take().map(|signing| Seal::before(&self.platform, &self.invoke, signing, &body));
        let lease = self.found.live.lease.clone();
        // Until the record is handed over: whoever deletes the namespace waits for it.
        let _held = match lease.hold() {
            Ok(held) => held,
            Err(gone) => return tell(reply, Err(gone)),
        };
        let passed = Arc::new(Passed::default());
        let started = self.platform.clock.instant();
        let mut pending = Pending::new(&self.platform, &self.invoke, &self.found.live, started);
        pending.streamed = Some(passed.clone());
        let begun = tokio::select! {
            biased;
            begun = lease.unless_ended(self.attempts(counted(body, &passed), &mut pending)) => begun,
            // The client is gone: `pending` records it.
            () = reply.closed() => return,
        };
        match begun.unwrap_or_else(|deleted| Err(pending.cut(deleted))) {
            Err(failed) => tell(reply, pending.settle(Err(failed)).await),
            Ok(begun) => match seal {
                None => self.pass_on(begun, &passed, pending, reply).await,
                Some(seal) => self.pass_on_signed(begun, seal, &passed, pending, reply).await,
            },
        }
    }

    async fn pass_on_signed(
        &self,
        begun: Begun,
        seal: Seal,
        passed: &Arc<Passed>,
        mut pending: Pending<'_>,
        mut reply: Reply,
    ) {
        let Begun { answer: Answer { head, body, upgraded, end }, permit, deadline } = begun;
        let signed = tokio::select! {
            biased;
            signed = self.signed(head, (body, upgraded.is_some()), seal, deadline, passed) => signed,
            () = reply.closed() => return,
        };
        match signed {
            Ok(forwarded) => self.whole(forwarded, end, (permit, deadline), pending, reply).await,
            Err(error) => {
                drop(permit);
                let failed = pending.cut(error);
                tell(reply, pending.settle(Err(failed)).await);
            }
        }
    }

    /// Takes the whole reply and signs it.
    async fn signed(
        &self,
        mut head: ReplyHead,
        (body, is_upgraded): (Body, bool),
        seal: Seal,
        deadline: Instant,
        passed: &Arc<Passed>,
    ) -> Result<Forwarded, Error> {
        let reading = timeout(self.left_until(deadline), read_reply(body, is_upgraded));
        let bytes = self.found.live.lease.unless_ended(reading).await?.unwrap_or_else(|_elapsed| Err(late()))?;
        passed.output.store(bytes.len() as u64, Ordering::Relaxed);
        seal.put_on(&self.platform, &self.found.live.version, &mut head, &bytes).await?;
        Ok(self.forwarded(head, Body::Whole(bytes), None))
    }

    /// Attempts until a reply begins. A body that streams is gone after the first.
    async fn attempts(&self, mut body: Body, pending: &mut Pending<'_>) -> Result<Begun, Failed> {
        let retry = self.found.live.version.manifest.retry;
        let mut left = retry.count;
        loop {
            let kept = match &body {
                Body::Whole(bytes) => Some(Body::Whole(bytes.clone())),
                Body::Stream(_) => None,
            };
            let at = (self.platform.clock.now(), self.platform.clock.instant());
            let begun = self.attempt(body, pending.observed.clone()).await;
            let again = left > 0 && begun.as_ref().is_err_and(|failed| worth_retrying(&failed.error));
            match (begun, kept) {
                (Err(failed), Some(again_body)) if again => {
                    pending.attempted(at, Err(&failed), true);
                    body = again_body;
                }
                (begun, _) => {
                    // What a reply that has begun uses is known at its end.
                    let nothing = Ended::default();
                    pending.attempted(at, begun.as_ref().map(|_| &nothing), false);
                    return begun;
                }
            }
            left -= 1;
            tokio::time::sleep(retry.delay).await;
        }
    }

    async fn attempt(&self, body: Body, observed: Observed) -> Result<Begun, Failed> {
        let Self { platform, invoke, found, is_secure, signing: _ } = self;
        let permit = platform.permits.acquire(&found.tenant, &found.slots, Patience::Queue).await.map_err(failed)?;
        let deadline = platform.clock.instant() + found.live.version.manifest.timeout;
        let context = CallContext {
            request_id: invoke.request_id.clone(),
            caller: invoke.caller.clone(),
            trigger: invoke.trigger,
            depth: 0,
            trigger_depth: 0,
            socket: None,
            job: None,
            deadline,
        };
        let head = invoke.http.clone().unwrap_or_default();
        let body_bytes_max = platform.config.limits.input_bytes_max;
        let (is_secure, observed) = (*is_secure, observed);
        let exchange = Exchange { context, head, is_secure, body, body_bytes_max, observed: observed.clone() };
        let answered = platform.engine.exchange(exchange, found.live.services.clone());
        let answered = timeout(self.left_until(deadline), answered).await;
        let answer = answered.unwrap_or_else(|_| Err(Failed { ended: observed.take(), ..failed(late()) }))?;
        check_head(&answer).map_err(|error| Failed { ended: observed.take(), ..failed(error) })?;
        Ok(Begun { answer, permit, deadline })
    }

    fn left_until(&self, deadline: Instant) -> Duration {
        deadline.saturating_duration_since(self.platform.clock.instant()) + GRACE
    }

    async fn pass_on(&self, begun: Begun, passed: &Arc<Passed>, pending: Pending<'_>, reply: Reply) {
        let Begun { answer: Answer { head, body, upgraded, end }, permit, deadline } = begun;
        match (body, upgraded) {
            (_, Some(upgraded)) => self.switched(head, (upgraded, end), passed, pending, reply).await,
            (Body::Whole(bytes), None) => {
                passed.output.store(bytes.len() as u64, Ordering::Relaxed);
                let forwarded = self.forwarded(head, Body::Whole(bytes), None);
                self.whole(forwarded, end, (permit, deadline), pending, reply).await;
            }
            (Body::Stream(pieces), None) => {
                let (writer, body) = pipe();
                if reply.send(Ok(self.forwarded(head, body, None))).is_err() {
                    return;
                }
                let passing = timeout(self.left_until(deadline), writer.pass_on(pieces, passed));
                let cut = match self.found.live.lease.unless_ended(passing).await {
                    Ok(Ok(PassedOn::Whole)) => None,
                    Ok(Ok(PassedOn::Unwanted)) => return,
                    Ok(Ok(PassedOn::Failed(error))) => Some(error),
                    Ok(Err(_elapsed)) => Some(late()),
                    Err(deleted) => Some(deleted),
                };
                self.streamed(cut, writer, end, (permit, deadline), pending).await;
            }
        }
    }

    /// A reply that is all there. Its record comes before it, unless the function goes on behind it.
    async fn whole(
        &self,
        forwarded: Forwarded,
        mut end: oneshot::Receiver<Ended>,
        (permit, deadline): (Permit, Instant),
        pending: Pending<'_>,
        reply: Reply,
    ) {
        match end.try_recv() {
            Ok(ended) => {
                drop(permit);
                tell(reply, pending.settle(Ok((forwarded, ended))).await);
            }
            Err(_) => {
                tell(reply, Ok(forwarded));
                self.behind(end, (permit, deadline), pending).await;
            }
        }
    }

    /// The client has its reply; the call goes on until the function is done with it. Nobody is left to tell.
    async fn behind(
        &self,
        end: oneshot::Receiver<Ended>,
        (permit, deadline): (Permit, Instant),
        mut pending: Pending<'_>,
    ) {
        let observed = pending.observed.clone();
        let ended = ended(end, &observed, self.left_until(deadline).max(ENDING));
        let settled = match self.found.live.lease.unless_ended(ended).await {
            Ok(ended) => Ok(((), ended)),
            Err(deleted) => Err(pending.cut(deleted)),
        };
        drop(permit);
        let _ = pending.settle(settled).await;
    }

    /// The reply is through, or cut: its record, its places, and its last word, in this order.
    async fn streamed(
        &self,
        cut: Option<Error>,
        writer: Writer,
        mut end: oneshot::Receiver<Ended>,
        (permit, deadline): (Permit, Instant),
        mut pending: Pending<'_>,
    ) {
        let settled = match (cut, end.try_recv()) {
            (Some(error), _) => Err(pending.cut(error)),
            (None, Ok(ended)) => Ok(((), ended)),
            (None, Err(_)) => {
                tokio::join!(writer.end(None), self.behind(end, (permit, deadline), pending));
                return;
            }
        };
        drop(permit);
        let told = pending.settle(settled).await;
        // A client that takes nothing is dropped by the edge, which ends the wait for it.
        writer.end(told.err()).await;
    }

    /// Passes bytes both ways for as long as both sides want. Its deadline was that of the handshake; its places are kept.
    async fn switched(
        &self,
        head: ReplyHead,
        (mut upgraded, end): (Box<dyn Duplex>, oneshot::Receiver<Ended>),
        passed: &Arc<Passed>,
        mut pending: Pending<'_>,
        reply: Reply,
    ) {
        let (mut ours, theirs) = tokio::io::duplex(DUPLEX_BYTES);
        if reply.send(Ok(self.forwarded(head, Body::empty(), Some(Box::new(theirs))))).is_err() {
            return;
        }
        let count = |bytes: &[u8], passed: &AtomicU64| {
            passed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        };
        let mut from_client = InspectReader::new(&mut ours, |bytes| count(bytes, &passed.input));
        let mut from_function = InspectReader::new(&mut upgraded, |bytes| count(bytes, &passed.output));
        let passing = copy_bidirectional(&mut from_client, &mut from_function);
        let settled = match self.found.live.lease.unless_ended(passing).await {
            // A side that breaks the connection ends it like one that closes it.
            Ok(_) => {
                drop(upgraded);
                Ok(((), ended(end, &pending.observed, ENDING).await))
            }
            Err(deleted) => Err(pending.cut(deleted)),
        };
        drop(ours);
        // There is nobody left to tell.
        let _ = pending.settle(settled).await;
    }

    fn forwarded(&self, head: ReplyHead, body: Body, upgraded: Option<Box<dyn Duplex>>) -> Forwarded {
        Forwarded { version: self.found.live.version.clone(), head, body, upgraded }
    }
}

fn tell(reply: Reply, told: Result<Forwarded, Error>) {
    // Whoever is gone needs no answer.
    let _ = reply.send(told);
}

fn failed(error: Error) -> Failed {
    Failed { error, ended: Ended::default(), cause: None }
}

fn late() -> Error {
    Error::of(ErrorCode::Timeout)
}

/// What the call used: said by the engine, else what was seen of it.
async fn ended(end: oneshot::Receiver<Ended>, observed: &Observed, within: Duration) -> Ended {
    match timeout(within, end).await {
        Ok(Ok(ended)) => ended,
        _ => observed.take(),
    }
}

/// Refuses what HTTP cannot carry as the answer to a request.
fn check_head(answer: &Answer) -> Result<(), Error> {
    let ReplyHead { status, headers } = &answer.head;
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let wrong = match status {
        101 if answer.upgraded.is_some() => None,
        200..=599 if answer.upgraded.is_none() => None,
        other => Some(format!("the function answered with status {other}, which ends no request")),
    };
    let large = (headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX).then(|| {
        let count = headers.len();
        format!("the reply has {count} headers of {bytes} bytes; at most are {HEADERS_MAX} of {HEADER_BYTES_MAX} bytes")
    });
    match wrong.or(large) {
        Some(message) => Err(Error::new(ErrorCode::FunctionExecutionFailed, message)),
        None => Ok(()),
    }
}
