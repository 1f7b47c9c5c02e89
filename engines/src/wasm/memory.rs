//! Guest memory: the limit of an instance, and reading and writing it by pointer and length.

use ports::Observed;
use wasmtime::{Memory, ResourceLimiter};

/// What one element of a table costs.
const TABLE_ELEMENT_BYTES: usize = std::mem::size_of::<usize>();

/// Counts all memories and tables of an instance together against one limit.
pub(crate) struct MemoryLimit {
    limit: usize,
    used: usize,
    observed: Observed,
    /// The guest asked for more than the limit and was refused.
    pub(crate) refused: bool,
}

impl MemoryLimit {
    /// The peak goes to `observed`, where it is seen also when the call never ends.
    pub(crate) fn new(limit: u64, observed: Observed) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0, observed, refused: false }
    }

    /// From now on `observed` is where the peak goes; what is used already counts there, too.
    pub(crate) fn observe(&mut self, observed: Observed) {
        observed.update(|ended| ended.usage.memory_peak_bytes = self.used as u64);
        self.observed = observed;
        self.refused = false;
    }

    fn grow(&mut self, by: usize) -> bool {
        let wanted = self.used.saturating_add(by);
        self.refused |= wanted > self.limit;
        if wanted <= self.limit {
            self.used = wanted;
            // Memories and tables never shrink, so what is used now is the peak.
            self.observed.update(|ended| ended.usage.memory_peak_bytes = wanted as u64);
        }
        wanted <= self.limit
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }
}

/// `length` bytes at `pointer`, when they lie inside `memory`. Empty at the very end is inside.
pub(crate) fn slice(memory: &[u8], pointer: u32, length: u32) -> Option<&[u8]> {
    memory.get(range(pointer, length))
}

pub(crate) fn slice_mut(memory: &mut [u8], pointer: u32, length: u32) -> Option<&mut [u8]> {
    memory.get_mut(range(pointer, length))
}

fn range(pointer: u32, length: u32) -> std::ops::Range<usize> {
    // Both fit in 33 bits, so nothing wraps on a 64-bit host.
    let start = pointer as usize;
    start..start + length as usize
}

/// The guest's memory while a host call runs.
pub(crate) fn of(caller: &mut wasmtime::Caller<'_, super::state::State>) -> Option<Memory> {
    // Known after instantiation; looked up by name only inside a start function.
    match caller.data().memory {
        Some(memory) => Some(memory),
        None => caller.get_export("memory").and_then(wasmtime::Extern::into_memory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_outside_is_none_and_never_wraps() {
        let memory = [0u8; 16];
        assert_eq!(slice(&memory, 16, 0).map(<[u8]>::len), Some(0));
        assert_eq!(slice(&memory, 0, 16).map(<[u8]>::len), Some(16));
        for (pointer, length) in
            [(17, 0), (15, 2), (0, 17), (u32::MAX, 1), (u32::MAX, u32::MAX), (0xffff_fff0, 0x20), (1 << 31, 1 << 31)]
        {
            assert_eq!(slice(&memory, pointer, length), None, "{pointer} {length}");
        }
    }

    #[test]
    fn memories_and_tables_share_one_limit() {
        let observed = Observed::default();
        let mut limit = MemoryLimit::new(1000, observed.clone());
        assert!(limit.memory_growing(0, 600, None).expect("never fails"));
        assert!(limit.table_growing(0, 50, None).expect("never fails"));
        assert!(!limit.memory_growing(600, 601, None).expect("never fails"));
        assert!(limit.refused);
        assert_eq!(observed.take().usage.memory_peak_bytes, 1000);
        let next = Observed::default();
        limit.observe(next.clone());
        assert!(!limit.refused);
        assert_eq!(next.take().usage.memory_peak_bytes, 1000, "what an earlier call took is still in use");
    }
}
