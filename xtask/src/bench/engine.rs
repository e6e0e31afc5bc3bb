//! The engine beside Unleash's, in a workspace of its own.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Options;
use super::report::{Bound, Report};
use crate::process;
use crate::workspace::{Workspace, cargo};

const OURS: &str = "flagbase";
const PEER: &str = "yggdrasil";
/// Shapes with a figure of their own to reach, in nanoseconds.
const LIMITS: [(&str, f64); 2] = [("ten_rules", 100.0), ("rollout", 120.0)];

#[derive(Deserialize)]
struct Sample {
    shape: String,
    engine: String,
    ns: f64,
}

#[derive(Deserialize)]
struct Allocations {
    shape: String,
    engine: String,
    #[serde(rename = "allocations")]
    count: f64,
}

/// Nanoseconds and allocations per decision for each shape.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Report> {
    let mut report = Report::default();
    let rounds = options.rounds.to_string();
    time(&mut report, &lines(&program(workspace, "time", &[&rounds])?)?);
    for Allocations { shape, engine, count } in &lines(&program(workspace, "allocations", &[])?)? {
        let subject = format!("{shape}, {engine}");
        report.row(&subject, "allocations", &[*count]);
        if engine == OURS {
            report.target(format!("{shape}: allocations"), *count, Bound::AtMost(0.0));
        }
    }
    Ok(report)
}

fn time(report: &mut Report, samples: &[Sample]) {
    let mut shapes: BTreeMap<&str, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for Sample { shape, engine, ns } in samples {
        shapes.entry(shape).or_default().entry(engine).or_default().push(*ns);
    }
    for (shape, engines) in shapes {
        let mut median = |engine: &str| {
            let samples = engines.get(engine).map(Vec::as_slice).unwrap_or_default();
            report.row(&format!("{shape}, {engine}"), "ns", samples)
        };
        let (ours, peer) = (median(OURS), median(PEER));
        report.target(format!("{shape}: ratio to {PEER}"), ours / peer, Bound::AtMost(1.0));
        if let Some((_, limit)) = LIMITS.iter().find(|(name, _)| *name == shape) {
            report.target(format!("{shape}: ns"), ours, Bound::AtMost(*limit));
        }
    }
}

/// Builds and runs one program of `benches/engine`.
fn program(workspace: &Workspace, name: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(cargo());
    command
        .current_dir(workspace.root.join("benches").join("engine"))
        .env("CARGO_TARGET_DIR", workspace.target.join("bench").join("engine"))
        .args(["run", "--release", "--quiet", "--locked", "--bin", name, "--"])
        .args(arguments);
    println!("building and running benches/engine, program `{name}`");
    process::capture(&mut command)
}

fn lines<'o, T: Deserialize<'o>>(output: &'o str) -> Result<Vec<T>> {
    output.lines().map(|line| serde_json::from_str(line).with_context(|| format!("read `{line}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_is_compared_with_the_peer_and_with_its_own_limit() {
        let output = r#"{"round":0,"shape":"ten_rules","engine":"flagbase","ns":50.0}
{"round":0,"shape":"ten_rules","engine":"yggdrasil","ns":100.0}
{"round":0,"shape":"static","engine":"flagbase","ns":50.0}
{"round":0,"shape":"static","engine":"yggdrasil","ns":40.0}"#;
        let mut report = Report::default();
        time(&mut report, &lines(output).unwrap());
        let text = report.to_string();
        assert!(text.contains("ten_rules: ratio to yggdrasil"), "{text}");
        assert!(text.contains("ten_rules: ns"), "{text}");
        assert_eq!(report.missed(), 1, "{text}");
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        let error = lines::<Sample>("nonsense").err().unwrap();
        assert_eq!(error.to_string(), "read `nonsense`");
    }
}
