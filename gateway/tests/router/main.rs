//! The gateway through its front door, without sockets.

mod calls;
mod deploy;
mod functions;
mod isolation;
mod node;
#[path = "../support/mod.rs"]
mod support;
