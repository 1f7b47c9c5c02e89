//! The gateway through its front door, without sockets.

mod audit;
mod cache;
mod calls;
mod database;
mod deploy;
mod functions;
mod isolation;
mod keys;
mod limits;
mod namespaces;
mod network;
mod node;
mod secrets;
mod sign_in;
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
