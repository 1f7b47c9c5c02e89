//! Outbound HTTP against servers of our own, and a resolver that answers what a test says.
//!
//! Nothing but loopback can be reached here, so tests of what is allowed let loopback in, as an operator and a function would.

mod addresses;
mod connections;
mod policies;
mod proxy;
mod redirects;
mod replies;
mod requests;
mod server;
mod support;
mod tls;
