//! WebSockets of functions with `ws_persistent: true`: an instance each, which lives as long as the socket.
//!
//! They have an engine of their own, without a pool, so that they take no place from calls, and bring their own stacks
//! (`stacks.rs`). An idle one holds the pages that its guest has written, and nothing of ours but bookkeeping. Every call into
//! the instance is like any other call: its own deadline, log and usage, turns for others at each tick, and a move to the slow
//! runtime when it takes long (`handover.rs`).

pub(super) mod stacks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Cid, Error, ErrorCode};
use ports::{Call, CallContext, Ended, Failed, Flow, Observed, Services, Session, SocketCall, SocketOpening};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use super::cache::{Cache, Loaded, allocator_of};
use super::metered::{Finished, Metered};
use super::run::{self, OutsideMemory};
use super::state::{State, Stop, Streams};
use super::{handover, memory};
use stacks::{OwnStacks, Stacks};

/// The time that an instance has to start, before its `ws_open`.
const START_MAX: Duration = Duration::from_secs(5);

/// The sockets of the node: how many there may be, and what all of them share.
pub(super) struct Sockets {
    cache: Arc<Cache>,
    stacks: Arc<Stacks>,
    places: Arc<Semaphore>,
    slow: Handle,
}

impl Sockets {
    /// `cache` belongs to the engine of sockets, which was made with `stacks`.
    pub(super) fn new(cache: Arc<Cache>, stacks: Arc<Stacks>, sockets_max: u32, slow: Handle) -> Self {
        Self { cache, stacks, places: Arc::new(Semaphore::new(sockets_max as usize)), slow }
    }

    pub(super) async fn open(
        &self,
        opening: SocketOpening,
        services: Arc<Services>,
    ) -> Result<(Box<dyn Session>, Flow, Ended), Failed> {
        if !services.version.manifest.websocket.persistent {
            let error = Error::invalid("the function keeps no instance for a WebSocket");
            return Err(run::refused(error.hint("write `ws_persistent: true` into function.yaml")));
        }
        let place = self.places.clone().try_acquire_owned().map_err(|_| full())?;
        let loaded = self.cache.get(&services.version.code).await.map_err(run::not_loaded)?;
        loaded.entry(&services.version.manifest).map_err(run::refused)?;
        let observed = opening.observed.clone();
        let beginning = begin(loaded, opening, services, OwnStacks::new(self.stacks.clone()), place);
        let Step { guest, flow, ended } = drive(beginning, observed, &self.slow).await?;
        Ok((Box::new(WasmSession { guest: Some(guest), slow: self.slow.clone() }), flow, ended))
    }

    /// Open sockets go on.
    pub(super) async fn forget(&self, code: &Cid) {
        self.cache.forget(code).await;
    }
}

fn full() -> Failed {
    let error = Error::new(ErrorCode::ServiceUnavailable, "no place is free for another WebSocket of a function");
    run::refused(error.hint("try again later"))
}

async fn drive(
    work: impl Future<Output = Result<Step, Failed>> + Send + 'static,
    observed: Observed,
    slow: &Handle,
) -> Result<Step, Failed> {
    handover::drive(Metered::new(work, observed.clone()), observed, slow).await
}

/// What one call of an instance ends with.
struct Step {
    guest: Box<Guest>,
    flow: Flow,
    ended: Ended,
}

impl Finished for Step {
    fn ended(&mut self) -> &mut Ended {
        &mut self.ended
    }
}

/// A socket's instance, until it fails.
struct WasmSession {
    guest: Option<Box<Guest>>,
    slow: Handle,
}

#[async_trait]
impl Session for WasmSession {
    async fn frame(&mut self, call: SocketCall) -> Result<(Flow, Ended), Failed> {
        self.ask(call, Guest::frame).await
    }

    async fn close(&mut self, call: SocketCall) -> Result<Ended, Failed> {
        self.ask(call, Guest::close).await.map(|(_, ended)| ended)
    }
}

impl WasmSession {
    /// Lends the instance to one call. It comes back if the call succeeds, and goes with a call that is given up.
    async fn ask<F>(
        &mut self,
        call: SocketCall,
        doing: fn(Box<Guest>, SocketCall) -> F,
    ) -> Result<(Flow, Ended), Failed>
    where
        F: Future<Output = Result<Step, Failed>> + Send + 'static,
    {
        let Some(guest) = self.guest.take() else {
            return Err(run::refused(Error::new(ErrorCode::FunctionExecutionFailed, "the instance has ended")));
        };
        let observed = call.observed.clone();
        let Step { guest, flow, ended } = drive(doing(guest, call), observed, &self.slow).await?;
        self.guest = Some(guest);
        Ok((flow, ended))
    }
}

/// An instance and what is called of it.
struct Guest {
    store: Store<State>,
    exports: Exports,
    stacks: OwnStacks,
    // Free only when all above is gone.
    _place: OwnedSemaphorePermit,
}

struct Exports {
    allocate: TypedFunc<u32, u32>,
    free: Option<Free>,
    frame: TypedFunc<(u32, u32), i32>,
    close: TypedFunc<(u32, u32), ()>,
}

/// How the guest takes a buffer back that its allocator gave.
enum Free {
    /// `free`, beside `malloc`.
    Place(TypedFunc<u32, ()>),
    /// `orama_free`, beside `orama_alloc`.
    PlaceAndSize(TypedFunc<(u32, u32), ()>),
}

impl Exports {
    fn of(instance: &Instance, store: &mut Store<State>, loaded: &Loaded) -> wasmtime::Result<Self> {
        let (allocate, free) = allocator_of(loaded.ready.module());
        let free = match free {
            "free" => instance.get_typed_func(&mut *store, free).ok().map(Free::Place),
            _ => instance.get_typed_func(&mut *store, free).ok().map(Free::PlaceAndSize),
        };
        Ok(Self {
            allocate: instance.get_typed_func(&mut *store, allocate)?,
            free,
            frame: instance.get_typed_func(&mut *store, "ws_frame")?,
            close: instance.get_typed_func(&mut *store, "ws_close")?,
        })
    }
}

/// Starts an instance and calls its `ws_open`.
async fn begin(
    loaded: Arc<Loaded>,
    opening: SocketOpening,
    services: Arc<Services>,
    mut stacks: OwnStacks,
    place: OwnedSemaphorePermit,
) -> Result<Step, Failed> {
    let SocketOpening { info, context, observed } = opening;
    let call = Call { context: context.clone(), http: None, input: Bytes::new(), observed };
    let mut store = run::store_of(&loaded, run::state(call, services));
    store.data_mut().streams = Streams::mute();
    let started = stacks.run(start(&mut store, &loaded, &context)).await.map_err(run::broken)?;
    let instance = match started {
        Ok(instance) => instance,
        Err(error) => return Err(failed(&mut store, &context, &error)),
    };
    let exports = Exports::of(&instance, &mut store, &loaded);
    let open = instance.get_typed_func::<(u32, u32), i32>(&mut store, "ws_open");
    let (exports, open) = exports.and_then(|exports| Ok((exports, open?))).map_err(run::broken)?;
    let guest = Box::new(Guest { store, exports, stacks, _place: place });
    guest.call(&info, &open, |answer| answer == 0).await
}

/// An instance that has run what it runs at its start: the module's own start, then `_initialize`, or else `_start`.
async fn start(store: &mut Store<State>, loaded: &Loaded, context: &CallContext) -> wasmtime::Result<Instance> {
    store.data_mut().host.context.deadline = context.deadline.min(Instant::now() + START_MAX);
    let instance = run::instantiate(store, loaded).await?;
    let entry = instance.get_typed_func::<(), ()>(&mut *store, "_initialize");
    if let Ok(entry) = entry.or_else(|_| instance.get_typed_func::<(), ()>(&mut *store, "_start")) {
        match entry.call_async(&mut *store, ()).await {
            Err(error) if !run::is_exit_0(&error) => return Err(error),
            // A program that ended well has left its memory behind, which is all that the exports need.
            _ => {}
        }
    }
    store.data_mut().host.context.deadline = context.deadline;
    Ok(instance)
}

/// The failure of a call: the instance is not asked any more.
fn failed(store: &mut Store<State>, context: &CallContext, error: &wasmtime::Error) -> Failed {
    let state = store.data_mut();
    state.flush_errors();
    let (mut shown, cause) = run::failure(state, error);
    if shown.code == ErrorCode::Timeout && Instant::now() < context.deadline {
        let seconds = START_MAX.as_secs();
        shown = Error::new(ErrorCode::Timeout, format!("the instance did not start within {seconds} s"))
            .hint("do less in `_initialize` (or `_start`): it runs before `ws_open`, for each socket");
    }
    Failed { error: shown, ended: state.observed.take(), cause }
}

impl Guest {
    async fn frame(mut self: Box<Self>, call: SocketCall) -> Result<Step, Failed> {
        self.turn_to(call.context, call.observed);
        let frame = self.exports.frame.clone();
        self.call(&call.data, &frame, |answer| answer == 0).await
    }

    async fn close(mut self: Box<Self>, call: SocketCall) -> Result<Step, Failed> {
        self.turn_to(call.context, call.observed);
        let close = self.exports.close.clone();
        self.call(&call.data, &close, |()| false).await
    }

    fn turn_to(&mut self, context: CallContext, observed: Observed) {
        self.store.data_mut().begin(context, observed);
        self.store.set_epoch_deadline(1);
    }

    /// Hands `data` to an export, and to the guest's allocator again.
    async fn call<R: WasmResults + Sync>(
        mut self: Box<Self>,
        data: &[u8],
        export: &TypedFunc<(u32, u32), R>,
        goes_on: fn(R) -> bool,
    ) -> Result<Step, Failed> {
        let Self { store, exports, stacks, _place } = &mut *self;
        let answered = stacks.run(hand_over(store, exports, data, export)).await.map_err(run::broken)?;
        match answered {
            Ok(answer) => {
                let flow = if goes_on(answer) { Flow::Continue } else { Flow::Close };
                let ended = conclude(self.store.data_mut());
                Ok(Step { guest: self, flow, ended })
            }
            Err(error) => {
                let context = self.store.data().host.context.clone();
                Err(failed(&mut self.store, &context, &error))
            }
        }
    }
}

/// What the call used and logged. Nothing of its streams stays: thousands wait in between.
fn conclude(state: &mut State) -> Ended {
    state.flush_errors();
    state.streams.errors = Default::default();
    state.observed.take()
}

async fn hand_over<R: WasmResults + Sync>(
    store: &mut Store<State>,
    exports: &Exports,
    data: &[u8],
    export: &TypedFunc<(u32, u32), R>,
) -> wasmtime::Result<R> {
    let length = u32::try_from(data.len()).map_err(|_| OutsideMemory::NoPlace(u32::MAX))?;
    let pointer = place(store, exports, data, length).await?;
    let answer = call(store, export, (pointer, length)).await?;
    match &exports.free {
        Some(Free::Place(free)) if length > 0 => call(store, free, pointer).await?,
        Some(Free::PlaceAndSize(free)) if length > 0 => call(store, free, (pointer, length)).await?,
        _ => {}
    }
    Ok(answer)
}

/// Copies `data` to where the guest's allocator says. Nothing needs no place.
async fn place(store: &mut Store<State>, exports: &Exports, data: &[u8], length: u32) -> wasmtime::Result<u32> {
    if length == 0 {
        return Ok(0);
    }
    let pointer = call(store, &exports.allocate, length).await?;
    if pointer == 0 {
        return Err(OutsideMemory::NoPlace(length).into());
    }
    let memory = store.data().memory.ok_or(OutsideMemory::Place)?;
    let place = memory::slice_mut(memory.data_mut(&mut *store), pointer, length).ok_or(OutsideMemory::Place)?;
    place.copy_from_slice(data);
    Ok(pointer)
}

/// A deadline that passed while the guest was outside of its code ends it at the next entry.
async fn call<P: WasmParams + Sync, R: WasmResults + Sync>(
    store: &mut Store<State>,
    export: &TypedFunc<P, R>,
    params: P,
) -> wasmtime::Result<R> {
    if Instant::now() >= store.data().deadline() {
        return Err(Stop::Deadline.into());
    }
    export.call_async(&mut *store, params).await
}
