//! The gateway through its front door, without sockets.

mod audit;
mod cache;
mod calls;
mod database;
mod deploy;
mod fields;
mod functions;
mod isolation;
mod jobs;
mod keys;
mod limits;
mod namespaces;
mod network;
mod node;
mod pubsub;
mod push;
mod receipts;
mod secrets;
mod sign_in;
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod triggers;
