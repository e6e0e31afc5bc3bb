//! CPU time per decision: engines and shapes in random order in every round, one JSON line per sample.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use bench_engine::{CALLERS, Run, SHAPES, callers, engines};
use rustix::time::{ClockId, clock_gettime};

/// How long one sample should take.
const SAMPLE: Duration = Duration::from_millis(40);

struct Subject {
    shape: &'static str,
    engine: &'static str,
    run: Box<dyn Run>,
    times: usize,
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(9, |text| text.parse().expect("rounds: a number"));
    let mut subjects = subjects();
    for round in 0..rounds {
        subjects.sort_by_cached_key(|_| RandomState::new().build_hasher().finish());
        for subject in &subjects {
            let nanoseconds = sample(&*subject.run, subject.times);
            let sample = serde_json::json!({
                "round": round, "shape": subject.shape, "engine": subject.engine, "ns": nanoseconds,
            });
            println!("{sample}");
        }
    }
}

/// Every engine with every shape, checked to answer right, with the number of decisions that fill a sample.
fn subjects() -> Vec<Subject> {
    let callers = callers();
    let mut subjects = Vec::new();
    for (name, shape) in SHAPES {
        for (engine, run) in engines(&shape, &callers) {
            let yes = run.run(CALLERS);
            assert!(shape.is_right(yes, CALLERS), "{engine} says {yes} times yes to {name}");
            let warm = sample(&*run, 20_000);
            let times = (SAMPLE.as_nanos() as f64 / warm.max(1.0)) as usize;
            subjects.push(Subject { shape: name, engine, run, times: times.max(1) });
        }
    }
    subjects
}

/// Nanoseconds of this thread's CPU time per decision.
fn sample(run: &dyn Run, times: usize) -> f64 {
    let started = cpu();
    std::hint::black_box(run.run(times));
    (cpu() - started).as_nanos() as f64 / times as f64
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
