//! Everything a module may import, linked once for all modules.

use wasmtime::{Engine, Linker};

use super::state::State;
use super::{abi, wasi};

pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasi::add(&mut linker)?;
    for module in abi::MODULES {
        abi::add(&mut linker, module)?;
    }
    Ok(linker)
}
