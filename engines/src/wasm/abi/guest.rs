//! Bytes between the guest's memory and ours. Arguments are copied before anybody waits, results after: no view of the
//! memory is held while the guest could change it.

use bytes::Bytes;
use wasmtime::{Caller, Linker, TypedFunc, Val};

use super::Param;
use crate::wasm::memory;
use crate::wasm::state::{State, Stop};

/// Allocators that themselves ask for bytes: how deep before we answer nothing.
pub(crate) const ALLOCATING_MAX: u8 = 8;
/// Pairs of a pointer and a length that a call has at most.
const PAIRS_MAX: usize = 4;

/// The arguments of a call, copied out of the guest: bytes in one buffer, and the one number that a call has at most.
#[derive(Default)]
pub(super) struct Arguments {
    bytes: Vec<u8>,
    /// Where each pair ends in `bytes`.
    ends: [usize; PAIRS_MAX],
    number: i64,
}

impl Arguments {
    /// `None` when a pair lies outside the memory. Of what is longer than its limit, one byte more than that is copied.
    pub(super) fn read(caller: &mut Caller<'_, State>, params: &[Param], values: &[Val]) -> Option<Self> {
        let mut arguments = Self::default();
        let (mut values, mut pairs) = (values.iter(), 0);
        for param in params {
            match (param.bytes_max(), values.next()?) {
                (None, Val::I32(number)) => arguments.number = i64::from(*number),
                (None, Val::I64(number)) => arguments.number = *number,
                (Some(bytes_max), Val::I32(pointer)) => {
                    let bytes = take(caller, *pointer as u32, values.next()?.i32()? as u32)?;
                    arguments.bytes.extend_from_slice(&bytes[..bytes.len().min(bytes_max + 1)]);
                    arguments.ends[pairs] = arguments.bytes.len();
                    pairs += 1;
                }
                _ => return None,
            }
        }
        Some(arguments)
    }

    /// The arguments of a guest that hands over bytes; `None` when they are not as many as the call takes.
    pub(super) fn given(params: &[Param], bytes: &[Bytes], number: i64) -> Option<Self> {
        let mut arguments = Self { number, ..Self::default() };
        let limits = params.iter().filter_map(|param| param.bytes_max());
        if limits.clone().count() != bytes.len() {
            return None;
        }
        for (pair, (bytes, bytes_max)) in bytes.iter().zip(limits).enumerate() {
            arguments.bytes.extend_from_slice(&bytes[..bytes.len().min(bytes_max + 1)]);
            arguments.ends[pair] = arguments.bytes.len();
        }
        Some(arguments)
    }

    /// The bytes of a pair, counted from 0.
    pub(super) fn pair(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    pub(super) fn number(&self) -> i64 {
        self.number
    }
}

/// The bytes of an argument; `None` outside the memory.
fn take<'a>(caller: &'a mut Caller<'_, State>, pointer: u32, length: u32) -> Option<&'a [u8]> {
    let memory = memory::of(caller)?;
    memory::slice(memory.data(&*caller), pointer, length)
}

/// The guest's allocator, looked up at its first use.
#[derive(Clone, Default)]
pub(crate) enum Allocator {
    #[default]
    Unknown,
    Missing,
    Here(TypedFunc<u32, u32>),
}

fn allocator(caller: &mut Caller<'_, State>) -> Option<TypedFunc<u32, u32>> {
    if let Allocator::Unknown = caller.data().allocator {
        let export = caller.get_export("orama_alloc").or_else(|| caller.get_export("malloc"));
        let found = export.and_then(|export| export.into_func()).and_then(|f| f.typed::<u32, u32>(&*caller).ok());
        caller.data_mut().allocator = found.map_or(Allocator::Missing, Allocator::Here);
    }
    match &caller.data().allocator {
        Allocator::Here(allocate) => Some(allocate.clone()),
        Allocator::Unknown | Allocator::Missing => None,
    }
}

/// Places `bytes` where the guest's allocator says; the packed place, or 0 for nothing.
///
/// An error only when the allocator itself trapped.
pub(super) async fn give(caller: &mut Caller<'_, State>, bytes: &[u8]) -> wasmtime::Result<u64> {
    let Ok(length) = u32::try_from(bytes.len()) else { return Ok(0) };
    let (1.., 0..ALLOCATING_MAX) = (length, caller.data().allocating) else { return Ok(0) };
    let Some(allocate) = allocator(caller) else { return Ok(0) };
    caller.data_mut().allocating += 1;
    let allocated = allocate.call_async(&mut *caller, length).await;
    caller.data_mut().allocating -= 1;
    let pointer = allocated?;
    let Some(memory) = memory::of(caller) else { return Ok(0) };
    // The allocator may have grown the memory: its base and size are asked for only now.
    match memory::slice_mut(memory.data_mut(&mut *caller), pointer, length) {
        Some(place) if pointer != 0 => {
            place.copy_from_slice(bytes);
            Ok(u64::from(pointer) << 32 | u64::from(length))
        }
        _ => Ok(0),
    }
}

/// AssemblyScript's `abort(message, file, line, column)`: strings are UTF-16, their byte length stands before them.
pub(super) fn add_abort(linker: &mut Linker<State>, module: &str) -> wasmtime::Result<()> {
    let abort =
        |mut caller: Caller<'_, State>, message: u32, file: u32, line: u32, column: u32| -> wasmtime::Result<()> {
            let message = utf16(&mut caller, message).unwrap_or_default();
            let file = utf16(&mut caller, file).unwrap_or_default();
            Err(Stop::Abort(format!("{message} ({file}:{line}:{column})")).into())
        };
    linker.func_wrap(module, "abort", abort)?;
    Ok(())
}

/// A string of the guest, without secrets, of which the beginning is enough.
fn utf16(caller: &mut Caller<'_, State>, pointer: u32) -> Option<String> {
    /// More than is shown, so that no secret is cut in two and then not known for one.
    const BYTES_READ_MAX: u32 = 256 << 10;
    const BYTES_SHOWN_MAX: usize = 2048;
    let size = take(caller, pointer.checked_sub(4)?, 4)?;
    let length = u32::from_le_bytes(size.try_into().ok()?);
    let bytes = take(caller, pointer, length.min(BYTES_READ_MAX) & !1)?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let mut text = caller.data().host.masked(&String::from_utf16_lossy(&units), length > BYTES_READ_MAX);
    text.truncate(text.floor_char_boundary(BYTES_SHOWN_MAX));
    Some(text)
}
