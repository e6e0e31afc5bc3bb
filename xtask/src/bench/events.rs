//! From a flag that is flipped to a subscriber of an external NATS server who hears of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::Options;
use super::client::Client;
use super::nats::wire::{Wire, greeted};
use super::report::{Bound, Report};
use super::server::{Server, free_port};
use super::site::{self, FLAG, Site};
use crate::workspace::{Workspace, cargo};
use crate::{process, servers};

/// Flips that warm everything up and do not count.
const WARM_UP: usize = 50;
/// Flips per round.
const FLIPS: usize = 400;
/// Between two flips, as flags are not flipped in loops.
const PAUSE: Duration = Duration::from_millis(5);

/// What the subscriber heard: the id of an event, when it came, and how long after the time in it.
struct Heard {
    revision: u64,
    at: Instant,
    after_decision_ms: f64,
}

/// Milliseconds to the subscriber, from the commit and from the request that led to it.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Report> {
    let binary = build(workspace)?;
    let nats = start_nats(workspace)?;
    let mut report = Report::default();
    for (bus, query) in [("core NATS", ""), ("JetStream", "?jetstream=FLAGBASE")] {
        let url = format!("nats://127.0.0.1:{}{query}", nats.port);
        measure(workspace, (&binary, &url), (bus, options.rounds), &mut report)?;
    }
    Ok(report)
}

fn measure(
    workspace: &Workspace,
    (binary, url): (&Path, &str),
    (bus, rounds): (&str, usize),
    report: &mut Report,
) -> Result<()> {
    let heard = subscribe(url)?;
    let home = site::fresh_home(workspace, "events")?;
    let site = Site::open_with(binary, &home, &[("FLAGBASE_EVENTS__URL", url)])?;
    let mut client = site.client()?;
    flip(&mut client, &heard, WARM_UP)?;
    let mut found = Vec::new();
    for _ in 0..rounds {
        found.extend(flip(&mut client, &heard, FLIPS)?);
    }
    let mut row = |what: &str, of: f64, pick: fn(&Waits) -> f64| {
        let mut samples: Vec<f64> = found.iter().map(pick).collect();
        let name = format!("{bus}, {what} to subscriber, p{:.0}", of * 100.0);
        report.row(&name, "ms", &[quantile(&mut samples, of)])
    };
    for of in [0.5, 0.99] {
        row("request", of, |waits| waits.request);
        row("decision", of, |waits| waits.decision);
    }
    row("commit", 0.5, |waits| waits.commit);
    let p99 = row("commit", 0.99, |waits| waits.commit);
    report.target(format!("{bus}, commit to subscriber, p99"), p99, Bound::AtMost(5.0));
    Ok(())
}

/// Milliseconds until the subscriber heard of one flip.
struct Waits {
    /// Since the request was sent.
    request: f64,
    /// Since the time in the event, from before it was written to disk.
    decision: f64,
    /// Since the answer, which comes once it is on disk; negative when the subscriber was faster.
    commit: f64,
}

/// Flips the flag so many times.
fn flip(client: &mut Client, heard: &Receiver<Heard>, times: usize) -> Result<Vec<Waits>> {
    let mut found = Vec::with_capacity(times);
    for number in 0..times {
        let verb = if number % 2 == 0 { "disable" } else { "enable" };
        let sent = Instant::now();
        let flag = client.post(&format!("/api/v1/flags/{FLAG}/{verb}"), &json!({}))?;
        let answered = sent.elapsed();
        let revision = flag.get("revision").and_then(Value::as_u64).context("find the flag's revision")?;
        let event = loop {
            let event = heard.recv_timeout(Duration::from_secs(10)).context("wait for the event")?;
            if event.revision == revision {
                break event;
            }
        };
        let request = event.at.duration_since(sent).as_secs_f64() * 1e3;
        let commit = request - answered.as_secs_f64() * 1e3;
        found.push(Waits { request, decision: event.after_decision_ms, commit });
        thread::sleep(PAUSE);
    }
    Ok(found)
}

/// Listens on a thread of its own to what is said once per event.
fn subscribe(url: &str) -> Result<Receiver<Heard>> {
    let port = url.trim_start_matches("nats://127.0.0.1:");
    let port = port.split('?').next().and_then(|port| port.parse().ok()).context("find the port")?;
    let mut wire = Wire::open(port)?;
    wire.send(b"SUB flagbase.flag.* 1\r\n")?;
    wire.settle()?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("subscriber".to_owned())
        .spawn(move || {
            let (mut pending, mut buffer) = (Vec::new(), vec![0; 65_536]);
            while let Ok(bytes) = wire.read(&mut buffer) {
                let (at, now) = (Instant::now(), wall_clock());
                pending.extend_from_slice(bytes);
                while let Some(event) = next(&mut pending, &mut wire) {
                    if event
                        .and_then(|event| read(&event, at, now))
                        .is_ok_and(|heard| sender.send(heard).is_err())
                    {
                        return;
                    }
                }
            }
        })
        .context("start the subscriber")?;
    Ok(receiver)
}

/// The event of the next message that is there whole; answers pings.
fn next(pending: &mut Vec<u8>, wire: &mut Wire) -> Option<Result<Value>> {
    loop {
        let end = pending.windows(2).position(|bytes| bytes == b"\r\n")?;
        let line = String::from_utf8_lossy(pending.get(..end)?).into_owned();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("HMSG" | "MSG") => {
                let sizes: Vec<usize> = words.rev().map_while(|word| word.parse().ok()).take(2).collect();
                let total = *sizes.first()?;
                let start = end + 2;
                let message = pending.get(start..start + total + 2)?.to_vec();
                pending.drain(..start + total + 2);
                let body = message.iter().position(|byte| *byte == b'{').and_then(|at| message.get(at..));
                let body = body.unwrap_or_default().trim_ascii_end().to_vec();
                return Some(serde_json::from_slice(&body).context("read an event"));
            }
            Some("PING") => {
                if let Err(error) = wire.send(b"PONG\r\n") {
                    return Some(Err(error));
                }
            }
            _ => {}
        }
        pending.drain(..end + 2);
    }
}

fn read(event: &Value, at: Instant, now: SystemTime) -> Result<Heard> {
    let revision = event.get("flagbaseseq").and_then(Value::as_u64).context("find the place in the log")?;
    let time = event.get("time").and_then(Value::as_str).context("find the time")?;
    let since_epoch = now.duration_since(UNIX_EPOCH).context("tell the time")?.as_secs_f64();
    Ok(Heard {
        revision,
        at,
        after_decision_ms: (since_epoch % 60.0 - seconds(time)?).rem_euclid(60.0) * 1e3,
    })
}

/// Seconds within the minute of an RFC 3339 time in UTC: all that is needed for what takes milliseconds.
fn seconds(time: &str) -> Result<f64> {
    let text = time.rsplit(':').next().and_then(|text| text.strip_suffix('Z'));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| anyhow!("`{time}` is no time in UTC"))
}

#[expect(clippy::disallowed_methods, reason = "it is compared with what Flagbase's own clock said")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The value that the share `of` is not above.
fn quantile(samples: &mut [f64], of: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand samples"
    )]
    let place = (samples.len() as f64 * of) as usize;
    samples.get(place.min(samples.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn start_nats(workspace: &Workspace) -> Result<Server> {
    let (home, port) = (site::fresh_home(workspace, "events-nats")?, free_port()?);
    let mut command = Command::new(servers::nats(workspace)?);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(home.join("js"));
    let mut server = Server::start(command, &home, port)?;
    let greets =
        |port| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok_and(|socket| greeted(&socket));
    server.await_answer(greets).context("wait for nats-server")?;
    Ok(server)
}

/// The binary that is shipped, with the adapter for external NATS servers.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let arguments = ["build", "--profile", "dist", "--package", "flagbase", "--features", "nats"];
    process::run(Command::new(cargo()).current_dir(&workspace.root).args(arguments))?;
    let binary = workspace.target.join("dist").join("flagbase");
    if !binary.is_file() {
        bail!("`{}` was not built", binary.display());
    }
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_samples() {
        let mut samples: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert!((quantile(&mut samples, 0.5) - 50.0).abs() < 1e-9);
        assert!((quantile(&mut samples, 0.99) - 99.0).abs() < 1e-9);
        assert!(quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn the_time_after_a_commit_is_told_over_the_minute() {
        assert!((seconds("2026-01-01T00:00:59.9995Z").unwrap() - 59.9995).abs() < 1e-9);
        assert!(seconds("2026-01-01").is_err());
        let event = json!({"flagbaseseq": 7, "time": "2026-01-01T00:00:59.999Z"});
        let now = UNIX_EPOCH + Duration::from_millis(60_001);
        let heard = read(&event, Instant::now(), now).unwrap();
        assert!(
            heard.revision == 7 && (heard.after_decision_ms - 2.0).abs() < 1e-3,
            "{}",
            heard.after_decision_ms
        );
    }
}
