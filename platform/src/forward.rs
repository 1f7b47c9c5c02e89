//! A call as an HTTP exchange: what arrives on the host name of a function, from its head to the last byte of the reply.
//!
//! The rules are those of `invoke.rs`: one permit, one deadline, one record. They live until the last byte, so an exchange has a
//! task of its own (`course.rs`), which passes the reply on piece by piece as it is taken, and ends when whoever asked goes away.

mod course;
mod pipe;
mod sign;

use std::sync::Arc;

use bytes::Bytes;
use domain::{Caller, Error, ErrorCode, FunctionRef, FunctionVersion, HttpHead, Namespace, ReplyHead, RequestId};
use domain::{EngineKind, TriggerKind};
use ports::{Body, Duplex};
use tokio::sync::oneshot;

use crate::Platform;
use crate::api::{Cause, Invoke};
use crate::chain::ChainCode;
use crate::invoke::Found;

use course::Course;

pub(crate) use pipe::Passed;

/// An HTTP request for a function, about to be forwarded.
#[derive(Debug)]
pub struct Forward {
    /// A UUIDv7, made at the edge.
    pub request_id: RequestId,
    pub namespace: Namespace,
    pub function: FunctionRef,
    pub caller: Arc<Caller>,
    pub head: Arc<HttpHead>,
    /// Did the client ask by `https`?
    pub is_secure: bool,
    pub body: Body,
    /// Set when the reply is to be signed; the body is whole then.
    pub signing: Option<Signing>,
    /// The client's own id for the request, if it was well formed.
    pub client_request_id: Option<String>,
    pub trace_id: Option<String>,
}

/// What a signature covers beyond what the function sees.
#[derive(Debug, Clone)]
pub struct Signing {
    /// Path and query as received; the function may be given less of it.
    pub target: String,
    /// The value of `Host` as received.
    pub host: Bytes,
}

/// The most bytes of either body of an exchange that is signed: a signature covers them whole.
pub const SIGNED_BYTES_MAX: usize = 10 << 20;

/// What the function answers. Dropping the body or the connection before its end ends the call.
pub struct Forwarded {
    pub version: Arc<FunctionVersion>,
    pub head: ReplyHead,
    pub body: Body,
    /// Set beside status 101: both directions of what the connection has become.
    pub upgraded: Option<Box<dyn Duplex>>,
}

/// How the requests of a function have to be handed over.
#[derive(Debug, Clone)]
pub struct Intake {
    pub version: Arc<FunctionVersion>,
    /// The body is wanted whole, and read before the call takes a place: who sends slowly must keep none.
    pub whole: bool,
    /// Its replies are signed, whatever name it is called by.
    pub signed: bool,
}

impl Platform {
    /// Would this request be let in, and how is it wanted? For who must know before reading its body; [`Platform::forward`]
    /// asks again.
    pub fn intake(&self, namespace: &Namespace, function: &FunctionRef, caller: &Caller) -> Result<Intake, Error> {
        let found = self.found_for(namespace, function, caller)?;
        let version = found.live.version.clone();
        Ok(Intake { whole: version.manifest.engine == EngineKind::Wasm, signed: version.manifest.sign, version })
    }

    /// Hands an HTTP request to a function and answers as soon as the head of the reply is there.
    ///
    /// Dropping the future, or what it answered before its end, ends the function and records that.
    ///
    /// # Errors
    ///
    /// Those of a call that is refused or fails before its reply begins; later ones end the body of the reply.
    pub async fn forward(self: &Arc<Self>, forward: Forward) -> Result<Forwarded, Error> {
        let found = self.found_for(&forward.namespace, &forward.function, &forward.caller)?;
        self.forward_to(forward, found).await
    }

    /// Is there a function, in any namespace, that this engine runs?
    pub fn has_functions_of(&self, engine: EngineKind) -> bool {
        self.functions.load().has_any_of(engine)
    }

    /// The function that two labels of a host name mean, in any case.
    pub fn spoken(&self, namespace: &str, function: &str) -> Option<(Namespace, FunctionRef)> {
        let (namespace, name) = self.functions.load().spoken(namespace, function)?;
        Some((namespace, FunctionRef { name, version: None }))
    }

    /// The namespace that a label of a host name means, in any case; one that does not exist is what it was written as.
    pub fn spoken_namespace(&self, namespace: &str) -> Option<Namespace> {
        self.functions.load().spoken_namespace(namespace).or_else(|| Namespace::parse(namespace).ok())
    }

    /// A version that was published under the hash of its code (`by_hash: true`), which `caller` may call; the oldest if there
    /// are several.
    pub fn published(&self, hash: &[u8; 32], caller: &Caller) -> Option<(Namespace, FunctionRef)> {
        let functions = self.functions.load();
        functions.published(hash).iter().find_map(|version| {
            let function = FunctionRef { name: version.name.clone(), version: Some(version.version) };
            self.find_callable(&version.namespace, &function, caller).ok()?;
            Some((version.namespace.clone(), function))
        })
    }

    /// How code from a chain takes its requests.
    pub fn intake_of_code(&self, code: &ChainCode) -> Intake {
        let version = code.version().clone();
        Intake { whole: version.manifest.engine == EngineKind::Wasm, signed: true, version }
    }

    /// The same as [`Platform::forward`] for code from a chain, which anybody may call; namespace and function are its own.
    ///
    /// # Errors
    ///
    /// Those of [`Platform::forward`].
    pub async fn forward_to_code(self: &Arc<Self>, code: &ChainCode, forward: Forward) -> Result<Forwarded, Error> {
        if self.is_stopping() {
            return Err(Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down"));
        }
        self.forward_to(forward, code.found()).await
    }

    fn found_for(&self, namespace: &Namespace, function: &FunctionRef, caller: &Caller) -> Result<Found, Error> {
        let found = self.find_callable(namespace, function, caller);
        if found.is_err() {
            self.metrics.refused();
        }
        found
    }

    /// The same for code that was found elsewhere than by its name.
    pub(crate) async fn forward_to(self: &Arc<Self>, forward: Forward, found: Found) -> Result<Forwarded, Error> {
        let Forward {
            request_id,
            namespace,
            function,
            mut caller,
            head,
            is_secure,
            body,
            signing,
            client_request_id,
            trace_id,
        } = forward;
        // As with every call: whoever comes from another namespace is nobody in this one.
        if caller.is_foreign_to(&namespace) {
            caller = self.nobody.clone();
        }
        let invoke = Invoke {
            request_id,
            namespace,
            function,
            caller,
            trigger: TriggerKind::Http,
            cause: Cause::default(),
            http: Some(head),
            input: Bytes::new(),
            client_request_id,
            trace_id,
            idempotency_key: None,
        };
        let stopping = |_| Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down");
        let under_way = self.under_way.clone().try_read_owned().map_err(stopping)?;
        let (reply, replied) = oneshot::channel();
        let course = Course { platform: self.clone(), invoke, found, is_secure, signing };
        course.set_out(body, reply, under_way);
        replied.await.unwrap_or_else(|_| Err(Error::of(ErrorCode::Internal)))
    }
}
