//! What runs code. An engine knows bytes, limits and the services of a call; nothing of tenants, routes or versions.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Cid, Error, HttpHead, LogLine, Manifest, ReplyHead, Usage};

use crate::{Answer, BoxError, CallContext, Exchange, Services, exchange_whole};

/// Code to be prepared.
#[derive(Debug, Clone)]
pub struct Code {
    pub cid: Cid,
    pub bytes: Bytes,
}

/// Code that was found fit to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// What the author should know although the code was accepted.
    pub warnings: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The code can never run here; the error says why and what to do.
    #[error("{0}")]
    Refused(Error),
    #[error("the engine is unavailable")]
    Unavailable(#[source] BoxError),
}

/// One attempt of one invocation.
#[derive(Debug, Clone)]
pub struct Call {
    pub context: CallContext,
    /// The head of the HTTP request, when there was one.
    pub http: Option<Arc<HttpHead>>,
    pub input: Bytes,
    pub observed: Observed,
}

/// What a call used and logged, whether it succeeded or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    pub usage: Usage,
    pub logs: Vec<LogLine>,
    /// Set when the function failed and there was a reply nevertheless, as of a runtime that answers an exception itself.
    pub fault: Option<Error>,
}

/// What a call has used and logged so far, for whoever gives it up before its end: a dropped call returns nothing.
///
/// The engine writes while the call runs, and takes everything out into the [`Ended`] of a call that ends by itself; what is
/// in here after that belongs to a later attempt. The CPU time is that up to the last pause of the guest.
#[derive(Debug, Clone, Default)]
pub struct Observed(Arc<Mutex<Ended>>);

impl Observed {
    pub fn update(&self, change: impl FnOnce(&mut Ended)) {
        // A panic between two writes leaves at worst a line less.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything so far; leaves nothing behind.
    pub fn take(&self) -> Ended {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Set when the function composed its own HTTP reply.
    pub head: Option<ReplyHead>,
    pub body: Bytes,
    pub ended: Ended,
}

/// A call that failed.
#[derive(Debug)]
pub struct Failed {
    pub error: Error,
    pub ended: Ended,
    /// Set when the fault is ours: the cause, for the operator.
    pub cause: Option<BoxError>,
}

/// What a socket's instance is told when it begins.
#[derive(Debug, Clone)]
pub struct SocketOpening {
    /// The first argument of `ws_open`: a JSON object.
    pub info: Bytes,
    /// For what starts the instance, `ws_open` and everything that they ask.
    pub context: CallContext,
    pub observed: Observed,
}

/// One thing that a socket's instance is asked to do.
#[derive(Debug, Clone)]
pub struct SocketCall {
    pub context: CallContext,
    /// The frame, or why the socket closes.
    pub data: Bytes,
    pub observed: Observed,
}

/// Does the socket go on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// The function asked to close.
    Close,
}

/// An instance that lives as long as its WebSocket. One thing at a time: the caller holds it mutably.
///
/// A failure ends the instance: nothing may be asked of it any more. Dropping it ends the guest.
#[async_trait]
pub trait Session: Send {
    /// Hands over a frame; the deadline is that of the context.
    async fn frame(&mut self, call: SocketCall) -> Result<(Flow, Ended), Failed>;

    /// Says goodbye: the socket is closed already.
    async fn close(&mut self, call: SocketCall) -> Result<Ended, Failed>;
}

/// Runs the code of function versions.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Checks and compiles `code`, so that the first call is fast; nothing is stored when it is refused.
    async fn prepare(&self, code: &Code, manifest: &Manifest) -> Result<Prepared, PrepareError>;

    /// Runs one call in a fresh instance, within the limits of its version's manifest and its deadline.
    ///
    /// Dropping the future ends the guest.
    async fn invoke(&self, call: Call, services: Arc<Services>) -> Result<Reply, Failed>;

    /// Answers one HTTP request, streaming both bodies where the engine can.
    ///
    /// Dropping the future, or what it answered before the end, ends the guest. An engine that does not stream makes an
    /// ordinary call of it.
    async fn exchange(&self, exchange: Exchange, services: Arc<Services>) -> Result<Answer, Failed> {
        exchange_whole(self, exchange, services).await
    }

    /// Starts an instance for a WebSocket and calls its `ws_open`. [`Flow::Close`] says that the function refused the socket.
    ///
    /// An engine that keeps no instances has none.
    async fn open_socket(
        &self,
        _opening: SocketOpening,
        _services: Arc<Services>,
    ) -> Result<(Box<dyn Session>, Flow, Ended), Failed> {
        let error =
            Error::new(domain::ErrorCode::FunctionExecutionFailed, "this engine keeps no instance for a socket");
        Err(Failed { error, ended: Ended::default(), cause: None })
    }

    /// Drops everything derived from `code`; calls that are running finish.
    async fn forget(&self, code: &Cid);
}
