//! TLS over loopback, with certificates made here: what is served, who is refused, and how certificates come and go.

mod certificate;
mod hostile;
mod http2;
mod orders;
mod server;
mod serves;
mod streams;
#[path = "../support/mod.rs"]
mod support;
