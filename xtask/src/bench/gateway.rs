//! The gateway beside nginx and Envoy, in front of the same backend.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::client::Client;
use super::load::Load;
use super::peer::{Backend, Ports, envoy, nginx};
use super::report::{Bound, Report};
use super::server::{Server, free_port};
use super::site::{self, Site};
use super::{Options, rounds};
use crate::workspace::Workspace;

const FLAGBASE: &str = "flagbase, small";
const NGINX: &str = "nginx, small";
const NGINX_DECIDING: &str = "nginx with auth_request, small";
const ENVOY: &str = "envoy, small";
const ENVOY_DECIDING: &str = "envoy with ext_authz, small";
const FLAGBASE_LARGE: &str = "flagbase, 100 KB";
const NGINX_LARGE: &str = "nginx, 100 KB";
const ENVOY_LARGE: &str = "envoy, 100 KB";

/// Ours, theirs, and the largest allowed ratio of CPU per request.
const TARGETS: [(&str, &str, f64); 5] = [
    (FLAGBASE, NGINX, 1.4),
    (FLAGBASE, ENVOY, 0.35),
    (FLAGBASE, NGINX_DECIDING, 0.6),
    (FLAGBASE, ENVOY_DECIDING, 0.2),
    (FLAGBASE_LARGE, NGINX_LARGE, 1.2),
];

/// Where a subject is asked, what for, and whose CPU time it uses.
struct Subject<'a> {
    port: u16,
    path: String,
    body: usize,
    used: Vec<&'a Server>,
}

/// All servers, which run side by side and are asked in turn.
struct Stage {
    site: Site,
    nginx: Server,
    nginx_ports: Ports,
    envoy: Server,
    envoy_ports: Ports,
    _backend: Backend,
}

/// CPU seconds per 10 000 requests: Flagbase verifies a token, evaluates a flag and records; the plain peers
/// only pass on; the deciding peers ask Flagbase for the same decision, whose CPU time counts for them.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Report> {
    let stage = Stage::open(workspace)?;
    let subjects = stage.subjects();
    for (name, subject) in &subjects {
        subject.check(&stage.site.token).with_context(|| format!("check {name}"))?;
    }
    let names: Vec<&str> = subjects.keys().copied().collect();
    let samples = rounds::interleaved(options.rounds, &names, |name| {
        let subject = subjects.get(name).context("find the subject")?;
        subject.measure(options.seconds, &stage.site.token)
    })?;
    let mut report = Report::default();
    let medians: BTreeMap<&str, f64> = samples
        .iter()
        .map(|(name, samples)| (name.as_str(), report.row(name, "CPU-s/10k", samples)))
        .collect();
    for (ours, theirs, limit) in TARGETS {
        let median = |name| medians.get(name).copied().unwrap_or(f64::NAN);
        let ratio = median(ours) / median(theirs);
        report.target(format!("ratio to {theirs}"), ratio, Bound::AtMost(limit));
    }
    Ok(report)
}

impl Stage {
    fn open(workspace: &Workspace) -> Result<Self> {
        let binary = site::build(workspace)?;
        let backend = Backend::start(&site::fresh_home(workspace, "backend")?)?;
        let site = Site::open(&binary, &site::fresh_home(workspace, "gateway")?)?;
        site.route("/small", backend.server.port)?;
        site.route("/large", backend.server.port)?;
        let ports = || -> Result<Ports> {
            Ok(Ports {
                plain: free_port()?,
                deciding: free_port()?,
                backend: backend.server.port,
                flagbase: site.server.port,
            })
        };
        let (nginx_ports, envoy_ports) = (ports()?, ports()?);
        let nginx = nginx(&nginx_ports, &site::fresh_home(workspace, "nginx")?)?;
        let envoy = envoy(&envoy_ports, workspace, &site::fresh_home(workspace, "envoy")?)?;
        Ok(Self { site, nginx, nginx_ports, envoy, envoy_ports, _backend: backend })
    }

    fn subjects(&self) -> BTreeMap<&'static str, Subject<'_>> {
        let Self { site, nginx, nginx_ports, envoy, envoy_ports, .. } = self;
        let flagbase = &site.server;
        let decision = format!("/api/v1/flags/{}/evaluate", site::FLAG);
        let subject = Subject::new;
        let (small, large) = (Backend::SMALL, Backend::LARGE);
        BTreeMap::from([
            (FLAGBASE, subject(flagbase.port, "/gateway/small", small, &[flagbase])),
            (NGINX, subject(nginx_ports.plain, "/small", small, &[nginx])),
            (NGINX_DECIDING, subject(nginx_ports.deciding, "/small", small, &[nginx, flagbase])),
            (ENVOY, subject(envoy_ports.plain, "/small", small, &[envoy])),
            // Envoy asks for the decision at the path of the request; the backend answers any.
            (ENVOY_DECIDING, subject(envoy_ports.deciding, &decision, small, &[envoy, flagbase])),
            (FLAGBASE_LARGE, subject(flagbase.port, "/gateway/large", large, &[flagbase])),
            (NGINX_LARGE, subject(nginx_ports.plain, "/large", large, &[nginx])),
            (ENVOY_LARGE, subject(envoy_ports.plain, "/large", large, &[envoy])),
        ])
    }
}

impl<'a> Subject<'a> {
    fn new(port: u16, path: &str, body: usize, used: &[&'a Server]) -> Self {
        Self { port, path: path.to_owned(), body, used: used.to_vec() }
    }

    /// What is measured must be the backend's answer, and not a quick refusal.
    fn check(&self, token: &str) -> Result<()> {
        let answer = Client::connect(self.port)?.with_token(token).get(&self.path)?;
        let (status, length) = (answer.status, answer.body.len());
        ensure!(
            status == 200 && length == self.body,
            "expected 200 with {} bytes, got {status} with {length}: {}",
            self.body,
            String::from_utf8_lossy(answer.body.get(..200).unwrap_or(&answer.body))
        );
        Ok(())
    }

    fn measure(&self, seconds: u64, token: &str) -> Result<f64> {
        let load = Load { port: self.port, path: &self.path, token: Some(token), script: None };
        let used = || self.used.iter().map(|server| server.cpu()).sum();
        let turn = load.measure(seconds, used)?;
        Ok(turn.seconds / turn.requests * 10_000.0)
    }
}
