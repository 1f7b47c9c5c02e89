//! Workers: JavaScript in real workerd processes, in the jail.

mod bench;
mod deploy;
mod exchange;
mod limits;
mod orama;
mod processes;
