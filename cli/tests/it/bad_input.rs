//! What a client or a function sends that is wrong, each as a named case: refused with a code, and without a trace.

mod data;
mod egress;
mod secrets;
mod sign_in;
mod sql;
mod tokens;
