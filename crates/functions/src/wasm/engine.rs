//! The engine: how code is compiled, and where instances live.

use std::{num::NonZeroUsize, sync::Arc};

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, RegallocAlgorithm,
    WasmBacktraceDetails, WasmFeatures,
};

use super::epochs::Epochs;

/// What wasm may use of the stack.
const WASM_STACK: usize = 1 << 20;
/// The stack of one instance; the rest is for host functions that it calls.
const STACK: usize = 2 << 20;
/// What a slot of the pool keeps after its instance is gone, to be overwritten instead of being returned to the system
/// and asked for again. Measured: most guests dirty less than this.
const KEPT_MEMORY: usize = 256 << 10;
const KEPT_TABLE: usize = 16 << 10;
const KEPT_STACK: usize = 16 << 10;
/// Core instances, memories and tables that one component may have.
const PARTS: u32 = 8;
const TABLES_OF_MODULE: u32 = 4;
const MEMORIES_OF_MODULE: u32 = 1;
/// As `limits::TABLE_ELEMENTS`.
const TABLE_ELEMENTS: usize = 100_000;
const GIB: u64 = 1 << 30;

/// How much address space instances get. Code is compiled for one of these, so it is part of what identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Room {
    /// 4 GiB for each memory: no access needs a check.
    Wide,
    /// 256 MiB for each memory, where the address space is limited.
    Narrow,
    /// No pool: memory is asked for with each instance.
    Lazy,
}

impl Room {
    /// A word, for the command line of the child that compiles.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
            Self::Lazy => "lazy",
        }
    }

    /// What [`Room::as_str`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Wide, Self::Narrow, Self::Lazy].into_iter().find(|room| room.as_str() == text)
    }

    fn reservation(self) -> u64 {
        match self {
            Self::Wide => 4 * GIB,
            Self::Narrow | Self::Lazy => GIB / 4,
        }
    }
}

/// How everything here is compiled, without where instances live.
pub(crate) fn config(room: Room, quick: bool) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(STACK)
        .memory_reservation(room.reservation())
        .memory_guard_size(32 << 20)
        .memory_may_move(room == Room::Lazy)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32))
        .native_unwind_info(false)
        .wasm_features(WasmFeatures::MEMORY64, false)
        .wasm_features(WasmFeatures::MULTI_MEMORY, false)
        .shared_memory(false);
    if quick {
        config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
    config
}

fn pool(room: Room, instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    let largest = usize::try_from(room.reservation()).unwrap_or(usize::MAX);
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(3))
        .total_stacks(instances)
        .max_core_instances_per_component(PARTS * 4)
        .max_memories_per_component(PARTS)
        .max_tables_per_component(PARTS * 2)
        .max_memories_per_module(MEMORIES_OF_MODULE)
        .max_tables_per_module(TABLES_OF_MODULE)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(largest)
        .max_unused_warm_slots(instances / 4)
        .linear_memory_keep_resident(KEPT_MEMORY)
        .table_keep_resident(KEPT_TABLE)
        .async_stack_keep_resident(KEPT_STACK)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// The engine with what drives it.
pub(crate) struct Machine {
    /// Compiles nothing here: see `compile`.
    pub(crate) engine: Engine,
    /// Where its instances live.
    pub(crate) room: Room,
    /// Its clock.
    pub(crate) epochs: Arc<Epochs>,
}

impl Machine {
    /// With a pool for so many instances, as wide as the system lets it be.
    pub(crate) fn new(instances: u32) -> wasmtime::Result<Self> {
        let (engine, room) = reserve(instances)?;
        let epochs = Epochs::start(engine.weak())?;
        Ok(Self { engine, room, epochs })
    }
}

fn reserve(instances: u32) -> wasmtime::Result<(Engine, Room)> {
    for room in [Room::Wide, Room::Narrow] {
        let mut config = config(room, false);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(room, instances)));
        match Engine::new(&config) {
            Ok(engine) => return Ok((engine, room)),
            Err(error) => {
                tracing::warn!(instances, room = room.as_str(), %error, "the pool of instances cannot be reserved");
            }
        }
    }
    tracing::warn!(
        "instances are made without a pool: each call takes longer; raise the limit of address space"
    );
    Ok((Engine::new(&config(Room::Lazy, false))?, Room::Lazy))
}

/// Processors there are.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
