//! Functions: what a call costs inside, by an example of their crate, and over HTTP beside `wasmtime serve`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::client::Client;
use super::load::Load;
use super::report::{Bound, Report};
use super::server::{Server, free_port};
use super::site::{self, Site};
use super::{Options, rounds};
use crate::workspace::{Workspace, cargo};
use crate::{process, servers};

const NATIVE: &str = "native component";
const PROXY: &str = "wasi:http component";
const JAVASCRIPT: &str = "JavaScript";
const SERVE: &str = "wasmtime serve, the same wasi:http component";

/// Requests per CPU second that are promised.
const PER_SECOND: [(&str, f64); 2] = [(NATIVE, 25_000.0), (PROXY, 15_000.0)];

/// How many times as many as the peer.
const AS_MANY: f64 = 1.2;

/// Administrators deploy.
const ADMIN: &str = "admin@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// One line of the example: what was measured, and the limit it is held to, when there is one.
#[derive(Deserialize)]
struct Sample {
    subject: String,
    unit: String,
    value: f64,
    limit: Option<f64>,
}

/// The example first, because nothing else should run beside it; then the servers, in turn.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Report> {
    let mut report = Report::default();
    inside(workspace, options, &mut report)?;
    over_http(workspace, options, &mut report)?;
    Ok(report)
}

/// CPU time of instances, calls, evaluations and starts, without HTTP.
fn inside(workspace: &Workspace, options: &Options, report: &mut Report) -> Result<()> {
    let mut command = Command::new(cargo());
    command.current_dir(&workspace.root);
    command.args([
        "run",
        "--profile",
        "dist",
        "--quiet",
        "--package",
        "flagbase-functions",
        "--features",
        "wasm",
    ]);
    command.args(["--example", "bench_functions", "--", &options.rounds.to_string()]);
    println!("building and running the example `bench_functions`");
    let output = process::capture(&mut command)?;
    let samples = output
        .lines()
        .map(|line| serde_json::from_str::<Sample>(line).with_context(|| format!("read `{line}`")))
        .collect::<Result<Vec<_>>>()?;
    tell(report, &samples);
    Ok(())
}

fn tell(report: &mut Report, samples: &[Sample]) {
    let mut subjects: BTreeMap<(&str, &str), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        subjects.entry((&sample.subject, &sample.unit)).or_default().push(sample);
    }
    for ((subject, unit), samples) in subjects {
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let median = report.row(subject, known_unit(unit), &values);
        if let Some(limit) = samples.iter().find_map(|sample| sample.limit) {
            report.target(subject, median, Bound::AtMost(limit));
        }
    }
}

/// Rows have units that are part of the program.
fn known_unit(unit: &str) -> &'static str {
    match unit {
        "us" => "us CPU",
        "ms" => "ms",
        "MB" => "MB",
        "KB" => "KB",
        _ => "",
    }
}

/// Requests per CPU second of fresh instances through the whole server, as somebody who has no token.
fn over_http(workspace: &Workspace, options: &Options, report: &mut Report) -> Result<()> {
    let binary = site::build(workspace)?;
    let guests = workspace.root.join("crates/functions/guests/built");
    let site = stage(&binary, &site::fresh_home(workspace, "functions")?, &guests)?;
    let serve = serve(workspace, &guests.join("proxy.wasm"))?;
    let subjects: BTreeMap<&str, (&Server, &str)> = BTreeMap::from([
        (NATIVE, (&site.server, "/functions/native/")),
        (PROXY, (&site.server, "/functions/proxy/")),
        (JAVASCRIPT, (&site.server, "/functions/script/")),
        (SERVE, (&serve, "/")),
    ]);
    for (name, (server, path)) in &subjects {
        let answer = Client::connect(server.port)?.get(path)?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "{name} answered with {}: {text}", answer.status);
    }
    let names: Vec<&str> = subjects.keys().copied().collect();
    let samples = rounds::interleaved(options.rounds, &names, |name| {
        let (server, path) = subjects.get(name).context("find the subject")?;
        let load = Load { port: server.port, path, token: None, script: None };
        let turn = load.measure(options.seconds, || server.cpu())?;
        Ok(turn.requests / turn.seconds)
    })?;
    let medians: BTreeMap<&str, f64> = samples
        .iter()
        .map(|(name, samples)| (name.as_str(), report.row(name, "requests/CPU-s", samples)))
        .collect();
    let median = |name| medians.get(name).copied().unwrap_or(f64::NAN);
    for (name, least) in PER_SECOND {
        report.target(format!("{name}: requests per CPU second"), median(name), Bound::AtLeast(least));
    }
    let ratio = median(PROXY) / median(SERVE);
    report.target("wasi:http: times as many as `wasmtime serve`", ratio, Bound::AtLeast(AS_MANY));
    Ok(())
}

/// A server with the three functions.
fn stage(binary: &Path, home: &Path, guests: &Path) -> Result<Site> {
    let variables = [("FLAGBASE_ADMIN_EMAIL", ADMIN), ("FLAGBASE_ADMIN_PASSWORD", PASSWORD)];
    let site = Site::open_with(binary, home, &variables)?;
    let credentials = serde_json::json!({"email": ADMIN, "password": PASSWORD});
    let login = Client::connect(site.server.port)?.post("/auth/login", &credentials)?;
    let token = login.get("token").and_then(|token| token.as_str()).context("find the token")?;
    let script = "export default { fetch() { return new Response('hello\\n'); } };";
    let code = |name: &str| {
        let path: PathBuf = guests.join(name);
        fs::read(&path).with_context(|| format!("read `{}`", path.display()))
    };
    for (name, file, bytes) in [
        ("native", "native.wasm", code("native.wasm")?),
        ("proxy", "proxy.wasm", code("proxy.wasm")?),
        ("script", "script.js", script.as_bytes().to_vec()),
    ] {
        let path = format!("/api/v1/functions/{name}/versions?file={file}");
        Client::connect(site.server.port)?.with_token(token).upload(&path, &bytes)?;
    }
    Ok(site)
}

/// The peer, with one instance for each request, as ours.
fn serve(workspace: &Workspace, component: &Path) -> Result<Server> {
    let program = servers::wasmtime(workspace)?;
    let port = free_port()?;
    let mut command = Command::new(program);
    command.arg("serve").args(["--addr", &format!("127.0.0.1:{port}")]);
    command.args(["-O", "pooling-allocator=y"]).arg(component);
    let mut server = Server::start(command, &site::fresh_home(workspace, "wasmtime")?, port)?;
    server.await_ready("/").context("wait for `wasmtime serve`")?;
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_subject_are_one_row_and_held_to_their_limit() {
        let lines = r#"{"subject":"fresh","unit":"us","value":10.0,"limit":20.0}
{"subject":"fresh","unit":"us","value":12.0,"limit":20.0}
{"subject":"slow","unit":"ms","value":3.0,"limit":2.0}
{"subject":"size","unit":"MB","value":3.0,"limit":null}"#;
        let samples: Vec<Sample> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut report = Report::default();
        tell(&mut report, &samples);
        assert_eq!(report.missed(), 1);
        assert!(report.to_string().contains("2 samples"), "{report}");
    }
}
