//! Objects, read beside files that nginx serves, written, listed and uploaded.

mod listing;
mod upload;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::client::Client;
use super::load::Load;
use super::peer;
use super::report::{Bound, Report};
use super::server::{Server, free_port};
use super::site::{self, Site};
use super::{Options, rounds};
use crate::workspace::Workspace;

/// The bucket everything is in.
const BUCKET: &str = "bench";
const SMALL: (&str, u32) = ("small", 4096);
const LARGE: (&str, u32) = ("large", 1_000_000);

const NGINX: &str = "nginx";
const REST: &str = "REST";
const S3: &str = "S3";
const PUT: &str = "REST, PUT of 1 MB";

/// At least this part of what nginx does for the same CPU time.
const OF_NGINX: [((&str, u32), f64); 2] = [(SMALL, 0.4), (LARGE, 0.8)];
/// Megabytes written by a CPU second.
const WRITTEN: f64 = 400.0;

/// A directory in memory, where waiting for a disk costs no time.
const MEMORY: &str = "/dev/shm";

/// Flagbase with a public bucket, and nginx with the same files.
struct Stage {
    site: Site,
    s3: u16,
    nginx: Server,
}

/// Reads and writes over 32 connections; then the listing of a million objects and one large upload.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Report> {
    let binary = site::build(workspace)?;
    let mut report = Report::default();
    read(&Stage::open(workspace, &binary)?, options, &mut report)?;
    write(&binary, options, &mut report)?;
    listing::run(&binary, &mut report)?;
    upload::run(workspace, &binary, &mut report)?;
    Ok(report)
}

/// GET beside nginx.
fn read(stage: &Stage, options: &Options, report: &mut Report) -> Result<()> {
    let subjects: Vec<(String, &str, &str)> = OF_NGINX
        .iter()
        .flat_map(|((object, _), _)| [NGINX, REST, S3].map(|who| (named(who, object), who, *object)))
        .collect();
    for (_, who, object) in &subjects {
        stage.check(who, object).with_context(|| format!("check {who}"))?;
    }
    let names: Vec<&str> = subjects.iter().map(|(name, ..)| name.as_str()).collect();
    let samples = rounds::interleaved(options.rounds, &names, |name| {
        let (_, who, object) =
            subjects.iter().find(|(known, ..)| known == name).context("find the subject")?;
        stage.measure(who, object, options.seconds)
    })?;
    let mut rows = std::collections::BTreeMap::new();
    for (name, samples) in &samples {
        rows.insert(name.clone(), report.row(name, "requests/CPU-s", samples));
    }
    let found = |who, object| rows.get(&named(who, object)).copied().unwrap_or(f64::NAN);
    for ((object, _), least) in OF_NGINX {
        for who in [REST, S3] {
            let ratio = found(who, object) / found(NGINX, object);
            report.target(format!("{}, of nginx", named(who, object)), ratio, Bound::AtLeast(least));
        }
    }
    Ok(())
}

fn named(who: &str, object: &str) -> String {
    format!("{who}, GET {object}")
}

/// PUT into memory, so that only the processor bounds it.
fn write(binary: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let home = InMemory::new("put")?;
    let site = open(binary, &home.0, &[])?;
    let script = home.0.join("put.lua");
    fs::write(&script, PUT_SCRIPT).context("write the script of the load")?;
    let path = object("");
    let load = Load { port: site.server.port, path: &path, token: Some(&site.token), script: Some(&script) };
    let samples = rounds::interleaved(options.rounds, &[PUT], |_| {
        let turn = load.measure(options.seconds, || site.server.cpu())?;
        Ok(turn.requests * f64::from(LARGE.1) / 1e6 / turn.seconds)
    })?;
    for (subject, samples) in &samples {
        let found = report.row(subject, "MB/CPU-s", samples);
        report.target(subject.as_str(), found, Bound::AtLeast(WRITTEN));
    }
    Ok(())
}

/// Writes a megabyte under one of 64 keys in turn.
const PUT_SCRIPT: &str = r#"
local body, turn = string.rep("0123456789abcdef", 62500), 0
function request()
  turn = turn + 1
  return wrk.format("PUT", wrk.path .. (turn % 64), nil, body)
end
"#;

impl Stage {
    fn open(workspace: &Workspace, binary: &Path) -> Result<Self> {
        let s3 = free_port()?;
        let listen = format!("127.0.0.1:{s3}");
        let home = site::fresh_home(workspace, "buckets")?;
        let site = open(binary, &home, &[("FLAGBASE_STORAGE__S3__LISTEN", listen.as_str())])?;
        let files = site::fresh_home(workspace, "buckets-nginx")?;
        let mut client = site.client()?;
        for (name, size) in [SMALL, LARGE] {
            let bytes = content(size);
            client.put(&object(name), &bytes)?;
            fs::write(files.join(name), bytes).context("write a file for nginx")?;
        }
        Ok(Self { site, s3, nginx: peer::files(&files)? })
    }

    /// Where a subject is asked, with which token, and whose CPU time it uses.
    fn subject(&self, who: &str, name: &str) -> (u16, String, Option<&str>, &Server) {
        let flagbase = &self.site.server;
        match who {
            NGINX => (self.nginx.port, format!("/{name}"), None, &self.nginx),
            S3 => (self.s3, format!("/{BUCKET}/{name}"), None, flagbase),
            _ => (flagbase.port, object(name), Some(&self.site.token), flagbase),
        }
    }

    /// What is measured must be the object, and not a quick refusal.
    fn check(&self, who: &str, name: &str) -> Result<()> {
        let (port, path, token, _) = self.subject(who, name);
        let mut client = Client::connect(port)?;
        if let Some(token) = token {
            client = client.with_token(token);
        }
        let answer = client.get(&path)?;
        let size = if name == SMALL.0 { SMALL.1 } else { LARGE.1 };
        ensure!(
            answer.status == 200 && answer.body == content(size),
            "expected 200 with {size} bytes as they were written, got {} with {}",
            answer.status,
            answer.body.len()
        );
        Ok(())
    }

    fn measure(&self, who: &str, name: &str, seconds: u64) -> Result<f64> {
        let (port, path, token, used) = self.subject(who, name);
        let turn = Load { port, path: &path, token, script: None }.measure(seconds, || used.cpu())?;
        Ok(turn.requests / turn.seconds)
    }
}

/// A server with a bucket that everybody may read.
fn open(binary: &Path, home: &Path, variables: &[(&str, &str)]) -> Result<Site> {
    let site = Site::open_with(binary, home, variables)?;
    let path = format!("/api/v1/buckets/{BUCKET}");
    site.client()?.put_json(&path, &json!({ "public": "read" })).context("create the bucket")?;
    Ok(site)
}

/// Bytes that are not all alike.
fn content(size: u32) -> Vec<u8> {
    (0..size).map(|at| at.wrapping_mul(31).to_le_bytes()[1]).collect()
}

/// The path of an object.
fn object(key: &str) -> String {
    format!("/api/v1/buckets/{BUCKET}/objects/{key}")
}

/// A directory in memory that goes with its owner.
struct InMemory(PathBuf);

impl InMemory {
    fn new(name: &str) -> Result<Self> {
        let path = Path::new(MEMORY).join(format!("flagbase-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("make `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove `{}`: {error}", self.0.display());
        }
    }
}
