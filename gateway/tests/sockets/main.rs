//! WebSockets over loopback: the handshake, the protocol, topics and functions, and everything a client can do wrong.

mod client;
mod control;
mod function;
mod handshake;
mod persistent;
mod protocol;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod topic;
