use ports::Observed;
use ports::memory::TestServices;

use super::*;
use crate::host::tests::idle;

/// The state of a call that nobody makes.
pub(crate) fn idle_state() -> State {
    state_with(&TestServices::default())
}

/// The same, with services.
pub(crate) fn state_with(services: &TestServices) -> State {
    let (context, services) = idle(services);
    state(Call { context, http: None, input: Bytes::new(), observed: Observed::default() }, services)
}
