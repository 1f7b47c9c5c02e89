//! What a function may ask of the platform, in terms of no engine.
//!
//! A [`Host`] belongs to one call: its context, the services of its version, its log. Arguments are bytes as the guest gave
//! them, at most one longer than their limit, so that a method can say that they are too long; results are values and JSON.
//! The ABIs only move both. What a failure looks like to a guest is decided here: calls whose answer is JSON carry an error in
//! it, the others answer nothing and leave a line in the log.

mod cache;
mod context;
mod database;
mod ephemeral;
mod http;
mod invoke;
mod jobs;
mod json;
mod log;
mod pubsub;
mod push;
mod response;
mod secrets;
mod sockets;
mod storage;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use domain::{Error, ErrorCode, Level, ReplyHead};
use ports::{CallContext, Observed, PUBLISHES_PER_CALL_MAX, Services};
use serde::Serialize;

use log::LogBook;
pub(crate) use log::MESSAGE_BYTES_READ_MAX;
pub(crate) use response::{HEADERS_MAX, parse_headers};

/// The longest name, key, URL or list of headers, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;
/// The longest SQL text or JSON argument, in bytes.
pub(crate) const JSON_BYTES_MAX: usize = 1 << 20;
/// The longest value, body or content, in bytes.
pub(crate) const DATA_BYTES_MAX: usize = 16 << 20;

/// The platform, as one call sees it.
pub(crate) struct Host {
    pub(crate) context: CallContext,
    pub(crate) services: Arc<Services>,
    logs: LogBook,
    /// The reply that `set_http_response` composed.
    pub(crate) response: Option<(ReplyHead, Bytes)>,
    /// What is said once a call, however often it happens.
    said: Vec<&'static str>,
    /// Messages that the call may still publish.
    publishes_left: usize,
}

/// The call has used up its time: it ends, whatever the guest would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeadlinePassed;

/// The result of a host call that waits.
pub(crate) type InTime<T> = Result<T, DeadlinePassed>;

impl Host {
    pub(crate) fn new(context: CallContext, services: Arc<Services>, observed: Observed) -> Self {
        let publishes_left = PUBLISHES_PER_CALL_MAX as usize;
        Self { context, services, logs: LogBook::new(observed), response: None, said: Vec::new(), publishes_left }
    }

    /// Notes, once a call, that `name` is not available on this server.
    pub(crate) fn unavailable(&mut self, name: &'static str) {
        if self.first_time(name) {
            self.warn(format!("`{name}` is not available on this server"));
        }
    }

    /// Waits for a service, but not longer than the call may run.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> InTime<T> {
        tokio::time::timeout_at(self.context.deadline.into(), work).await.map_err(|_| DeadlinePassed)
    }

    /// For a service that itself gave up for want of time: was that the call's own?
    fn check_deadline(&self) -> InTime<()> {
        match Instant::now() >= self.context.deadline {
            true => Err(DeadlinePassed),
            false => Ok(()),
        }
    }

    /// The most bytes that fit into the memory of the function at all.
    fn memory_bytes_max(&self) -> usize {
        usize::try_from(self.services.version.manifest.memory_bytes_max()).unwrap_or(usize::MAX)
    }

    /// A line for the author, about a call that can answer its guest nothing but a failure.
    fn warn(&mut self, message: String) {
        self.log(Level::Warn, &message);
    }

    /// The result of a call that can answer its guest nothing but a failure, or a line in the log that says why there is none.
    fn succeeded<T>(&mut self, call: &str, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.warn(format!("`{call}`: {error}"))).ok()
    }

    /// A line for the operator, once a call for each service.
    fn report(&mut self, service: &'static str, cause: &(dyn std::error::Error + 'static)) {
        if self.first_time(service) {
            let request_id = &self.context.request_id;
            tracing::error!(cause, %request_id, "failed to use the {service}");
        }
    }

    fn first_time(&mut self, what: &'static str) -> bool {
        let first = !self.said.contains(&what);
        if first {
            self.said.push(what);
        }
        first
    }
}

/// An argument as text: a key or a name is never guessed.
fn text<'a>(what: &str, bytes: &'a [u8], bytes_max: usize) -> Result<&'a str, Error> {
    if bytes.len() > bytes_max {
        let message = format!("the {what} is longer than {bytes_max} bytes");
        return Err(Error::new(ErrorCode::PayloadTooLarge, message));
    }
    std::str::from_utf8(bytes).map_err(|_| Error::invalid(format!("the {what} is not valid UTF-8")))
}

/// An error as the answer of a call whose answers are JSON.
#[derive(Serialize)]
struct Refused<'a> {
    error: &'a str,
    code: &'static str,
}

impl<'a> From<&'a Error> for Refused<'a> {
    fn from(error: &'a Error) -> Self {
        Self { error: &error.message, code: error.code.as_str() }
    }
}

fn check_size(what: &str, bytes: &[u8], bytes_max: usize) -> Result<(), Error> {
    match bytes.len() > bytes_max {
        true => Err(Error::new(ErrorCode::PayloadTooLarge, format!("the {what} is larger than {bytes_max} bytes"))),
        false => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
