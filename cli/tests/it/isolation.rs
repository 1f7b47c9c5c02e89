//! Two tenants of one server: nothing of the one is ever seen or changed by the other, by whatever route or host call, and what
//! exists looks to the other as what does not.
//!
//! Everything that the first tenant owns and the second does not name in its requests holds [`world::CANARY`]; no answer may.

mod heirs;
mod host_calls;
mod matrix;
mod reborn;
mod routes;
mod world;
