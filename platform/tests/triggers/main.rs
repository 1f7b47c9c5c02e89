//! Triggers and the calls that they owe, on in-memory ports.

mod bad_input;
mod delivery;
mod management;
mod node;
mod tables;
mod topics;
