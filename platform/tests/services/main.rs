//! Secrets, content, the audit log and rate limits, on in-memory ports.

mod audit;
mod gate;
mod node;
mod rates;
mod secrets;
mod storage;
