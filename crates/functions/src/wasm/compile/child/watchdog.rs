//! Ends what a source does while it is loaded, when that takes more of the processor than it may.

use std::{
    io,
    time::{Duration, Instant},
};

use wasmtime::Engine;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Starts the thread that looks. It raises the engine's epoch once, which ends what runs; compiling does not care.
pub(super) fn start(engine: &Engine, most: Duration) -> io::Result<()> {
    let engine = engine.clone();
    let watch = Watch::begin();
    let look = move || {
        while watch.spent() < most {
            std::thread::sleep(LOOK_EVERY);
        }
        engine.increment_epoch();
    };
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(look).map(drop)
}

/// Processor time of this process; time of the clock where the system does not tell.
struct Watch {
    begun: Instant,
    before: Option<Duration>,
}

impl Watch {
    fn begin() -> Self {
        Self { begun: Instant::now(), before: processor_time() }
    }

    fn spent(&self) -> Duration {
        match (self.before, processor_time()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => self.begun.elapsed(),
        }
    }
}

fn processor_time() -> Option<Duration> {
    of_stat(&std::fs::read_to_string("/proc/self/stat").ok()?, rustix::param::clock_ticks_per_second())
}

/// User and system time out of a line of `/proc/PID/stat`, in which the name of the program may have blanks.
fn of_stat(line: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = line.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let sum = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Duration::from_millis(sum.saturating_mul(1000) / ticks_per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_read_whatever_the_program_is_called() {
        let line = "17 (a) b (c) R 1 17 17 0 -1 4194304 90 0 0 0 150 50 7 8 20 0 1 0 100 200 300";
        assert_eq!(of_stat(line, 100), Some(Duration::from_secs(2)));
        assert_eq!(of_stat("", 100), None);
        assert_eq!(of_stat("17 (a) R 1", 100), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_takes_time_of_the_processor() {
        let watch = Watch::begin();
        assert!(watch.before.is_some());
        while watch.spent() == Duration::ZERO {
            std::hint::spin_loop();
        }
        assert!(watch.spent() <= processor_time().unwrap());
    }
}
