//! `cargo xtask bench`: Flagbase beside its peers, in CPU per operation.
//!
//! Wall-clock time on a shared machine says little. What is measured is the CPU time of the processes that do
//! the work, as the kernel accounts it, and what is reported are ratios between peers that took turns in
//! random order. Everything runs on the loopback interface.

mod buckets;
mod client;
mod cpu;
mod engine;
mod evaluate;
mod events;
mod footprint;
mod functions;
mod gateway;
mod load;
mod nats;
mod peer;
mod report;
mod rounds;
mod server;
mod site;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::Workspace;

/// Which bench to run, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// The bench to run
    name: Option<String>,
    /// How often each subject takes its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each turn lasts, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
}

/// One bench: a name, what it measures, and how.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &Options) -> Result<report::Report>,
}

const BENCHES: [Bench; 8] = [
    Bench {
        name: "engine",
        about: "CPU time and allocations per evaluation, beside Unleash's engine",
        run: engine::run,
    },
    Bench {
        name: "gateway",
        about: "CPU time per proxied request, beside nginx and Envoy",
        run: gateway::run,
    },
    Bench {
        name: "evaluate",
        about: "requests per CPU second of the evaluation endpoint",
        run: evaluate::run,
    },
    Bench {
        name: "footprint",
        about: "time from start to ready, memory idle and with 100 000 flags",
        run: footprint::run,
    },
    Bench {
        name: "nats",
        about: "CPU time per message, latency and memory of the NATS-protocol server, beside nats-server",
        run: nats::run,
    },
    Bench {
        name: "events",
        about: "milliseconds from a commit to a subscriber of an external NATS server",
        run: events::run,
    },
    Bench {
        name: "functions",
        about: "CPU time per call of a function, inside and over HTTP beside `wasmtime serve`",
        run: functions::run,
    },
    Bench {
        name: "buckets",
        about: "objects per CPU second beside nginx, listing a million of them, memory of a large upload",
        run: buckets::run,
    },
];

/// Runs the named bench, or lists them.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Some(name) = &options.name else {
        for bench in BENCHES {
            println!("{:<11}{}", bench.name, bench.about);
        }
        return Ok(());
    };
    let names = || BENCHES.map(|bench| bench.name).join(", ");
    let bench = BENCHES
        .into_iter()
        .find(|bench| bench.name == name)
        .with_context(|| format!("there is no bench `{name}`; there are {}", names()))?;
    let workspace = Workspace::load()?;
    let report = (bench.run)(&workspace, options)?;
    println!("\n{report}");
    let path = report.save(&workspace.target.join("bench"), bench.name)?;
    println!("saved as {}", workspace.relative(&path).display());
    match report.missed() {
        0 => Ok(()),
        missed if options.check => bail!("{missed} targets were missed"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_that_does_not_exist_is_answered_with_those_that_do() {
        let options = Options { name: Some("x".to_owned()), rounds: 1, seconds: 1, check: false };
        let text = run(&options).unwrap_err().to_string();
        assert_eq!(
            text,
            "there is no bench `x`; there are engine, gateway, evaluate, footprint, nats, events, functions, buckets"
        );
    }
}
