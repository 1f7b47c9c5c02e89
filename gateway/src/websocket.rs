//! WebSockets (RFC 6455): from the request to the last byte. What is said over them, the handlers know.
//!
//! `upgrade.rs` takes a connection over from HTTP, `origin.rs` decides whose pages may ask, `socket.rs` is one socket with its timers,
//! on the connection of `wire.rs`, which `boundary.rs` watches; `frame.rs` has what goes out, and `holder.rs` whose socket it is.

mod boundary;
mod counts;
mod frame;
mod holder;
mod origin;
mod socket;
mod upgrade;
mod wire;

pub(crate) use boundary::Boundary;
pub(crate) use counts::{SocketCounts, SocketKind};
pub(crate) use frame::{
    FAILED, FORBIDDEN, Frame, GOING_AWAY, GONE, Goodbye, NORMAL, POLICY, TOO_BIG, TRY_LATER, UNAUTHORIZED,
};
pub(crate) use holder::{Control, Holder};
pub use socket::SocketConfig;
pub(crate) use socket::{Ended, Event, Received, Socket};
pub(crate) use upgrade::{Next, Offer, Switched};
