//! WASI preview 1: streams, clocks, chance, arguments, environment. No files, no sockets.
//!
//! Complete enough for Go, TinyGo, Rust, C, Zig and AssemblyScript: every function of the interface links; those about
//! files answer `EBADF`, because no descriptor but 0, 1 and 2 exists.
//! (<https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md>)

mod poll;
mod strings;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wasmtime::{AsContextMut, Caller, FuncType, Linker, Val, ValType};

use super::memory;
use super::state::{State, Stop};

pub(crate) use strings::Strings;

pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// The largest output of a call, in bytes.
const OUTPUT_BYTES_MAX: usize = 8 << 20;
/// The most bytes one read or write moves; longer ones are short, as the interface allows.
const TRANSFER_BYTES_MAX: usize = 1 << 20;
const VECTORS_MAX: u32 = 1024;
const RANDOM_STEP_BYTES: usize = 64 << 10;

type Errno = u16;
const SUCCESS: Errno = 0;
const BADF: Errno = 8;
const FAULT: Errno = 21;
const INVAL: Errno = 28;
const IO: Errno = 29;
const NOSYS: Errno = 52;
const SPIPE: Errno = 70;

/// Functions that only ever answer one error: name, parameters (`i` is i32, `l` i64), answer.
const REFUSED: &[(&str, &str, Errno)] = &[
    ("fd_advise", "illi", BADF),
    ("fd_allocate", "ill", BADF),
    ("fd_datasync", "i", BADF),
    ("fd_filestat_set_size", "il", BADF),
    ("fd_filestat_set_times", "illi", BADF),
    ("fd_pread", "iiili", SPIPE),
    ("fd_prestat_get", "ii", BADF),
    ("fd_prestat_dir_name", "iii", BADF),
    ("fd_pwrite", "iiili", SPIPE),
    ("fd_readdir", "iiili", BADF),
    ("fd_renumber", "ii", BADF),
    ("fd_seek", "ilii", SPIPE),
    ("fd_sync", "i", BADF),
    ("fd_tell", "ii", SPIPE),
    ("path_create_directory", "iii", BADF),
    ("path_filestat_get", "iiiii", BADF),
    ("path_filestat_set_times", "iiiilli", BADF),
    ("path_link", "iiiiiii", BADF),
    ("path_open", "iiiiillii", BADF),
    ("path_readlink", "iiiiii", BADF),
    ("path_remove_directory", "iii", BADF),
    ("path_rename", "iiiiii", BADF),
    ("path_symlink", "iiiii", BADF),
    ("path_unlink_file", "iii", BADF),
    ("proc_raise", "i", NOSYS),
    ("sock_accept", "iii", BADF),
    ("sock_recv", "iiiiii", BADF),
    ("sock_send", "iiiii", BADF),
    ("sock_shutdown", "ii", BADF),
];

const ANSWERED: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_read",
    "fd_write",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];

pub(crate) fn knows(name: &str) -> bool {
    ANSWERED.contains(&name) || REFUSED.iter().any(|(known, ..)| *known == name)
}

/// Defines the interface.
pub(crate) fn add(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, params, errno) in REFUSED {
        let params = params.chars().map(|param| if param == 'l' { ValType::I64 } else { ValType::I32 });
        let ty = FuncType::new(linker.engine(), params, [ValType::I32]);
        linker.func_new(MODULE, name, ty, |_caller, _params, results| {
            results[0] = Val::I32(i32::from(*errno));
            Ok(())
        })?;
    }
    add_streams(linker)?;
    add_clocks(linker)?;
    strings::add(linker)?;
    poll::add(linker)?;
    linker.func_wrap(MODULE, "proc_exit", |_caller: Caller<'_, State>, code: i32| -> wasmtime::Result<()> {
        Err(Stop::Exit(code).into())
    })?;
    linker.func_wrap(MODULE, "sched_yield", |_caller: Caller<'_, State>| i32::from(SUCCESS))?;
    add_random(linker)
}

/// The guest's memory and the rest of the state, side by side.
fn parts<'a>(caller: &'a mut Caller<'_, State>) -> Result<(&'a mut [u8], &'a mut State), Errno> {
    let memory = memory::of(caller).ok_or(FAULT)?;
    Ok(memory.data_and_store_mut(caller.as_context_mut()))
}

fn put(memory: &mut [u8], pointer: u32, bytes: &[u8]) -> Result<(), Errno> {
    memory::slice_mut(memory, pointer, bytes.len() as u32).ok_or(FAULT)?.copy_from_slice(bytes);
    Ok(())
}

fn get_u32(memory: &[u8], pointer: u32) -> Result<u32, Errno> {
    let bytes = memory::slice(memory, pointer, 4).ok_or(FAULT)?;
    Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

fn get_u64(memory: &[u8], pointer: u32) -> Result<u64, Errno> {
    let bytes = memory::slice(memory, pointer, 8).ok_or(FAULT)?;
    Ok(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
}

fn errno(result: Result<(), Errno>) -> i32 {
    i32::from(result.err().unwrap_or(SUCCESS))
}

/// Is this one of the three descriptors, and still open?
fn open(state: &State, descriptor: u32) -> Result<usize, Errno> {
    match state.streams.closed.get(descriptor as usize) {
        Some(false) => Ok(descriptor as usize),
        _ => Err(BADF),
    }
}

fn add_streams(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |mut caller: Caller<'_, State>, fd: u32, vectors: u32, count: u32, read: u32| {
            errno(fd_read(&mut caller, fd, vectors, count, read))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut caller: Caller<'_, State>, fd: u32, vectors: u32, count: u32, written: u32| -> wasmtime::Result<i32> {
            let result = fd_write(&mut caller, fd, vectors, count, written);
            match caller.data().streams.output.len() > OUTPUT_BYTES_MAX {
                true => Err(Stop::Output(OUTPUT_BYTES_MAX).into()),
                false => Ok(errno(result)),
            }
        },
    )?;
    linker.func_wrap(MODULE, "fd_close", |mut caller: Caller<'_, State>, fd: u32| {
        errno(open(caller.data(), fd).map(|index| caller.data_mut().streams.closed[index] = true))
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |mut caller: Caller<'_, State>, fd: u32, stat: u32| {
        errno(fd_fdstat_get(&mut caller, fd, stat))
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |caller: Caller<'_, State>, fd: u32, _flags: u32| {
        errno(open(caller.data(), fd).map(drop_index))
    })?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_rights",
        |caller: Caller<'_, State>, fd: u32, _base: u64, _inherited: u64| {
            errno(open(caller.data(), fd).map(drop_index))
        },
    )?;
    linker.func_wrap(MODULE, "fd_filestat_get", |mut caller: Caller<'_, State>, fd: u32, stat: u32| {
        let result = open(caller.data(), fd).and_then(|_| put(parts(&mut caller)?.0, stat, &[0; 64]));
        errno(result)
    })?;
    Ok(())
}

fn drop_index(_descriptor: usize) {}

/// The buffers of a scattered read or write: (pointer, length), each inside the memory.
fn buffers(memory: &[u8], vectors: u32, count: u32) -> Result<Vec<(u32, u32)>, Errno> {
    if count > VECTORS_MAX {
        return Err(INVAL);
    }
    let list = memory::slice(memory, vectors, count * 8).ok_or(FAULT)?;
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let pairs = list.chunks_exact(8).map(|pair| (number(&pair[..4]), number(&pair[4..])));
    pairs
        .map(|(pointer, length)| memory::slice(memory, pointer, length).map(|_| (pointer, length)).ok_or(FAULT))
        .collect()
}

fn fd_read(caller: &mut Caller<'_, State>, fd: u32, vectors: u32, count: u32, read: u32) -> Result<(), Errno> {
    let (memory, state) = parts(caller)?;
    if open(state, fd)? != 0 {
        return Err(BADF);
    }
    let mut total = 0;
    for (pointer, length) in buffers(memory, vectors, count)? {
        let take = (length as usize).min(state.streams.input.len()).min(TRANSFER_BYTES_MAX - total);
        let piece = state.streams.input.split_to(take);
        put(memory, pointer, &piece)?;
        total += take;
    }
    put(memory, read, &(total as u32).to_le_bytes())
}

fn fd_write(caller: &mut Caller<'_, State>, fd: u32, vectors: u32, count: u32, written: u32) -> Result<(), Errno> {
    let (memory, state) = parts(caller)?;
    let descriptor = open(state, fd)?;
    let mut total = 0;
    for (pointer, length) in buffers(memory, vectors, count)? {
        let take = length.min((TRANSFER_BYTES_MAX - total) as u32);
        let bytes = memory::slice(memory, pointer, take).ok_or(FAULT)?;
        match descriptor {
            1 if state.streams.mute => {}
            1 => state.streams.output.extend_from_slice(bytes),
            2 => state.write_errors(bytes),
            _ => return Err(BADF),
        }
        total += bytes.len();
    }
    put(memory, written, &(total as u32).to_le_bytes())
}

fn fd_fdstat_get(caller: &mut Caller<'_, State>, fd: u32, pointer: u32) -> Result<(), Errno> {
    const RIGHT_READ: u64 = 1 << 1;
    const RIGHT_WRITE: u64 = 1 << 6;
    const RIGHT_POLL: u64 = 1 << 27;
    let (memory, state) = parts(caller)?;
    let rights = RIGHT_POLL | if open(state, fd)? == 0 { RIGHT_READ } else { RIGHT_WRITE };
    // File type 0 (unknown) and no flags: a pipe, so that C libraries buffer fully.
    let mut stat = [0; 24];
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    put(memory, pointer, &stat)
}

fn add_clocks(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "clock_res_get", |mut caller: Caller<'_, State>, clock: u32, resolution: u32| {
        let result = now(clock).and_then(|_| put(parts(&mut caller)?.0, resolution, &1u64.to_le_bytes()));
        errno(result)
    })?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut caller: Caller<'_, State>, clock: u32, _precision: u64, time: u32| {
            let result = now(clock).and_then(|now| put(parts(&mut caller)?.0, time, &now.to_le_bytes()));
            errno(result)
        },
    )?;
    Ok(())
}

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

/// A clock in nanoseconds: the wall clock since 1970, the others since the process started.
fn now(clock: u32) -> Result<u64, Errno> {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    const CPU_CLOCKS: std::ops::RangeInclusive<u32> = 2..=3;
    match clock {
        REALTIME => SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_nanos() as u64).map_err(|_| IO),
        // One second more than elapsed: some runtimes take 0 for "no clock".
        MONOTONIC => Ok(START.elapsed().as_nanos() as u64 + 1_000_000_000),
        clock if CPU_CLOCKS.contains(&clock) => now(MONOTONIC),
        _ => Err(INVAL),
    }
}

fn add_random(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(MODULE, "random_get", |mut caller: Caller<'_, State>, (pointer, length): (u32, u32)| {
        Box::new(async move {
            match random_get(&mut caller, pointer, length).await {
                Ok(result) => Ok(errno(result)),
                Err(stop) => Err(stop),
            }
        })
    })?;
    Ok(())
}

/// Fills a buffer step by step, so that a large one delays nobody and respects the deadline.
async fn random_get(caller: &mut Caller<'_, State>, pointer: u32, length: u32) -> wasmtime::Result<Result<(), Errno>> {
    let mut done = 0;
    while done < length as usize {
        let Ok((memory, state)) = parts(caller) else { return Ok(Err(FAULT)) };
        let Some(place) = memory::slice_mut(memory, pointer, length) else { return Ok(Err(FAULT)) };
        let step = RANDOM_STEP_BYTES.min(length as usize - done);
        if getrandom::fill(&mut place[done..done + step]).is_err() {
            return Ok(Err(IO));
        }
        done += step;
        if done < length as usize {
            if Instant::now() >= state.deadline() {
                return Err(Stop::Deadline.into());
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lists_hold_the_whole_interface_once() {
        let mut names: Vec<&str> = ANSWERED.iter().copied().chain(REFUSED.iter().map(|(name, ..)| *name)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 46, "preview 1 has 46 functions here: 45 and sock_accept");
    }
}
