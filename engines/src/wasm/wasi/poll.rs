//! `poll_oneoff`: waiting for clocks and streams. The streams are always ready; clocks are really waited for.

use std::time::{Duration, Instant};

use wasmtime::{Caller, Linker};

use super::{Errno, INVAL, MODULE, MONOTONIC, REALTIME, errno, get_u32, get_u64, now, open, parts, put};
use crate::wasm::memory;
use crate::wasm::state::{State, Stop};

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;
const SUBSCRIPTIONS_MAX: u32 = 1024;
const CLOCK: u8 = 0;
const READ: u8 = 1;
const WRITE: u8 = 2;
const ABSOLUTE: u8 = 1;

/// One thing to wait for.
struct Subscription {
    user_data: [u8; 8],
    kind: u8,
    /// How long until it happens, or the error that it is.
    ready: Result<Duration, Errno>,
    bytes: u64,
}

pub(super) fn add(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, State>, (subscriptions, events, count, happened): (u32, u32, u32, u32)| {
            Box::new(async move {
                match read(&mut caller, subscriptions, count) {
                    Err(refused) => Ok(errno(Err(refused))),
                    Ok(list) => {
                        let waited = wait(&caller, &list).await?;
                        Ok(errno(report(&mut caller, &list, waited, events, happened)))
                    }
                }
            })
        },
    )?;
    Ok(())
}

fn read(caller: &mut Caller<'_, State>, subscriptions: u32, count: u32) -> Result<Vec<Subscription>, Errno> {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(INVAL);
    }
    let (memory, state) = parts(caller)?;
    memory::slice(memory, subscriptions, count * SUBSCRIPTION_BYTES).ok_or(super::FAULT)?;
    (0..count).map(|index| read_one(memory, state, subscriptions + index * SUBSCRIPTION_BYTES)).collect()
}

fn read_one(memory: &[u8], state: &State, at: u32) -> Result<Subscription, Errno> {
    let user_data = get_u64(memory, at)?.to_le_bytes();
    let kind = memory[at as usize + 8];
    let (ready, bytes) = match kind {
        CLOCK => (until(get_u32(memory, at + 16)?, get_u64(memory, at + 24)?, memory[at as usize + 40]), 0),
        READ => (open(state, get_u32(memory, at + 16)?).map(|_| Duration::ZERO), state.streams.input.len() as u64),
        WRITE => (open(state, get_u32(memory, at + 16)?).map(|_| Duration::ZERO), super::TRANSFER_BYTES_MAX as u64),
        _ => return Err(INVAL),
    };
    Ok(Subscription { user_data, kind, ready, bytes })
}

fn until(clock: u32, nanoseconds: u64, flags: u8) -> Result<Duration, Errno> {
    if ![REALTIME, MONOTONIC].contains(&clock) {
        return Err(INVAL);
    }
    let wait = if flags & ABSOLUTE == 0 { nanoseconds } else { nanoseconds.saturating_sub(now(clock)?) };
    Ok(Duration::from_nanos(wait))
}

/// Waits for the first subscription; how long that was planned to be.
async fn wait(caller: &Caller<'_, State>, list: &[Subscription]) -> wasmtime::Result<Duration> {
    let first = list.iter().map(|subscription| subscription.ready.unwrap_or_default()).min().unwrap_or_default();
    if first.is_zero() {
        return Ok(first);
    }
    let left = caller.data().deadline().saturating_duration_since(Instant::now());
    tokio::time::sleep(first.min(left)).await;
    match first > left {
        true => Err(Stop::Deadline.into()),
        false => Ok(first),
    }
}

fn report(
    caller: &mut Caller<'_, State>,
    list: &[Subscription],
    waited: Duration,
    events: u32,
    happened: u32,
) -> Result<(), Errno> {
    let (memory, _) = parts(caller)?;
    let mut count = 0u32;
    for subscription in list.iter().filter(|subscription| subscription.ready.unwrap_or_default() <= waited) {
        let mut event = [0; EVENT_BYTES as usize];
        event[..8].copy_from_slice(&subscription.user_data);
        event[8..10].copy_from_slice(&subscription.ready.err().unwrap_or_default().to_le_bytes());
        event[10] = subscription.kind;
        event[16..24].copy_from_slice(&subscription.bytes.to_le_bytes());
        put(memory, events.wrapping_add(count * EVENT_BYTES), &event)?;
        count += 1;
    }
    put(memory, happened, &count.to_le_bytes())
}
