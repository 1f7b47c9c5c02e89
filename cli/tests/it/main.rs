//! The real binary, from outside: every test starts a server of its own and drives it by HTTP and with the command line.

mod documents;
mod durability;
mod hostile;
mod isolation;
mod life;
mod quick_start;
mod support;
mod verbs;
