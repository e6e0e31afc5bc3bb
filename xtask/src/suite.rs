//! `cargo xtask test`: every check, in one order, on any machine.

mod book;
mod buses;
mod firecracker;
mod flags;
mod languages;
mod microvm;
mod nats;
mod s3;
mod typescript;
mod web;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::workspace::{Workspace, cargo};
use crate::{process, servers, tidy, tool};

/// Which steps to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only this step; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Leave this step out; may be given several times
    #[arg(long, value_name = "STEP")]
    skip: Vec<Step>,
    /// Print the steps and stop
    #[arg(long)]
    list: bool,
    /// Which server the step `nats` judges
    #[arg(long, value_name = "SERVER", value_enum, default_value_t)]
    server: nats::Judged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    Fmt,
    Clippy,
    Tidy,
    Deny,
    Doc,
    Test,
    Go,
    Flags,
    Nats,
    Buses,
    S3,
    Languages,
    Web,
    Microvm,
    Firecracker,
}

/// What default builds leave out.
const ALL: &str = "flagbase/cluster,flagbase/kafka-rdkafka";

/// Workspaces of their own.
const APART: [&str; 4] = [
    "benches/engine/Cargo.toml",
    "suites/guests/Cargo.toml",
    "suites/nats-server/Cargo.toml",
    "fuzz/Cargo.toml",
];

/// How a step ended that did not fail.
enum Verdict {
    Passed,
    /// What it is about was not there, and so it says nothing; why.
    Skipped(String),
}

struct Outcome {
    step: Step,
    took: Duration,
    verdict: Result<Verdict>,
}

/// Runs the chosen steps to the end, so that one failure does not hide the next.
pub(crate) fn run(options: &Options) -> Result<()> {
    let steps = chosen(options);
    if options.list {
        for step in steps {
            println!("{:<12}{}", step.name(), step.about());
        }
        return Ok(());
    }
    let workspace = Workspace::load()?;
    let outcomes: Vec<Outcome> =
        steps.into_iter().map(|step| perform(step, &workspace, options.server)).collect();
    conclude(&outcomes)
}

fn chosen(options: &Options) -> Vec<Step> {
    Step::value_variants()
        .iter()
        .copied()
        .filter(|step| options.only.is_empty() || options.only.contains(step))
        .filter(|step| !options.skip.contains(step))
        .collect()
}

fn perform(step: Step, workspace: &Workspace, judged: nats::Judged) -> Outcome {
    println!("\n==> {}: {}", step.name(), step.about());
    let started = Instant::now();
    let verdict = step.run(workspace, judged);
    let outcome = Outcome { step, took: started.elapsed(), verdict };
    if outcome.is_failed() {
        eprintln!("<== {}", outcome.line());
    } else {
        println!("<== {}", outcome.line());
    }
    outcome
}

fn conclude(outcomes: &[Outcome]) -> Result<()> {
    println!("\n==> summary");
    for outcome in outcomes {
        println!("{}", outcome.line());
    }
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.is_failed()).map(|outcome| outcome.step.name()).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

impl Outcome {
    fn is_failed(&self) -> bool {
        self.verdict.is_err()
    }

    /// What people read of it; only what ran to its end has passed.
    fn line(&self) -> String {
        let (name, seconds) = (self.step.name(), self.took.as_secs_f64());
        match &self.verdict {
            Ok(Verdict::Passed) => format!("{name:<12}passed {seconds:>8.1} s"),
            Ok(Verdict::Skipped(why)) => format!("{name:<12}skipped: {why}"),
            Err(error) => format!("{name:<12}FAILED {seconds:>8.1} s: {error:#}"),
        }
    }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Tidy => "tidy",
            Self::Deny => "deny",
            Self::Doc => "doc",
            Self::Test => "test",
            Self::Go => "go",
            Self::Flags => "flags",
            Self::Nats => "nats",
            Self::Buses => "buses",
            Self::S3 => "s3",
            Self::Microvm => "microvm",
            Self::Firecracker => "firecracker",
            Self::Languages => "languages",
            Self::Web => "web",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Fmt => "the code is formatted",
            Self::Clippy => "no lint complains",
            Self::Tidy => "sizes, crate edges, words and links keep the house rules",
            Self::Deny => "dependencies are licensed, known and used where they may be",
            Self::Doc => "the manual and the API documentation build without a warning",
            Self::Test => "all Rust tests pass",
            Self::Go => "the Go SDK works against the real binary",
            Self::Flags => "our engine decides the cases that Unleash publishes as they say",
            Self::Nats => "published NATS tests and clients accept our server",
            Self::Buses => "events reach nats-server, Tansu and Apache Kafka through every failure",
            Self::S3 => "published clients and suites of S3 get along with our buckets",
            Self::Microvm => "a function runs in a real guest, behind our agent",
            Self::Firecracker => "the driver of microVMs keeps its contract, also when it is killed",
            Self::Web => "functions have what the web offers, as published tests and Node have it",
            Self::Languages => "functions in every language are built by its own tools, deployed and called",
        }
    }

    fn run(self, workspace: &Workspace, judged: nats::Judged) -> Result<Verdict> {
        match self {
            Self::Microvm => return microvm::run(workspace),
            Self::Firecracker => return firecracker::run(workspace),
            other => other.check(workspace, judged)?,
        }
        Ok(Verdict::Passed)
    }

    /// Those that can always run.
    fn check(self, workspace: &Workspace, judged: nats::Judged) -> Result<()> {
        match self {
            Self::Fmt => fmt(workspace),
            Self::Clippy => {
                process::run(everything(workspace, "clippy").args(["--all-targets", "--", "-D", "warnings"]))
            }
            Self::Tidy => tidy::check(workspace),
            Self::Deny => deny(workspace),
            Self::Doc => doc(workspace),
            Self::Test => process::run(
                at(workspace)
                    .args(["test", "--workspace", "--no-fail-fast"])
                    .env("NATS_SERVER", servers::nats(workspace)?),
            ),
            Self::Go => go(workspace),
            Self::Flags => flags::run(workspace),
            Self::Nats => nats::run(workspace, judged),
            Self::Buses => buses::run(workspace),
            Self::S3 => s3::run(workspace),
            Self::Microvm | Self::Firecracker => Ok(()),
            Self::Languages => languages::run(workspace),
            Self::Web => web::run(workspace),
        }
    }
}

/// `cargo verb` with all features. Always of the whole workspace: the features of a few packages would have half the tree
/// compiled once more.
fn everything(workspace: &Workspace, verb: &str) -> Command {
    let mut command = at(workspace);
    command.args([verb, "--workspace", "--features", ALL]);
    command
}

fn at(workspace: &Workspace) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(&workspace.root);
    command
}

/// The workspace, and those that are one of their own.
fn fmt(workspace: &Workspace) -> Result<()> {
    process::run(at(workspace).args(["fmt", "--all", "--check"]))?;
    for apart in APART {
        process::run(at(workspace).args(["fmt", "--check", "--manifest-path", apart]))?;
    }
    Ok(())
}

/// The manual, and what the code says of itself.
fn doc(workspace: &Workspace) -> Result<()> {
    book::build(workspace)?;
    process::run(
        at(workspace).args(["doc", "--no-deps", "--workspace", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn deny(workspace: &Workspace) -> Result<()> {
    let program = tool::cargo_deny(workspace)?;
    let deny = |arguments: &[&str]| {
        process::run(Command::new(&program).current_dir(&workspace.root).args(arguments))
    };
    deny(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])?;
    if advisories().is_some_and(|database| database.is_dir()) {
        return deny(&["--offline", "check", "advisories"]);
    }
    println!("note: advisories were SKIPPED, there is no local copy of the RustSec database");
    println!("      fetch one with `{} fetch db`", program.display());
    Ok(())
}

/// Where `cargo-deny` keeps its copy of the `RustSec` database.
fn advisories() -> Option<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    Some(cargo_home.or_else(home)?.join("advisory-dbs"))
}

fn go(workspace: &Workspace) -> Result<()> {
    let go = tool::required("go", "get Go 1.22 or newer from https://go.dev/dl")?;
    let flagbase = binary(workspace)?;
    let sdk = workspace.root.join("sdks").join("go");
    let at_sdk = |arguments: &[&str]| {
        let mut command = Command::new(&go);
        command.current_dir(&sdk).args(arguments).env("FLAGBASE_BIN", &flagbase);
        command
    };
    let gofmt = go.with_file_name("gofmt");
    let unformatted = process::capture(Command::new(gofmt).current_dir(&sdk).args(["-l", "."]))?;
    if !unformatted.is_empty() {
        bail!("not formatted, run `gofmt -w`: {}", unformatted.trim().replace('\n', ", "));
    }
    process::run(&mut at_sdk(&["vet", "./..."]))?;
    process::run(&mut at_sdk(&["test", "-count=1", "-v", "./..."]))
}

/// The debug binary that belongs to the tests. Asking for exactly what the test step builds makes
/// this free after it; `cargo build` would choose other features and compile half the tree again.
fn binary(workspace: &Workspace) -> Result<PathBuf> {
    process::run(at(workspace).args(["test", "--workspace", "--no-run", "--quiet"]))?;
    let path = workspace.target.join("debug").join("flagbase");
    path.canonicalize().with_context(|| format!("find the binary at `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(only: &[Step], skip: &[Step]) -> Options {
        Options { only: only.to_vec(), skip: skip.to_vec(), list: false, server: nats::Judged::Ours }
    }

    fn outcome(step: Step, error: Option<&str>) -> Outcome {
        let verdict = error.map_or(Ok(Verdict::Passed), |text| Err(anyhow::anyhow!(text.to_owned())));
        Outcome { step, took: Duration::from_secs(1), verdict }
    }

    #[test]
    fn everything_runs_unless_told_otherwise() {
        assert_eq!(chosen(&options(&[], &[])), Step::value_variants());
    }

    #[test]
    fn only_and_skip_narrow_the_choice_and_keep_the_order() {
        assert_eq!(chosen(&options(&[Step::Go, Step::Fmt], &[])), [Step::Fmt, Step::Go]);
        assert_eq!(chosen(&options(&[Step::Go, Step::Fmt], &[Step::Go])), [Step::Fmt]);
    }

    #[test]
    fn one_failed_step_fails_the_whole_and_is_named() {
        assert!(conclude(&[outcome(Step::Fmt, None)]).is_ok());
        let outcomes = [outcome(Step::Fmt, None), outcome(Step::Go, Some("no"))];
        assert_eq!(conclude(&outcomes).unwrap_err().to_string(), "failed: go");
    }

    #[test]
    fn what_was_not_there_is_skipped_for_a_reason_and_has_not_passed() {
        let verdict = Ok(Verdict::Skipped("no registry has one".to_owned()));
        let skipped = Outcome { step: Step::Firecracker, took: Duration::ZERO, verdict };
        assert_eq!(skipped.line(), "firecracker skipped: no registry has one");
        assert!(conclude(&[skipped]).is_ok(), "what is missing is no failure");
        assert!(outcome(Step::Fmt, None).line().contains("passed"));
        assert!(outcome(Step::Fmt, Some("why")).line().ends_with("why"));
    }

    #[test]
    fn the_name_of_a_step_is_what_the_command_line_takes() {
        for step in Step::value_variants() {
            let shown = step.to_possible_value().unwrap();
            assert_eq!(shown.get_name(), step.name());
        }
    }
}
