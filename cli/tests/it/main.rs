//! The real binary, from outside: every test starts a server of its own and drives it by HTTP and with the command line.

mod backup;
mod bad_input;
mod callers;
mod chat;
mod data;
mod documents;
mod durability;
mod examples;
mod hostile;
mod hosts;
mod identity;
mod isolation;
mod jail;
mod jobs;
mod life;
mod oyster;
mod pubsub;
mod push;
mod quick_start;
mod serverless;
mod sockets;
mod support;
mod tls;
mod triggers;
mod verbs;
mod workers;
