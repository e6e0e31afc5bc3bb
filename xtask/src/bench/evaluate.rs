//! How much an evaluation over HTTP costs.

use anyhow::Result;

use super::load::Load;
use super::report::{Bound, Report};
use super::{Options, rounds, site};
use crate::workspace::Workspace;

const SUBJECT: &str = "GET /api/v1/flags/{key}/evaluate";

/// Requests per CPU second, with token verification and one rule.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Report> {
    let binary = site::build(workspace)?;
    let site = site::Site::open(&binary, &site::fresh_home(workspace, "evaluate")?)?;
    let path = format!("/api/v1/flags/{}/evaluate", site::FLAG);
    let load = Load { port: site.server.port, path: &path, token: Some(&site.token), script: None };
    let samples = rounds::interleaved(options.rounds, &[SUBJECT], |_| {
        let turn = load.measure(options.seconds, || site.server.cpu())?;
        Ok(turn.requests / turn.seconds)
    })?;
    let mut report = Report::default();
    for (subject, samples) in &samples {
        let found = report.row(subject, "requests/CPU-s", samples);
        report.target(subject.as_str(), found, Bound::AtLeast(25_000.0));
    }
    Ok(report)
}
