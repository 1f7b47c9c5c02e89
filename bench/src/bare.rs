//! The floor: wasmtime alone with our settings, and the least WASI with which the guests run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::{Caller, Engine, Extern, FuncType, InstancePre, Linker, Module, Result, Store, Val, ValType};

const WASI: &str = "wasi_snapshot_preview1";

/// What a call of a bare guest carries.
pub struct State {
    input: Bytes,
    pub output: Vec<u8>,
}

pub struct Bare {
    pre: Arc<InstancePre<State>>,
}

impl Bare {
    pub fn new(module: &[u8]) -> Result<Self> {
        let config = engines::settings::for_running(128, engines::settings::MEMORY_KEEP_RESIDENT_BYTES);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, module)?;
        let pre = linker(&engine, &module)?.instantiate_pre(&module)?;
        let ticking = engine.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(10));
                ticking.increment_epoch();
            }
        });
        Ok(Self { pre: Arc::new(pre) })
    }

    pub async fn call(&self, input: Bytes) -> Result<Vec<u8>> {
        let mut store = Store::new(self.pre.module().engine(), State { input, output: Vec::new() });
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        match start.call_async(&mut store, ()).await {
            Err(error) if error.downcast_ref::<Exit>().is_none() => Err(error),
            _ => Ok(store.into_data().output),
        }
    }
}

#[derive(Debug)]
struct Exit;

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("exit")
    }
}

impl std::error::Error for Exit {}

/// Streams, clock and chance; every other import answers `EBADF`.
fn linker(engine: &Engine, module: &Module) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(WASI, "proc_exit", |_: Caller<'_, State>, _code: i32| -> Result<()> {
        Err(wasmtime::Error::new(Exit))
    })?;
    linker.func_wrap(
        WASI,
        "fd_read",
        |mut caller: Caller<'_, State>, _fd: u32, list: u32, _count: u32, read: u32| -> i32 {
            let (memory, state) = parts(&mut caller);
            let (pointer, length) = (number(memory, list), number(memory, list + 4));
            let piece = state.input.split_to((length as usize).min(state.input.len()));
            memory[pointer as usize..pointer as usize + piece.len()].copy_from_slice(&piece);
            put(memory, read, &(piece.len() as u32).to_le_bytes());
            0
        },
    )?;
    linker.func_wrap(
        WASI,
        "fd_write",
        |mut caller: Caller<'_, State>, _fd: u32, list: u32, count: u32, written: u32| -> i32 {
            let (memory, state) = parts(&mut caller);
            let mut total = 0;
            for index in 0..count {
                let (pointer, length) = (number(memory, list + index * 8), number(memory, list + index * 8 + 4));
                state.output.extend_from_slice(&memory[pointer as usize..(pointer + length) as usize]);
                total += length;
            }
            put(memory, written, &total.to_le_bytes());
            0
        },
    )?;
    linker.func_wrap(WASI, "fd_fdstat_get", |mut caller: Caller<'_, State>, _fd: u32, stat: u32| -> i32 {
        put(parts(&mut caller).0, stat, &[0; 24]);
        0
    })?;
    linker.func_wrap(
        WASI,
        "clock_time_get",
        |mut caller: Caller<'_, State>, _clock: u32, _precision: u64, time: u32| -> i32 {
            static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
            let now = START.elapsed().as_nanos() as u64 + 1;
            put(parts(&mut caller).0, time, &now.to_le_bytes());
            0
        },
    )?;
    linker.func_wrap(WASI, "random_get", |mut caller: Caller<'_, State>, pointer: u32, length: u32| -> i32 {
        let memory = parts(&mut caller).0;
        i32::from(getrandom::fill(&mut memory[pointer as usize..(pointer + length) as usize]).is_err())
    })?;
    for name in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(WASI, name, |mut caller: Caller<'_, State>, count: u32, bytes: u32| -> i32 {
            put(parts(&mut caller).0, count, &[0; 4]);
            put(parts(&mut caller).0, bytes, &[0; 4]);
            0
        })?;
    }
    for name in ["args_get", "environ_get", "fd_fdstat_set_flags"] {
        linker.func_wrap(WASI, name, |_: Caller<'_, State>, _first: u32, _second: u32| 0i32)?;
    }
    for import in module.imports() {
        let wasmtime::ExternType::Func(ty) = import.ty() else { continue };
        let mut probe = Store::new(engine, State { input: Bytes::new(), output: Vec::new() });
        if linker.get(&mut probe, import.module(), import.name()).is_err() {
            let ty = FuncType::new(engine, ty.params(), [ValType::I32]);
            const BADF: i32 = 8;
            linker.func_new(import.module(), import.name(), ty, |_, _, results| {
                results[0] = Val::I32(BADF);
                Ok(())
            })?;
        }
    }
    Ok(linker)
}

fn parts<'a>(caller: &'a mut Caller<'_, State>) -> (&'a mut [u8], &'a mut State) {
    let memory = caller.get_export("memory").and_then(Extern::into_memory).expect("the guests export their memory");
    memory.data_and_store_mut(caller)
}

fn number(memory: &[u8], at: u32) -> u32 {
    u32::from_le_bytes(memory[at as usize..at as usize + 4].try_into().expect("four bytes"))
}

fn put(memory: &mut [u8], at: u32, bytes: &[u8]) {
    memory[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
}
