//! `Idempotency-Key`: the same request with the same key is run once, and answered alike for a day.
//!
//! A call with a key runs in a task of its own, so that it ends and its outcome is kept even when the client goes away:
//! that is the case the key exists for. A call that was running when the server died did not happen, as far as its key knows.

use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorCode, RequestId};
use ports::{Claim, Claimed, StoredOutcome};

use crate::api::{Invoke, Outcome, Success};
use crate::lease::Lease;
use crate::{Platform, internal};

/// The largest reply that is kept, in bytes. A call with a larger one is not run again either.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// How long an outcome is kept.
pub(crate) const REPLY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

impl Platform {
    /// Runs the call unless its key was used before; then answers what was answered then.
    pub(crate) async fn invoke_once(self: &Arc<Self>, mut invoke: Invoke, key: String) -> Outcome {
        let request_id = invoke.request_id.clone();
        invoke.idempotency_key = None;
        if invoke.caller.is_anonymous() {
            let refused = Error::invalid(
                "`Idempotency-Key` needs a credential: replies are kept for whoever asked, and nobody is known here",
            );
            return failed(request_id, refused);
        }
        let (platform, lease) = (self.clone(), self.identity.lease_of(&invoke.namespace));
        let run = tokio::spawn(async move { platform.claim_and_run(invoke, key, &lease).await });
        let broken = |cause| failed(request_id, internal("finish a call with an idempotency key", cause));
        run.await.unwrap_or_else(broken)
    }

    async fn claim_and_run(&self, invoke: Invoke, key: String, lease: &Lease) -> Outcome {
        // From the claim to the reply that is kept for it. Where no namespace is, there is no function to call either.
        let Ok(_held) = lease.hold() else { return self.invoke_now(invoke).await };
        let (claim, request_id) = (self.claim_of(&invoke, key), invoke.request_id.clone());
        let refused = match self.registry.claim_reply(claim.clone()).await {
            Ok(Claimed::New) => return self.run_claimed(invoke, claim, lease).await,
            Ok(Claimed::Done(stored)) => return self.replay(stored, &invoke),
            Ok(Claimed::Running) => {
                Error::new(ErrorCode::Conflict, "a request with this `Idempotency-Key` is still running")
                    .retry_after(Duration::from_secs(1))
            }
            Ok(Claimed::OtherRequest) => Error::new(
                ErrorCode::Conflict,
                "this `Idempotency-Key` was used for another request; use a new key for each request",
            ),
            Err(cause) => internal("claim an idempotency key", cause),
        };
        failed(request_id, refused)
    }

    async fn run_claimed(&self, invoke: Invoke, claim: Claim, lease: &Lease) -> Outcome {
        let outcome = self.invoke_now(invoke).await;
        if lease.check().is_err() {
            // The claim went with the namespace.
            return outcome;
        }
        let kept = match stored(&outcome) {
            Some(stored) => self.registry.store_reply(&claim, &stored).await,
            None => self.registry.release_reply(&claim).await,
        };
        if let Err(cause) = kept {
            tracing::error!(cause = &cause as &dyn std::error::Error, request_id = %outcome.request_id, "failed to keep a reply");
        }
        outcome
    }

    fn replay(&self, stored: StoredOutcome, invoke: &Invoke) -> Outcome {
        let StoredOutcome { request_id, head, body, error, duration_ms } = stored;
        let result = match error {
            Some(error) => Err(error),
            None => Ok(Success { head, body }),
        };
        let found = self.find_callable(&invoke.namespace, &invoke.function, &invoke.caller);
        let version = found.ok().map(|found| found.live.version.clone());
        Outcome { request_id, duration: Duration::from_millis(duration_ms), result, replayed: true, version }
    }

    fn claim_of(&self, invoke: &Invoke, key: String) -> Claim {
        let mut hasher = blake3::Hasher::new();
        hasher.update(invoke.function.to_string().as_bytes());
        if let Some(http) = &invoke.http {
            hasher.update(http.method.as_bytes()).update(b"\0").update(http.target.as_bytes());
        }
        hasher.update(b"\0").update(&invoke.input);
        Claim {
            namespace: invoke.namespace.clone(),
            function: invoke.function.name.clone(),
            caller: caller_id(invoke),
            key,
            fingerprint: *hasher.finalize().as_bytes(),
            at: self.clock.now(),
        }
    }
}

fn failed(request_id: RequestId, error: Error) -> Outcome {
    Outcome { request_id, duration: Duration::ZERO, result: Err(error), replayed: false, version: None }
}

fn caller_id(invoke: &Invoke) -> String {
    match &invoke.caller.credential {
        domain::Credential::Key { id } => id.clone(),
        domain::Credential::Token { .. } => format!("wallet {}", invoke.caller.subject.as_deref().unwrap_or_default()),
        domain::Credential::Platform => "platform".to_owned(),
        domain::Credential::None => String::new(),
    }
}

/// What is kept of an outcome: a refusal before the function ran may be different next time, so it is not kept.
fn stored(outcome: &Outcome) -> Option<StoredOutcome> {
    let ran = [ErrorCode::FunctionExecutionFailed, ErrorCode::Timeout];
    let (head, body, error) = match &outcome.result {
        Ok(Success { body, .. }) if body.len() > REPLY_BYTES_MAX => {
            (None, bytes::Bytes::new(), Some(too_large_to_keep()))
        }
        Ok(Success { head, body }) => (head.clone(), body.clone(), None),
        Err(error) if ran.contains(&error.code) => (None, bytes::Bytes::new(), Some(error.clone())),
        Err(_) => return None,
    };
    let duration_ms = outcome.duration.as_millis() as u64;
    Some(StoredOutcome { request_id: outcome.request_id.clone(), head, body, error, duration_ms })
}

fn too_large_to_keep() -> Error {
    let message = "the call with this `Idempotency-Key` ran, but its reply was larger than 1 MiB and was not kept";
    Error::new(ErrorCode::ResultTooLarge, message)
}
