//! The real stores: one file a product, one `open` a service.
//!
//! Everything here implements a trait of `ports` and passes its conformance suite; the platform knows the trait alone.
//! Each service has one product now, so `open` takes what that product needs, mostly a path. When a second product comes (rqlite
//! for [`registry`], Kubo for [`storage`]), the file of the service gains a `Config` enum with a variant for each product, and
//! its `open` an arm; nothing else in the workspace changes.
//!
//! | service | port | product |
//! |---|---|---|
//! | [`registry`] | [`ports::Registry`] | SQLite, `system.db` |
//! | [`records`] | [`ports::Records`] | SQLite, `logs.db` |
//! | [`database`] | [`ports::Databases`] | SQLite, one file a namespace |
//! | [`storage`] | [`ports::Storage`] | files by content identifier |
//! | [`cache`] | [`ports::Caches`] | the memory of this process |
//! | [`pubsub`] | [`ports::PubSub`] | the memory of this process |
//! | [`egress`] | [`ports::Egress`] | HTTP/1.1 over TCP and TLS |
//! | [`push`] | [`ports::PushProviders`] | ntfy, Expo, Apple, Firebase, browsers |
//! | [`keys`] | [`ports::Keys`] | one file a key |
//! | [`names`] | [`ports::Names`] | DNS over UDP and TCP |
//! | [`chain`] | [`ports::CodeSource`] | JSON-RPC of Ethereum |
//! | [`certificates`] | [`ports::Certificates`], [`ports::CertificateAuthority`] | one file a name, ACME |
//!
//! [`folder`] says where each of them lives in the data folder of a node, and keeps a second process out;
//! [`mod@fsck`] examines the folder of a node that is stopped; [`mod@backup`] copies that of any node.

pub mod backup;
pub mod cache;
pub mod certificates;
pub mod chain;
pub mod database;
pub mod egress;
pub mod folder;
pub mod fsck;
pub mod keys;
pub mod names;
pub mod pubsub;
pub mod push;
pub mod records;
pub mod registry;
pub mod storage;

mod durable;
mod sql;

pub use durable::write_private;
pub use folder::{DataFolder, FolderError};
pub use sql::OpenError;
