//! How often the engines ask for memory per decision, one JSON line per engine and shape.
#![forbid(unsafe_code)]

use std::alloc::System;

use bench_engine::{CALLERS, SHAPES, callers, engines};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let callers = callers();
    for (shape, definition) in SHAPES {
        for (engine, run) in engines(&definition, &callers) {
            run.run(CALLERS);
            let region = Region::new(COUNTING);
            run.run(CALLERS);
            let change = region.change();
            let count = (change.allocations + change.reallocations) as f64 / CALLERS as f64;
            let line = serde_json::json!({"shape": shape, "engine": engine, "allocations": count});
            println!("{line}");
        }
    }
}
