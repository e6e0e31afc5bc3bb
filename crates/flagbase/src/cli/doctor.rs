//! `flagbase doctor`: looks at everything a server needs, and says what to do about what is wrong.

mod checks;
mod firecracker;
mod functions;
mod storage;

use clap::Args;
use serde_json::{Value, json};

use super::settings::{self, Global, ServerArgs};
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output::{Printer, View};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Works, but somebody should look at it.
    Doubtful,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn good(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, detail: detail.into() }
    }

    fn doubtful(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Doubtful, detail: detail.into() }
    }

    fn bad(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Bad, detail: detail.into() }
    }

    fn json(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Doubtful => "warning",
            Verdict::Bad => "failed",
        };
        json!({"check": self.check, "result": verdict, "detail": self.detail})
    }
}

const VIEW: View = View(&[("check", "/check"), ("result", "/result"), ("detail", "/detail")]);

pub(crate) async fn run(args: DoctorArgs, global: &Global, environment: &Environment) -> Outcome {
    let loaded = settings::load(&args.server, global, environment)?;
    let config = &loaded.config;
    let mut findings = vec![Finding::good("configuration", "valid")];
    findings.push(checks::data_dir(config));
    findings.push(checks::free_disk(config));
    findings.push(checks::database(config).await);
    findings.push(checks::port(config).await);
    findings.push(checks::bus(config));
    findings.push(checks::secret(config));
    findings.push(checks::clock(config));
    findings.push(storage::check(config).await);
    findings.extend(functions::checks(config));
    findings.extend(firecracker::checks(config).await);
    let rows: Value = findings.iter().map(Finding::json).collect();
    Printer { format: global.client.output, quiet: false }.print(&rows, &VIEW)?;
    match findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count() {
        0 => Ok(()),
        1 => Err(Failure::plain("one check failed")),
        count => Err(Failure::plain(format!("{count} checks failed"))),
    }
}
