//! The real binary, from outside: every test starts a server of its own and drives it with the command line.

mod quick_start;
mod support;
