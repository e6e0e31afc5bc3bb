//! What the server is asked to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::wire::Wire;

const PAYLOAD: [u8; 128] = [b'x'; 128];
/// Messages per write.
const BATCH: usize = 256;
/// Messages that may be on their way to the slowest subscriber.
const WINDOW: u64 = 16 * 1024;
const MESSAGE: &[u8] = b"MSG bench.subject 1 128\r\n";
/// How long a subscriber may take to catch up.
const PATIENCE: Duration = Duration::from_secs(20);
const FRAME: usize = MESSAGE.len() + PAYLOAD.len() + 2;
const PING: &[u8] = b"PING\r\n";

fn batch() -> Vec<u8> {
    [b"PUB bench.subject 128\r\n".as_slice(), &PAYLOAD, b"\r\n"].concat().repeat(BATCH)
}

/// Publishes to `subscribers` until the time is up. Returns how many messages were published; all have arrived.
pub(crate) fn fan_out(port: u16, subscribers: usize, time: Duration) -> Result<f64> {
    let arrived: Vec<AtomicU64> = (0..subscribers).map(|_| AtomicU64::new(0)).collect();
    let total = AtomicU64::new(u64::MAX);
    thread::scope(|scope| {
        let mut readers = Vec::new();
        for arrived in &arrived {
            let mut wire = Wire::open(port)?;
            wire.send(b"SUB bench.subject 1\r\n")?;
            wire.settle()?;
            let total = &total;
            readers.push(scope.spawn(move || count(&mut wire, arrived, total)));
        }
        let slowest = || arrived.iter().map(|arrived| arrived.load(Ordering::Relaxed)).min().unwrap_or(0);
        let published = publish(port, time, slowest, &total)?;
        readers.into_iter().try_for_each(joined)?;
        for arrived in &arrived {
            let arrived = arrived.load(Ordering::Relaxed);
            ensure!(arrived == published, "{arrived} of {published} messages have arrived");
        }
        Ok(as_float(published))
    })
}

/// Publishes to nobody until the time is up. Returns how many messages.
pub(crate) fn into_the_void(port: u16, time: Duration) -> Result<f64> {
    publish(port, time, || u64::MAX, &AtomicU64::new(0)).map(as_float)
}

/// Publishes in batches, no more than a window ahead of `arrived`. Says how many they are before the last.
fn publish(port: u16, time: Duration, arrived: impl Fn() -> u64, total: &AtomicU64) -> Result<u64> {
    let mut wire = Wire::open(port)?;
    let batch = batch();
    let (started, mut published) = (Instant::now(), 0);
    loop {
        published += BATCH as u64;
        let last = started.elapsed() > time;
        if last {
            total.store(published, Ordering::SeqCst);
        }
        wire.send(&batch)?;
        if last {
            break;
        }
        while published.saturating_sub(arrived()) > WINDOW {
            ensure!(started.elapsed() < time + PATIENCE, "a subscriber gets nothing");
            thread::sleep(Duration::from_micros(50));
        }
    }
    wire.settle()?;
    Ok(published)
}

/// Reads until `total` messages have arrived. Pings may come in between.
fn count(wire: &mut Wire, arrived: &AtomicU64, total: &AtomicU64) -> Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let (mut messages, mut left) = (0, 0);
    while messages < total.load(Ordering::SeqCst) || left > 0 {
        let mut read = wire.read(&mut buffer)?;
        while let Some(first) = read.first() {
            if left == 0 {
                match first {
                    b'M' => (messages, left) = (messages + 1, FRAME),
                    b'P' => left = PING.len(),
                    _ => bail!("not a message: {}", String::from_utf8_lossy(read)),
                }
            }
            let taken = left.min(read.len());
            read = read.get(taken..).unwrap_or_default();
            left -= taken;
        }
        arrived.store(messages - u64::from(left > 0), Ordering::Relaxed);
    }
    arrived.store(messages, Ordering::Relaxed);
    Ok(())
}

/// Sends requests one after the other and returns the median of their latency in microseconds.
pub(crate) fn requests(port: u16, time: Duration) -> Result<f64> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut service = Wire::open(port)?;
        service.send(b"SUB bench.service 1\r\n")?;
        service.settle()?;
        let done_too = &done;
        let answering = scope.spawn(move || answer(&mut service, done_too));
        let latencies = ask(port, time);
        done.store(true, Ordering::Relaxed);
        // The service ends with the request after that.
        let mut last = Wire::open(port)?;
        last.send(&[b"PUB bench.service none 128\r\n".as_slice(), &PAYLOAD, b"\r\n"].concat())?;
        joined(answering)?;
        let mut latencies = latencies?;
        latencies.sort_by(f64::total_cmp);
        latencies.get(latencies.len() / 2).copied().context("no request was answered")
    })
}

fn ask(port: u16, time: Duration) -> Result<Vec<f64>> {
    let mut wire = Wire::open(port)?;
    wire.send(b"SUB inbox.* 1\r\n")?;
    wire.settle()?;
    let (mut latencies, mut buffer, started) = (Vec::new(), [0; 4096], Instant::now());
    while started.elapsed() < time {
        let reply = format!("inbox.{}", latencies.len());
        let request = [format!("PUB bench.service {reply} 128\r\n").as_bytes(), &PAYLOAD, b"\r\n"].concat();
        let whole = format!("MSG {reply} 1 128\r\n").len() + PAYLOAD.len() + 2;
        let asked = Instant::now();
        wire.send(&request)?;
        let mut seen = Vec::new();
        while seen.len() < whole {
            seen.extend_from_slice(wire.read(&mut buffer)?);
            without_pings(&mut seen);
        }
        latencies.push(asked.elapsed().as_secs_f64() * 1e6);
        ensure!(seen.len() == whole, "not one answer: {}", String::from_utf8_lossy(&seen));
    }
    Ok(latencies)
}

fn answer(wire: &mut Wire, done: &AtomicBool) -> Result<()> {
    let mut buffer = [0; 4096];
    let mut seen: Vec<u8> = Vec::new();
    while !done.load(Ordering::Relaxed) {
        seen.clear();
        while !seen.ends_with(&[&PAYLOAD[..], b"\r\n"].concat()) {
            seen.extend_from_slice(wire.read(&mut buffer)?);
            without_pings(&mut seen);
        }
        let line = String::from_utf8_lossy(&seen);
        let reply = line.split(' ').nth(3).context("a request without a reply")?;
        wire.send(&[format!("PUB {reply} 128\r\n").as_bytes(), &PAYLOAD, b"\r\n"].concat())?;
    }
    Ok(())
}

/// The server pings every client once, soon after it has come.
fn without_pings(seen: &mut Vec<u8>) {
    if seen.starts_with(PING) {
        seen.drain(..PING.len());
    }
    if seen.ends_with(PING) {
        seen.truncate(seen.len() - PING.len());
    }
}

fn joined(thread: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow!("a client panicked"))?
}

#[expect(clippy::cast_precision_loss, reason = "far fewer messages than that")]
fn as_float(count: u64) -> f64 {
    count as f64
}
