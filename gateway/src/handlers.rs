//! What each route does: reads a request, asks the platform, composes the reply.
//!
//! What is written down (see `audit.rs`) runs to its end by itself; everything else stops with its client.

pub(crate) mod audit;
pub(crate) mod cache;
pub(crate) mod certificates;
pub(crate) mod claims;
pub(crate) mod database;
pub(crate) mod deploy;
pub(crate) mod domains;
pub(crate) mod functions;
pub(crate) mod invoke;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod logs;
mod multipart;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod pubsub;
pub(crate) mod push;
pub(crate) mod receipts;
pub(crate) mod secrets;
pub(crate) mod sign_in;
pub(crate) mod sockets;
pub(crate) mod storage;
pub(crate) mod tokens;
pub(crate) mod triggers;
mod view;

/// The largest body of a request that manages something: names, scopes, numbers.
const SMALL_BODY_BYTES_MAX: usize = 64 << 10;
/// The largest JSON body of a request about data.
const DATA_BODY_BYTES_MAX: usize = 4 << 20;
