//! The path of a call: find, authorise, take a place, run within one deadline, record.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use domain::{
    Attempt, Caller, Error, ErrorCode, FunctionRef, FunctionVersion, LogLine, Namespace, Record, RequestId, Status,
    Timestamp, TriggerKind, Usage,
};
use ports::{Call, CallContext, Ended, Failed, Observed, Reply};

use crate::Platform;
use crate::api::{Cause, Invoke, Outcome, Success};
use crate::authorise::{self, unknown_function};
use crate::forward::Passed;
use crate::functions::unknown_version;
use crate::permits::{FunctionSlots, Patience, Tenant};
use crate::registry::Live;

/// The most calls above a call.
const DEPTH_MAX: u8 = 8;

/// What a call needs of the registry, found once.
pub(crate) struct Found {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) slots: Arc<FunctionSlots>,
    pub(crate) live: Arc<Live>,
}

/// Where a call stands among the calls that led to it.
#[derive(Clone, Copy)]
struct Standing {
    depth: u8,
    patience: Patience,
    /// That of the call above, which waits.
    deadline: Option<Instant>,
    /// Are further attempts made here, as the manifest says? A call that is owed has its own in the queue.
    retries: bool,
}

/// How a call ended that the platform owed.
pub(crate) struct Owed {
    pub(crate) request_id: RequestId,
    /// `None` when the function could not be called.
    pub(crate) live: Option<Arc<Live>>,
    pub(crate) result: Result<Success, Error>,
}

impl Standing {
    const OUTSIDE: Self = Self { depth: 0, patience: Patience::Queue, deadline: None, retries: true };

    /// The deadline of an attempt that begins now.
    fn deadline(&self, now: Instant, timeout: std::time::Duration) -> Instant {
        let own = now + timeout;
        self.deadline.map_or(own, |inherited| inherited.min(own))
    }
}

impl Platform {
    /// Calls a function. A refusal is an outcome, too: this never fails.
    ///
    /// Dropping the future, as the gateway does when a client goes away, ends the function and records that; a call with an
    /// `Idempotency-Key` runs on to its end.
    pub async fn invoke(self: &Arc<Self>, mut invoke: Invoke) -> Outcome {
        match invoke.idempotency_key.take() {
            // Boxed: it is rare, and would make every other call carry its size.
            Some(key) => Box::pin(self.invoke_once(invoke, key)).await,
            None => self.invoke_now(invoke).await,
        }
    }

    /// Does this function want to see the head of HTTP requests? False for one that does not exist.
    pub fn wants_http(&self, namespace: &Namespace, function: &FunctionRef) -> bool {
        let functions = self.functions.load();
        let Some(found) = functions.find(namespace, &function.name) else { return false };
        let live = found.versions.get(&function.version.unwrap_or(found.state.active));
        live.is_some_and(|live| live.version.manifest.http)
    }

    /// Would this call be let in? For who must know before reading its input; [`Platform::invoke`] asks again.
    pub fn may_call(&self, namespace: &Namespace, function: &FunctionRef, caller: &Caller) -> Result<(), Error> {
        let admitted = self.find_callable(namespace, function, caller).map(drop);
        if admitted.is_err() {
            self.metrics.refused();
        }
        admitted
    }

    pub(crate) async fn invoke_now(&self, mut invoke: Invoke) -> Outcome {
        let started = self.clock.instant();
        // Held until the record is handed over, between attempts too: a stop waits for it. Only a stop can refuse it, and then
        // nobody is admitted either.
        let _under_way = self.under_way.try_read();
        let mut version = None;
        let result = match self.admit(&invoke) {
            Err(refused) => Err(refused),
            Ok(found) => {
                version = Some(found.live.version.clone());
                // Whoever comes from another namespace is nobody in this one: its claims are another tenant's words.
                if invoke.caller.is_foreign_to(&invoke.namespace) {
                    invoke.caller = self.nobody.clone();
                }
                self.run(&invoke, &found, Standing::OUTSIDE, started).await
            }
        };
        let duration = self.clock.instant().saturating_duration_since(started);
        Outcome { request_id: invoke.request_id, duration, result, replayed: false, version }
    }

    /// Makes a call that the platform owes a function: there is no caller who could be refused, and its places are not those of
    /// callers. Whoever calls this holds the lease of the namespace, and keeps a stop waiting.
    pub(crate) async fn invoke_owed(&self, invoke: &Invoke) -> Owed {
        let request_id = invoke.request_id.clone();
        let found = match self.find_version(&invoke.namespace, &invoke.function, &|_| Ok(())) {
            Ok(found) => found,
            Err(refused) => return Owed { request_id, live: None, result: Err(refused) },
        };
        let standing = Standing { patience: Patience::Owed, retries: false, ..Standing::OUTSIDE };
        let result = self.run(invoke, &found, standing, self.clock.instant()).await;
        Owed { request_id, live: Some(found.live), result }
    }

    /// Calls a function for another one of its namespace, which waits: same caller, one deeper, no later deadline.
    pub(crate) async fn invoke_nested(
        &self,
        call: &CallContext,
        namespace: &Namespace,
        function: &FunctionRef,
        input: Bytes,
    ) -> Result<Bytes, Error> {
        let (invoke, found) = self.admit_nested(call, namespace, function, input)?;
        let (depth, deadline) = (call.depth + 1, Some(call.deadline));
        let standing = Standing { depth, patience: Patience::FailAtOnce, deadline, ..Standing::OUTSIDE };
        let success = self.run(&invoke, &found, standing, self.clock.instant()).await?;
        Ok(success.body)
    }

    /// Accepts a call that nobody waits for. A clean stop waits for it, a kill loses it.
    pub(crate) fn invoke_detached(
        self: Arc<Self>,
        call: &CallContext,
        namespace: &Namespace,
        function: &FunctionRef,
        input: Bytes,
    ) -> Result<RequestId, Error> {
        let (invoke, found) = self.admit_nested(call, namespace, function, input)?;
        let room = found.tenant.detach()?;
        let stopping = |_| Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down");
        let under_way = self.under_way.clone().try_read_owned().map_err(stopping)?;
        let standing = Standing { depth: call.depth + 1, ..Standing::OUTSIDE };
        let request_id = invoke.request_id.clone();
        tokio::spawn(async move {
            // How it ended is in its record.
            self.run(&invoke, &found, standing, self.clock.instant()).await.ok();
            drop((room, under_way));
        });
        Ok(request_id)
    }

    /// A function of the namespace may call every other one: it is the namespace's own code that asks.
    fn admit_nested(
        &self,
        call: &CallContext,
        namespace: &Namespace,
        function: &FunctionRef,
        input: Bytes,
    ) -> Result<(Invoke, Found), Error> {
        if call.depth >= DEPTH_MAX {
            let message = format!("functions call each other more than {DEPTH_MAX} deep");
            return Err(Error::new(ErrorCode::RateLimited, message).hint("break the circle of calls"));
        }
        let invoke = Invoke {
            request_id: RequestId::new(uuid::Uuid::now_v7().to_string()),
            namespace: namespace.clone(),
            function: function.clone(),
            caller: call.caller.clone(),
            trigger: TriggerKind::Function,
            cause: Cause { depth: call.trigger_depth, socket: call.socket.clone(), job: call.job.clone() },
            http: None,
            input,
            client_request_id: Some(call.request_id.to_string()),
            trace_id: None,
            idempotency_key: None,
        };
        self.check_input(&invoke)?;
        let found = self.find_version(namespace, function, &|_| Ok(()))?;
        Ok((invoke, found))
    }

    fn admit(&self, invoke: &Invoke) -> Result<Found, Error> {
        let admitted = self
            .check_input(invoke)
            .and_then(|()| self.find_callable(&invoke.namespace, &invoke.function, &invoke.caller));
        if admitted.is_err() {
            self.metrics.refused();
        }
        admitted
    }

    fn check_input(&self, invoke: &Invoke) -> Result<(), Error> {
        let (size, limit) = (invoke.input.len(), self.config.limits.input_bytes_max);
        match size > limit {
            true => {
                Err(Error::new(ErrorCode::PayloadTooLarge, format!("the body is {size} bytes, the limit is {limit}")))
            }
            false => Ok(()),
        }
    }

    pub(crate) fn find_callable(
        &self,
        namespace: &Namespace,
        wanted: &FunctionRef,
        caller: &Caller,
    ) -> Result<Found, Error> {
        if self.draining.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down"));
        }
        self.find_version(namespace, wanted, &|version| authorise::call(caller, version))
    }

    fn find_version(
        &self,
        namespace: &Namespace,
        wanted: &FunctionRef,
        admit: &dyn Fn(&FunctionVersion) -> Result<(), Error>,
    ) -> Result<Found, Error> {
        let name = &wanted.name;
        let functions = self.functions.load();
        let (tenant, function) =
            functions.find_with_tenant(namespace, name).ok_or_else(|| unknown_function(name.as_str()))?;
        // The active version first: who makes a function private closes its older versions, too.
        admit(&function.active().version)?;
        let live = function.versions.get(&wanted.version.unwrap_or(function.state.active));
        let live = live.ok_or_else(|| unknown_version(wanted))?;
        admit(&live.version)?;
        if !function.state.enabled {
            let hint = format!("switch it on with `orama function enable {name}`");
            return Err(Error::new(ErrorCode::FunctionUnavailable, format!("function `{name}` is disabled")).hint(hint));
        }
        Ok(Found { tenant: tenant.clone(), slots: function.slots.clone(), live: live.clone() })
    }

    /// Every attempt of the call, and its record.
    async fn run(
        &self,
        invoke: &Invoke,
        found: &Found,
        standing: Standing,
        started: Instant,
    ) -> Result<Success, Error> {
        let lease = &found.live.lease;
        // Until the record is handed over: whoever deletes the namespace waits for it.
        let _held = lease.hold()?;
        let mut pending = Pending::new(self, invoke, &found.live, started);
        let ended = lease.unless_ended(self.attempts(invoke, found, standing, &mut pending)).await;
        let ended = ended.unwrap_or_else(|deleted| Err(pending.cut(deleted)));
        pending.finish(ended).await
    }

    async fn attempts(
        &self,
        invoke: &Invoke,
        found: &Found,
        standing: Standing,
        pending: &mut Pending<'_>,
    ) -> Result<Reply, Failed> {
        let retry = found.live.version.manifest.retry;
        let mut left = if standing.retries { retry.count } else { 0 };
        loop {
            let attempt = (self.clock.now(), self.clock.instant());
            let ended = self.attempt(invoke, found, standing, pending.observed.clone()).await;
            let in_time = standing.deadline.is_none_or(|deadline| self.clock.instant() + retry.delay < deadline);
            let again = left > 0 && in_time && ended.as_ref().is_err_and(|failed| worth_retrying(&failed.error));
            pending.attempted(attempt, ended.as_ref().map(|reply| &reply.ended), again);
            if !again {
                return ended;
            }
            left -= 1;
            tokio::time::sleep(retry.delay).await;
        }
    }

    async fn attempt(
        &self,
        invoke: &Invoke,
        found: &Found,
        standing: Standing,
        observed: Observed,
    ) -> Result<Reply, Failed> {
        let permit = self.permits.acquire(&found.tenant, &found.slots, standing.patience).await;
        let _permit = permit.map_err(|error| Failed { error, ended: Ended::default(), cause: None })?;
        let context = CallContext {
            request_id: invoke.request_id.clone(),
            caller: invoke.caller.clone(),
            trigger: invoke.trigger,
            depth: standing.depth,
            trigger_depth: invoke.cause.depth,
            socket: invoke.cause.socket.clone(),
            job: invoke.cause.job.clone(),
            deadline: standing.deadline(self.clock.instant(), found.live.version.manifest.timeout),
        };
        let call = Call { context, http: invoke.http.clone(), input: invoke.input.clone(), observed };
        self.engine.invoke(call, found.live.services.clone()).await
    }
}

/// Failures of the function are; mistakes of the caller and refusals are not.
pub(crate) fn worth_retrying(error: &Error) -> bool {
    matches!(error.code, ErrorCode::FunctionExecutionFailed | ErrorCode::Timeout | ErrorCode::Internal)
}

/// The record of a call that is running. Dropped before `finish`, it records that the client went away.
pub(crate) struct Pending<'a> {
    platform: &'a Platform,
    invoke: &'a Invoke,
    live: &'a Live,
    started: Instant,
    started_at: Timestamp,
    attempts: Vec<Attempt>,
    usage: Usage,
    logs: Vec<LogLine>,
    /// What the attempt that runs now has used and logged so far.
    pub(crate) observed: Observed,
    /// What has passed of its bodies, when they stream.
    pub(crate) streamed: Option<Arc<Passed>>,
    finished: bool,
}

impl<'a> Pending<'a> {
    pub(crate) fn new(platform: &'a Platform, invoke: &'a Invoke, live: &'a Live, started: Instant) -> Self {
        Self {
            platform,
            invoke,
            live,
            started,
            started_at: platform.clock.now(),
            attempts: Vec::new(),
            usage: Usage::default(),
            logs: Vec::new(),
            observed: Observed::default(),
            streamed: None,
            finished: false,
        }
    }

    pub(crate) fn attempted(&mut self, (at, since): (Timestamp, Instant), ended: Result<&Ended, &Failed>, again: bool) {
        self.used(match ended {
            Ok(ended) => &ended.usage,
            Err(failed) => &failed.ended.usage,
        });
        let error = ended.err().map(|failed| &failed.error);
        if again || !self.attempts.is_empty() {
            let duration = self.platform.clock.instant().saturating_duration_since(since);
            self.attempts.push(Attempt {
                started_at: at,
                duration_ms: duration.as_millis() as u64,
                status: status_of(error),
                error: error.map(|error| error.message.clone()),
            });
        }
        if again && let Err(failed) = ended {
            self.logs.extend(failed.ended.logs.iter().cloned());
        }
    }

    /// The failure of a call that was dropped where it was.
    pub(crate) fn cut(&mut self, error: Error) -> Failed {
        let ended = self.observed.take();
        self.used(&ended.usage);
        Failed { error, ended, cause: None }
    }

    fn used(&mut self, usage: &Usage) {
        self.usage.cpu += usage.cpu;
        self.usage.memory_peak_bytes = self.usage.memory_peak_bytes.max(usage.memory_peak_bytes);
    }

    pub(crate) async fn finish(self, ended: Result<Reply, Failed>) -> Result<Success, Error> {
        let output_bytes = ended.as_ref().map_or(0, |reply| reply.body.len() as u64);
        let ended = ended.map(|Reply { head, body, ended }| (Success { head, body }, ended));
        self.end(ended, output_bytes).await
    }

    /// The end of a call whose bodies stream. What it used is counted here: its attempt could not know it.
    pub(crate) async fn settle<T>(mut self, ended: Result<(T, Ended), Failed>) -> Result<T, Error> {
        if let Ok((_, ended)) = &ended {
            self.used(&ended.usage);
        }
        self.end(ended, 0).await
    }

    /// Writes the record; an error comes back as users may read it.
    async fn end<T>(mut self, ended: Result<(T, Ended), Failed>, output_bytes: u64) -> Result<T, Error> {
        let mask = |error| self.platform.vault.mask_error(&self.live.version.namespace, error);
        let (result, fault, logs) = match ended {
            Ok((success, ended)) => (Ok(success), ended.fault.map(mask), ended.logs),
            Err(Failed { error, ended, cause }) => {
                if let Some(cause) = cause {
                    let request_id = &self.invoke.request_id;
                    tracing::error!(cause = &*cause as &dyn std::error::Error, %request_id, "failed to run a call");
                }
                (Err(mask(error)), None, ended.logs)
            }
        };
        self.logs.extend(logs);
        self.finished = true;
        let record = self.record(result.as_ref().err().or(fault.as_ref()), output_bytes);
        self.platform.writer.write(record).await;
        result
    }

    fn record(&mut self, error: Option<&Error>, output_bytes: u64) -> Record {
        let duration = self.platform.clock.instant().saturating_duration_since(self.started);
        let status = status_of(error);
        self.platform.metrics.ended(status, duration);
        let version = &self.live.version;
        let wallet = self.invoke.caller.wallet();
        let passed = self.streamed.as_deref();
        let (input_bytes, output_bytes) = passed.map_or((self.invoke.input.len() as u64, output_bytes), Passed::both);
        let mut record = Record {
            request_id: self.invoke.request_id.clone(),
            client_request_id: self.invoke.client_request_id.clone(),
            trace_id: self.invoke.trace_id.clone(),
            namespace: version.namespace.clone(),
            function: version.name.clone(),
            version: version.version,
            trigger: self.invoke.trigger,
            caller_wallet: (!wallet.is_empty()).then(|| wallet.to_owned()),
            input_bytes,
            output_bytes,
            started_at: self.started_at,
            duration_us: duration.as_micros() as u64,
            cpu_us: self.usage.cpu.as_micros() as u64,
            memory_peak_bytes: self.usage.memory_peak_bytes,
            status,
            error_code: error.map(|error| error.code),
            error_message: error.map(|error| error.message.clone()),
            attempts: std::mem::take(&mut self.attempts),
            logs: std::mem::take(&mut self.logs),
        };
        self.platform.vault.mask_record(&mut record);
        record
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let Ended { usage, logs, fault: _ } = self.observed.take();
            self.used(&usage);
            self.logs.extend(logs);
            let why = match self.invoke.trigger {
                TriggerKind::Job | TriggerKind::Timer => "the job was cancelled before the function finished",
                _ => "the client went away before the function finished",
            };
            let gone = Error::new(ErrorCode::FunctionExecutionFailed, why);
            let record = self.record(Some(&gone), 0);
            self.platform.writer.write_now(record);
        }
    }
}

fn status_of(error: Option<&Error>) -> Status {
    match error.map(|error| error.code) {
        None => Status::Success,
        Some(ErrorCode::Timeout) => Status::Timeout,
        Some(_) => Status::Error,
    }
}
