//! Secrets, content, topics, the audit log and rate limits, on in-memory ports.

mod audit;
mod bus;
mod ended;
mod ephemeral;
mod gate;
mod jobs;
mod node;
mod presence;
mod push;
mod rates;
mod secrets;
mod storage;
