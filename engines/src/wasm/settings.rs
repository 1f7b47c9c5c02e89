//! The settings of wasmtime, measured: see `bench/` and ARCHITECTURE.md.

use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

use super::abi::ALLOCATING_MAX;

/// How often running guests are interrupted to look at their deadline and to let others run.
pub const TICK: Duration = Duration::from_millis(10);
/// With PAGEMAP_SCAN (Linux 6.7) pages of a finished instance are reset in place instead of being given back and faulted
/// in again: 2 to 4 times as many calls a second, and several threads no longer disturb each other.
pub const MEMORY_KEEP_RESIDENT_BYTES: usize = 4 << 20;
/// The most memory a manifest can ask for, in bytes.
pub const MEMORY_BYTES_MAX: usize = 256 << 20;
/// CPU seconds that compiling a module may take; each megabyte of it adds one. A Go program needs 3 to 4.
pub const COMPILE_CPU_SECONDS: u64 = 10;
/// Slots that keep their pages while unused. Each may hold [`MEMORY_KEEP_RESIDENT_BYTES`], so this bounds idle memory.
const WARM_SLOTS: u32 = 32;
const TABLE_KEEP_RESIDENT_BYTES: usize = 64 << 10;
pub(crate) const TABLE_ELEMENTS_MAX: usize = 100_000;
pub(crate) const TABLES_PER_MODULE_MAX: u32 = 4;
/// Bookkeeping of one instance; Go modules have thousands of functions and globals.
const INSTANCE_BYTES_MAX: usize = 4 << 20;
/// Zeros, the module's data, zeros, and what is not accessible.
const MAPPINGS_OF_A_MEMORY: u32 = 4;
/// The program, its heaps, and some hundred modules.
const MAPPINGS_OF_THE_REST: u32 = 3_500;
const WASM_STACK_BYTES: usize = 1 << 20;
const HOST_STACK_BYTES: usize = 2 << 20;

/// For the child that compiles: one thread, no pool.
pub fn for_compiling() -> Config {
    let mut config = code_shape();
    config.parallel_compilation(false);
    config
}

/// For the process that runs calls.
pub fn for_running(instances_max: u32, memory_keep_resident_bytes: usize) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(instances_max)
        .total_memories(instances_max)
        .total_tables(instances_max.saturating_mul(TABLES_PER_MODULE_MAX))
        // A guest's allocator runs on a stack of its own, as deep as it may call back into us.
        .total_stacks(instances_max.saturating_mul(1 + u32::from(ALLOCATING_MAX)))
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES_PER_MODULE_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(memory_keep_resident_bytes)
        .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES)
        .max_unused_warm_slots(WARM_SLOTS)
        .pagemap_scan(Enabled::Auto);
    let mut config = code_shape();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// For the instances of sockets, in the process that runs calls: each is made when its socket opens, so that none takes a place of
/// the pool, and nothing is reserved for sockets that nobody opens.
pub(crate) fn for_sockets(stacks: std::sync::Arc<dyn wasmtime::StackCreator>) -> Config {
    let mut config = code_shape();
    config.with_host_stack(stacks);
    config
}

/// How many sockets fit beside `instances_max` calls into the mappings that the kernel allows a process; `None` when it does
/// not say.
///
/// Beyond that the kernel refuses memory to everything in the process, so nobody may come near.
pub(crate) fn sockets_that_fit(instances_max: u32) -> Option<u32> {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse::<u32>().ok()?;
    let calls = instances_max.saturating_mul(MAPPINGS_OF_A_MEMORY + 2 * (1 + u32::from(ALLOCATING_MAX)));
    Some(limit.saturating_sub(MAPPINGS_OF_THE_REST).saturating_sub(calls) / MAPPINGS_OF_A_MEMORY)
}

/// What decides the shape of compiled code; must be the same for compiling and running.
fn code_shape() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .generate_address_map(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(HOST_STACK_BYTES)
        // Not offered: our ABI is 32-bit, and each of these is surface that nobody asked for.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false);
    config
}

/// Does this machine let the engine reserve what `config` needs? The text says why not.
pub fn try_reserve(config: &Config) -> Result<(), String> {
    wasmtime::Engine::new(config).map(drop).map_err(|cause| format!("{cause:#}"))
}
