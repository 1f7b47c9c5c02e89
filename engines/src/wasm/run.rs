//! One call: an instance, its entry point, and what its end means.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use domain::{Error, ErrorCode, FailureKind, Level, Manifest};
use ports::{BoxError, Call, Ended, Failed, PrepareError, Reply, Services};
use wasmtime::{Instance, Store, StoreContextMut, Trap, UpdateDeadline};

use super::abi::Allocator;
use super::cache::{Entry, Loaded};
use super::memory::{self, MemoryLimit};
use super::state::{State, Stop, Streams};
use crate::host::Host;

/// Runs `call` in a fresh instance.
pub(crate) async fn run(loaded: Arc<Loaded>, call: Call, services: Arc<Services>) -> Result<Reply, Failed> {
    let entry = loaded.entry(&services.version.manifest).map_err(refused)?;
    if entry == Entry::Sockets {
        let error = Error::invalid("the function answers WebSockets only");
        return Err(refused(error.hint("open a WebSocket, or export `_start` (or `handle`, with `reactor: true`)")));
    }
    let mut store = store_of(&loaded, state(call, services));
    let ended = match entry {
        Entry::Reactor => reactor(&mut store, &loaded).await,
        Entry::Command | Entry::Sockets => command(&mut store, &loaded).await,
    };
    conclude(store.into_data(), ended)
}

pub(super) fn store_of(loaded: &Loaded, state: State) -> Store<State> {
    let mut store = Store::new(loaded.ready.module().engine(), state);
    store.limiter(|state| &mut state.limit);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(at_tick);
    store
}

pub(super) fn state(call: Call, services: Arc<Services>) -> State {
    let Call { context, http, input, observed } = call;
    let limit = MemoryLimit::new(services.version.manifest.memory_bytes_max(), observed.clone());
    State {
        host: Host::new(context, services, observed.clone()),
        observed,
        limit,
        streams: Streams::new(input),
        memory: None,
        allocating: 0,
        allocator: Allocator::default(),
        http,
        strings: None,
    }
}

/// Every tick: past the deadline the guest ends, else others get their turn.
fn at_tick(context: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    match Instant::now() >= context.data().deadline() {
        true => Err(Stop::Deadline.into()),
        false => Ok(UpdateDeadline::Yield(1)),
    }
}

pub(super) async fn instantiate(store: &mut Store<State>, loaded: &Loaded) -> wasmtime::Result<Instance> {
    let instance = loaded.ready.instantiate_async(&mut *store).await?;
    store.data_mut().memory = instance.get_memory(&mut *store, "memory");
    Ok(instance)
}

async fn command(store: &mut Store<State>, loaded: &Loaded) -> wasmtime::Result<()> {
    let instance = instantiate(store, loaded).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(&mut *store, ()).await
}

/// Input goes where the guest's `malloc` says; the result is packed the other way round than everywhere else.
async fn reactor(store: &mut Store<State>, loaded: &Loaded) -> wasmtime::Result<()> {
    let instance = instantiate(store, loaded).await?;
    if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") {
        initialize.call_async(&mut *store, ()).await?;
    }
    let input = std::mem::take(&mut store.data_mut().streams.input);
    let (pointer, length) = match instance.get_typed_func::<u32, u32>(&mut *store, "malloc") {
        Ok(malloc) => (malloc.call_async(&mut *store, input.len() as u32).await?, input.len() as u32),
        Err(_) => (0, 0),
    };
    if let Some(memory) = store.data().memory
        && let Some(place) = memory::slice_mut(memory.data_mut(&mut *store), pointer, length)
    {
        place.copy_from_slice(&input);
    }
    let handle = instance.get_typed_func::<(u32, u32), u64>(&mut *store, "handle")?;
    let packed = handle.call_async(&mut *store, (pointer, length)).await?;
    let (pointer, length) = (packed as u32, (packed >> 32) as u32);
    let memory = store.data().memory.ok_or_else(|| wasmtime::Error::msg("the module exports no memory"))?;
    let output = memory::slice(memory.data(&*store), pointer, length).map(<[u8]>::to_vec);
    store.data_mut().streams.output = output.ok_or(OutsideMemory::Result)?;
    Ok(())
}

/// The guest named bytes outside its memory.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutsideMemory {
    #[error("the result of `handle` lies outside the module's memory")]
    Result,
    #[error("the module's allocator found no place for {0} bytes")]
    NoPlace(u32),
    #[error("the module's allocator names a place outside its memory")]
    Place,
}

fn conclude(mut state: State, ended: wasmtime::Result<()>) -> Result<Reply, Failed> {
    state.flush_errors();
    let result = match ended {
        Err(error) if !is_exit_0(&error) => Err(failure(&state, &error)),
        _ => Ok(()),
    };
    let ended = state.observed.take();
    match (result, state.host.response) {
        (Ok(()), Some((head, body))) => Ok(Reply { head: Some(head), body, ended }),
        (Ok(()), None) => Ok(Reply { head: None, body: Bytes::from(state.streams.output), ended }),
        (Err((error, cause)), _) => Err(Failed { error, ended, cause }),
    }
}

pub(super) fn is_exit_0(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Stop>(), Some(Stop::Exit(0)))
}

/// What the user learns of a failure; the cause is kept when the fault is ours.
pub(super) fn failure(state: &State, error: &wasmtime::Error) -> (Error, Option<BoxError>) {
    let manifest = &state.host.services.version.manifest;
    let stop = error.downcast_ref::<Stop>();
    let trap = error.downcast_ref::<Trap>();
    if matches!(stop, Some(Stop::Deadline)) || trap == Some(&Trap::Interrupt) {
        return (timed_out(manifest), None);
    }
    if let Some(Stop::Output(limit)) = stop {
        let message = format!("the reply is larger than {} MiB", limit >> 20);
        return (failed(FailureKind::OutputLimit, message), None);
    }
    if trap == Some(&Trap::StackOverflow) {
        return (
            failed(FailureKind::StackOverflow, "the function recursed too deep: its stack overflowed".into()),
            None,
        );
    }
    if state.limit.refused {
        return (out_of_memory(manifest, state), None);
    }
    match (stop, trap) {
        (Some(Stop::Exit(code)), _) => (failed(FailureKind::Exit, with_tail(format!("exit code {code}"), state)), None),
        (Some(Stop::Abort(text)), _) => {
            (failed(FailureKind::Trap, with_tail(format!("the function aborted: {text}"), state)), None)
        }
        (_, Some(trap)) => {
            let place = innermost_function(error).map(|name| format!(" in `{name}`")).unwrap_or_default();
            (failed(FailureKind::Trap, with_tail(format!("the function trapped: {trap}{place}"), state)), None)
        }
        _ if error.is::<OutsideMemory>() => (failed(FailureKind::Abi, error.to_string()), None),
        _ if error.is::<wasmtime::PoolConcurrencyLimitError>() => {
            (Error::new(ErrorCode::ServiceUnavailable, "no instance is free; try again"), None)
        }
        _ => {
            let cause = error.chain().map(|cause| cause.to_string()).collect::<Vec<_>>().join(": ");
            (failed(FailureKind::Abi, format!("the function could not be run: {cause}")), None)
        }
    }
}

fn failed(kind: FailureKind, message: String) -> Error {
    Error::new(ErrorCode::FunctionExecutionFailed, message).kind(kind)
}

fn timed_out(manifest: &Manifest) -> Error {
    let seconds = manifest.timeout.as_secs();
    Error::new(ErrorCode::Timeout, format!("the function did not finish within {seconds} s"))
        .hint("raise `timeout` in function.yaml (at most 300), or do less in one call")
}

fn out_of_memory(manifest: &Manifest, state: &State) -> Error {
    let message = format!("the function ran out of memory: its limit is {} MB", manifest.memory_mb);
    failed(FailureKind::Memory, with_tail(message, state)).hint("raise `memory` in function.yaml (at most 256)")
}

/// The message, with the end of what the guest wrote to standard error.
fn with_tail(message: String, state: &State) -> String {
    match state.streams.errors.text(&state.host) {
        tail if tail.is_empty() => message,
        tail => format!("{message}; standard error: {tail}"),
    }
}

fn innermost_function(error: &wasmtime::Error) -> Option<String> {
    let backtrace = error.downcast_ref::<wasmtime::WasmBacktrace>()?;
    backtrace.frames().iter().find_map(|frame| frame.func_name()).map(|name| name.chars().take(200).collect())
}

pub(super) fn refused(error: Error) -> Failed {
    Failed { error, ended: Ended::default(), cause: None }
}

/// A failure of ours.
pub(crate) fn broken(cause: impl Into<BoxError>) -> Failed {
    Failed { error: Error::of(ErrorCode::Internal), ended: Ended::default(), cause: Some(cause.into()) }
}

/// A module that was deployed and cannot be loaded now.
pub(crate) fn not_loaded(error: PrepareError) -> Failed {
    match error {
        PrepareError::Refused(error) => refused(error),
        PrepareError::Unavailable(cause) => {
            Failed { error: Error::of(ErrorCode::FunctionUnavailable), ended: Ended::default(), cause: Some(cause) }
        }
    }
}

impl State {
    /// Standard error is part of the log, a line each.
    pub(crate) fn write_errors(&mut self, bytes: &[u8]) {
        self.streams.errors.write(bytes);
        for line in self.streams.errors.lines(bytes) {
            self.host.log_bytes(Level::Debug, &line);
        }
    }

    pub(super) fn flush_errors(&mut self) {
        if let Some(line) = self.streams.errors.last_line() {
            self.host.log_bytes(Level::Debug, &line);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
