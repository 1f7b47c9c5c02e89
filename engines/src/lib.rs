//! Runs guest code.
//!
//! `host/` says what a function may ask of us, in terms of no engine; over it stand thin ABIs, one an engine. Nothing here
//! knows a tenant or a route: whatever a call may do is on its [`host::Host`].
//!
//! `unsafe` lives only in this crate of the workspace.

mod engines;
mod helper;
mod host;
pub mod jail;
pub mod privileges;
mod wasm;
mod worker;

pub use engines::{Engines, Worker};
pub use helper::helper_main;
#[doc(hidden)]
pub use wasm::fuzzing;
pub use wasm::{HelperCommand, OpenError, WasmConfig, WasmEngine, host_api_reference, settings};
pub use worker::{NoWorkerd, WORKERD_OLDEST, WorkerConfig, WorkerEngine, WorkerLimits, Workerd};
