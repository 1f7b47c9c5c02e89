//! What a function may ask of the platform, in terms of no engine.
//!
//! A [`Host`] belongs to one call: its context, the services of its version, its log. The doc comment of each method is
//! the text of `docs/host-api.md`'s entry; the ABIs only move arguments and results.

mod context;
mod log;

use std::sync::Arc;

use ports::{CallContext, Services};

pub(crate) use log::LogBook;

/// The platform, as one call sees it.
pub(crate) struct Host {
    pub(crate) context: CallContext,
    pub(crate) services: Arc<Services>,
    pub(crate) logs: LogBook,
    /// Names of services that were asked for and do not exist here; each is logged once.
    missing: Vec<&'static str>,
}

impl Host {
    pub(crate) fn new(context: CallContext, services: Arc<Services>) -> Self {
        Self { context, services, logs: LogBook::default(), missing: Vec::new() }
    }

    /// Notes, once a call, that `name` is not available on this server.
    pub(crate) fn unavailable(&mut self, name: &'static str) {
        if !self.missing.contains(&name) {
            self.missing.push(name);
            self.logs.write(domain::Level::Warn, &format!("`{name}` is not available on this server"));
        }
    }
}
