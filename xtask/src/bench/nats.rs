//! `flagbase-nats` beside nats-server, over raw sockets.

mod load;
pub(super) mod wire;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::wire::Wire;
use super::report::{Bound, Report};
use super::rounds::Samples;
use super::server::{Server, free_port};
use super::{Options, rounds, site};
use crate::workspace::{Workspace, cargo};
use crate::{process, servers};

const OURS: &str = "flagbase-nats";
const THEIRS: &str = "nats-server";

const STARTS: usize = 10;
const CONNECTIONS: usize = 10_000;
/// How long a server is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(3);

/// What is measured, in which unit, and the largest allowed ratio.
const MEASURES: [(&str, &str, f64); 4] = [
    ("1 to 1", "µs CPU/message", 0.6),
    ("1 to 10", "µs CPU/message", 0.4),
    ("no subscriber", "µs CPU/message", 0.8),
    ("request p50", "µs", 0.8),
];

struct Programs {
    ours: PathBuf,
    theirs: PathBuf,
}

/// CPU time per message and latency of both, in turns; then start-up time and memory.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Report> {
    let programs = Programs { ours: build(workspace)?, theirs: servers::nats(workspace)? };
    let mut report = Report::default();
    let samples = measure(workspace, &programs, options)?;
    for (measure, unit, most) in MEASURES {
        let mut median = |who: &str| {
            let name = format!("{who}, {measure}");
            report.row(&name, unit, samples.get(&name).map_or(&[], Vec::as_slice))
        };
        let ratio = median(OURS) / median(THEIRS);
        report.target(format!("{measure}, × {THEIRS}"), ratio, Bound::AtMost(most));
    }
    starts(workspace, &programs, &mut report)?;
    idle(workspace, &programs, &mut report)?;
    Ok(report)
}

fn measure(workspace: &Workspace, programs: &Programs, options: &Options) -> Result<Samples> {
    let (ours, _) = start(workspace, &programs.ours, OURS)?;
    let (theirs, _) = start(workspace, &programs.theirs, THEIRS)?;
    let names: Vec<_> = [OURS, THEIRS]
        .iter()
        .flat_map(|who| MEASURES.map(|(measure, ..)| format!("{who}, {measure}")))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let time = Duration::from_secs(options.seconds);
    rounds::interleaved(options.rounds, &names, |name| {
        let (who, measure) = name.split_once(", ").context("name a measure")?;
        let server = if who == OURS { &ours } else { &theirs };
        sample(server, measure, time)
    })
}

fn sample(server: &Server, measure: &str, time: Duration) -> Result<f64> {
    let before = server.cpu()?;
    let messages = match measure {
        "1 to 1" => load::fan_out(server.port, 1, time)?,
        "1 to 10" => load::fan_out(server.port, 10, time)?,
        "no subscriber" => load::into_the_void(server.port, time)?,
        "request p50" => return load::requests(server.port, time),
        other => bail!("there is no measure `{other}`"),
    };
    Ok((server.cpu()? - before) * 1e6 / messages)
}

fn starts(workspace: &Workspace, programs: &Programs, report: &mut Report) -> Result<()> {
    for (name, program) in [(OURS, &programs.ours), (THEIRS, &programs.theirs)] {
        let mut samples = Vec::new();
        for _ in 0..STARTS {
            samples.push(start(workspace, program, name)?.1.as_secs_f64() * 1e3);
        }
        let took = report.row(&format!("{name}, start to INFO"), "ms", &samples);
        if name == OURS {
            report.target("start to INFO", took, Bound::AtMost(5.0));
        }
    }
    Ok(())
}

fn idle(workspace: &Workspace, programs: &Programs, report: &mut Report) -> Result<()> {
    for (name, program) in [(OURS, &programs.ours), (THEIRS, &programs.theirs)] {
        let (server, _) = start(workspace, program, name)?;
        // What the first connections bring in is there for all.
        let _first: Vec<Wire> = (0..100).map(|_| Wire::open(server.port)).collect::<Result<_>>()?;
        let before = server.memory()?;
        let connections: Vec<Wire> =
            (0..CONNECTIONS).map(|_| Wire::open(server.port)).collect::<Result<_>>()?;
        thread::sleep(REST);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand connections")]
        let each = (server.memory()? - before) * 1e3 / connections.len() as f64;
        let each = report.row(&format!("{name}, memory per idle connection"), "KB", &[each]);
        if name == OURS {
            report.target("memory per idle connection", each, Bound::AtMost(12.0));
        }
    }
    Ok(())
}

fn start(workspace: &Workspace, program: &Path, name: &str) -> Result<(Server, Duration)> {
    let home = site::fresh_home(workspace, name)?;
    let port = free_port()?;
    let mut command = Command::new(program);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
    let mut server = Server::start(command, &home, port)?;
    let greets = |port| TcpStream::connect(("127.0.0.1", port)).is_ok_and(|socket| wire::greeted(&socket));
    let took = server.await_answer(greets).with_context(|| format!("wait for {name}"))?;
    Ok((server, took))
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    process::run(Command::new(cargo()).current_dir(&workspace.root).args([
        "build",
        "--profile",
        "dist",
        "--package",
        "flagbase-nats",
        "--features",
        "standalone",
    ]))?;
    Ok(workspace.target.join("dist").join("flagbase-nats"))
}
