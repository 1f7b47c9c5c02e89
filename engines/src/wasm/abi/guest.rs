//! Bytes between the guest's memory and ours.

use wasmtime::{Caller, Linker};

use crate::wasm::memory;
use crate::wasm::state::{State, Stop};

/// Allocators that themselves ask for bytes: how deep before we answer nothing.
pub(crate) const ALLOCATING_MAX: u8 = 8;
/// The longest name, key or text argument, in bytes.
const TEXT_BYTES_MAX: u32 = 64 << 10;

/// The bytes of an argument; `None` outside the memory.
pub(super) fn take<'a>(caller: &'a mut Caller<'_, State>, pointer: u32, length: u32) -> Option<&'a [u8]> {
    let memory = memory::of(caller)?;
    memory::slice(memory.data(&*caller), pointer, length)
}

/// A text argument; `None` outside the memory, when too long, or when it is not UTF-8: a key is never guessed.
pub(super) fn take_text(caller: &mut Caller<'_, State>, pointer: u32, length: u32) -> Option<String> {
    if length > TEXT_BYTES_MAX {
        return None;
    }
    take(caller, pointer, length).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned)
}

/// Places `bytes` where the guest's allocator says; the packed place, or 0 for nothing.
///
/// An error only when the allocator itself trapped.
pub(super) async fn give(caller: &mut Caller<'_, State>, bytes: &[u8]) -> wasmtime::Result<u64> {
    let Ok(length) = u32::try_from(bytes.len()) else { return Ok(0) };
    let export = caller.get_export("orama_alloc").or_else(|| caller.get_export("malloc"));
    let allocate = export.and_then(|export| export.into_func()).and_then(|f| f.typed::<u32, u32>(&*caller).ok());
    let (Some(allocate), 1.., 0..ALLOCATING_MAX) = (allocate, length, caller.data().allocating) else { return Ok(0) };
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

fn utf16(caller: &mut Caller<'_, State>, pointer: u32) -> Option<String> {
    const BYTES_MAX: u32 = 2048;
    let size = take(caller, pointer.checked_sub(4)?, 4)?;
    let length = u32::from_le_bytes(size.try_into().ok()?).min(BYTES_MAX) & !1;
    let bytes = take(caller, pointer, length)?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    Some(String::from_utf16_lossy(&units))
}
