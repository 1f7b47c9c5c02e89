//! The path of a call: find, authorise, take a place, run within one deadline, record.

use std::sync::Arc;
use std::time::Instant;

use domain::{Attempt, Caller, Error, ErrorCode, FunctionRef, LogLine, Namespace, Record, Status, Timestamp, Usage};
use ports::{Call, CallContext, Ended, Failed, Reply};

use crate::Platform;
use crate::api::{Invoke, Outcome, Success};
use crate::authorise::{self, unknown_function};
use crate::functions::unknown_version;
use crate::permits::{FunctionSlots, Tenant};
use crate::registry::Live;

/// What a call needs of the registry, found once.
struct Found {
    tenant: Arc<Tenant>,
    slots: Arc<FunctionSlots>,
    live: Arc<Live>,
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

    pub(crate) async fn invoke_now(&self, invoke: Invoke) -> Outcome {
        let started = self.clock.instant();
        // Held until the record is handed over, between attempts too: a stop waits for it. Only a stop can refuse it, and then
        // nobody is admitted either.
        let _under_way = self.under_way.try_read();
        let result = match self.admit(&invoke) {
            Err(refused) => Err(refused),
            Ok(found) => self.run(&invoke, &found, started).await,
        };
        let duration = self.clock.instant().saturating_duration_since(started);
        Outcome { request_id: invoke.request_id, duration, result, replayed: false }
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

    fn find_callable(&self, namespace: &Namespace, wanted: &FunctionRef, caller: &Caller) -> Result<Found, Error> {
        if self.draining.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down"));
        }
        let name = &wanted.name;
        let functions = self.functions.load();
        let (tenant, function) =
            functions.find_with_tenant(namespace, name).ok_or_else(|| unknown_function(name.as_str()))?;
        // The active version first: who makes a function private closes its older versions, too.
        authorise::call(caller, &function.active().version)?;
        let live = function.versions.get(&wanted.version.unwrap_or(function.state.active));
        let live = live.ok_or_else(|| unknown_version(wanted))?;
        authorise::call(caller, &live.version)?;
        if !function.state.enabled {
            let hint = format!("switch it on with `orama function enable {name}`");
            return Err(Error::new(ErrorCode::FunctionUnavailable, format!("function `{name}` is disabled")).hint(hint));
        }
        Ok(Found { tenant: tenant.clone(), slots: function.slots.clone(), live: live.clone() })
    }

    /// Every attempt of the call, and its record.
    async fn run(&self, invoke: &Invoke, found: &Found, started: Instant) -> Result<Success, Error> {
        let mut pending = Pending::new(self, invoke, &found.live, started);
        let retry = found.live.version.manifest.retry;
        let mut left = retry.count;
        loop {
            let attempt = (self.clock.now(), self.clock.instant());
            let ended = self.attempt(invoke, found).await;
            let again = left > 0 && ended.as_ref().is_err_and(|failed| worth_retrying(&failed.error));
            pending.attempted(attempt, &ended, again);
            if !again {
                return pending.finish(ended).await;
            }
            left -= 1;
            tokio::time::sleep(retry.delay).await;
        }
    }

    async fn attempt(&self, invoke: &Invoke, found: &Found) -> Result<Reply, Failed> {
        let depth = 0;
        let permit = self.permits.acquire(&found.tenant, &found.slots, depth).await;
        let _permit = permit.map_err(|error| Failed { error, ended: Ended::default(), cause: None })?;
        let context = CallContext {
            request_id: invoke.request_id.clone(),
            caller: invoke.caller.clone(),
            trigger: invoke.trigger,
            depth,
            deadline: self.clock.instant() + found.live.version.manifest.timeout,
        };
        let call = Call { context, http: invoke.http.clone(), input: invoke.input.clone() };
        self.engine.invoke(call, found.live.services.clone()).await
    }
}

/// Failures of the function are; mistakes of the caller and refusals are not.
fn worth_retrying(error: &Error) -> bool {
    matches!(error.code, ErrorCode::FunctionExecutionFailed | ErrorCode::Timeout | ErrorCode::Internal)
}

/// The record of a call that is running. Dropped before `finish`, it records that the client went away.
struct Pending<'a> {
    platform: &'a Platform,
    invoke: &'a Invoke,
    live: &'a Live,
    started: Instant,
    started_at: Timestamp,
    attempts: Vec<Attempt>,
    usage: Usage,
    logs: Vec<LogLine>,
    finished: bool,
}

impl<'a> Pending<'a> {
    fn new(platform: &'a Platform, invoke: &'a Invoke, live: &'a Live, started: Instant) -> Self {
        Self {
            platform,
            invoke,
            live,
            started,
            started_at: platform.clock.now(),
            attempts: Vec::new(),
            usage: Usage::default(),
            logs: Vec::new(),
            finished: false,
        }
    }

    fn attempted(&mut self, (at, since): (Timestamp, Instant), ended: &Result<Reply, Failed>, again: bool) {
        let usage = match ended {
            Ok(reply) => &reply.ended.usage,
            Err(failed) => &failed.ended.usage,
        };
        self.usage.cpu += usage.cpu;
        self.usage.memory_peak_bytes = self.usage.memory_peak_bytes.max(usage.memory_peak_bytes);
        let error = ended.as_ref().err().map(|failed| &failed.error);
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

    async fn finish(mut self, ended: Result<Reply, Failed>) -> Result<Success, Error> {
        let (result, logs) = match ended {
            Ok(Reply { head, body, ended }) => (Ok(Success { head, body }), ended.logs),
            Err(Failed { error, ended, cause }) => {
                if let Some(cause) = cause {
                    let request_id = &self.invoke.request_id;
                    tracing::error!(cause = &*cause as &dyn std::error::Error, %request_id, "failed to run a call");
                }
                (Err(error), ended.logs)
            }
        };
        self.logs.extend(logs);
        self.finished = true;
        let output_bytes = result.as_ref().map_or(0, |success| success.body.len() as u64);
        let record = self.record(result.as_ref().err(), output_bytes);
        self.platform.writer.write(record).await;
        result
    }

    fn record(&mut self, error: Option<&Error>, output_bytes: u64) -> Record {
        let duration = self.platform.clock.instant().saturating_duration_since(self.started);
        let status = status_of(error);
        self.platform.metrics.ended(status, duration);
        let version = &self.live.version;
        let wallet = self.invoke.caller.wallet();
        Record {
            request_id: self.invoke.request_id.clone(),
            client_request_id: self.invoke.client_request_id.clone(),
            trace_id: self.invoke.trace_id.clone(),
            namespace: version.namespace.clone(),
            function: version.name.clone(),
            version: version.version,
            trigger: self.invoke.trigger,
            caller_wallet: (!wallet.is_empty()).then(|| wallet.to_owned()),
            input_bytes: self.invoke.input.len() as u64,
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
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let gone =
                Error::new(ErrorCode::FunctionExecutionFailed, "the client went away before the function finished");
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
