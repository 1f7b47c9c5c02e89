//! The providers of push messages against strict servers of their protocols: real TLS, real signatures, judged by libraries of
//! others.
//!
//! Nothing but loopback can be reached here, so where an address is judged, the operator and the namespace let loopback in.

mod apns;
mod expo;
mod fcm;
mod hostile;
mod ntfy;
mod server;
mod settings;
mod support;
mod web_push;
