//! How soon Flagbase is ready, and how much memory it holds.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::report::{Bound, Report};
use super::site::{self, Site};
use super::{Options, server::Server};
use crate::workspace::Workspace;

const STARTS: usize = 10;
const FLAGS: u32 = 100_000;
const WRITERS: u32 = 64;
/// How long a server is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(3);

/// Start to ready, memory idle, memory with many flags, and again after a restart with them.
pub(crate) fn run(workspace: &Workspace, _: &Options) -> Result<Report> {
    let binary = site::build(workspace)?;
    let mut report = Report::default();
    empty(workspace, &binary, &mut report)?;
    full(workspace, &binary, &mut report)?;
    Ok(report)
}

fn empty(workspace: &Workspace, binary: &Path, report: &mut Report) -> Result<()> {
    let mut starts = Vec::new();
    let mut memory = Vec::new();
    for number in 0..STARTS {
        let home = site::fresh_home(workspace, &format!("footprint-{number}"))?;
        let (server, took) = site::start(binary, &home)?;
        starts.push(took);
        if number == 0 {
            memory.push(rested(&server)?);
        }
    }
    let start = report.row("start to ready, empty database", "ms", &starts);
    report.target("start to ready, empty database", start, Bound::AtMost(300.0));
    let idle = report.row("resident memory, idle", "MB", &memory);
    report.target("resident memory, idle", idle, Bound::AtMost(40.0));
    Ok(())
}

fn full(workspace: &Workspace, binary: &Path, report: &mut Report) -> Result<()> {
    let home = site::fresh_home(workspace, "footprint-full")?;
    let site = Site::open(binary, &home)?;
    let started = Instant::now();
    create_flags(&site)?;
    let took = started.elapsed().as_secs_f64();
    report.row("flags created, each on disk", "1/s", &[f64::from(FLAGS) / took]);
    let memory = report.row("resident memory, 100 000 flags", "MB", &[rested(&site.server)?]);
    report.target("resident memory, 100 000 flags", memory, Bound::AtMost(150.0));
    drop(site);

    let (server, took) = site::start(binary, &home)?;
    report.row("start to ready, 100 000 flags", "ms", &[took]);
    let memory = report.row("the same after a restart", "MB", &[rested(&server)?]);
    report.target("the same after a restart", memory, Bound::AtMost(150.0));
    Ok(())
}

fn rested(server: &Server) -> Result<f64> {
    thread::sleep(REST);
    server.memory()
}

/// Creates the flags over many connections at once, as many clients would.
fn create_flags(site: &Site) -> Result<()> {
    thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write_share(site, writer))).collect();
        for writer in writers {
            writer.join().map_err(|_| anyhow!("a writer panicked"))??;
        }
        Ok(())
    })
}

fn write_share(site: &Site, writer: u32) -> Result<()> {
    let mut client = site.client()?;
    for number in (0..FLAGS).filter(|number| number % WRITERS == writer) {
        let flag = site::flag(&format!("flag-{number:06}"));
        client.post("/api/v1/flags", &flag).with_context(|| format!("create flag {number}"))?;
    }
    Ok(())
}
