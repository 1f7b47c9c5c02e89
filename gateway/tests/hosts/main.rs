//! Host names over loopback: what a function sees of a request, what a client sees of its reply, and everything that can be done
//! wrong on the way.

mod chain;
mod domains;
mod forwarding;
mod http2;
mod names;
mod server;
mod signed;
mod streams;
#[path = "../support/mod.rs"]
mod support;
