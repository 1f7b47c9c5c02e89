//! What applies to every implementation of a port, written once.

mod failing;

pub use failing::{Failing, Faults};
