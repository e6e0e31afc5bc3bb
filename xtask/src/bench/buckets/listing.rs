//! Pages of a bucket with few objects beside pages of one with a million.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::super::report::{Bound, Report};
use super::super::site::Site;
use super::{BUCKET, InMemory, object, open};

const FEW: u32 = 10_000;
const MANY: u32 = 1_000_000;
const WRITERS: u32 = 64;
/// Pages measured, each of 1000 objects, and how often.
const PAGES: u32 = 9;
const TIMES: u32 = 3;
/// How long a server is left alone after it was written to.
const REST: Duration = Duration::from_secs(5);
/// How much slower the slowest kind of page of many may be than one of few; the rest is noise.
const SLOWER: f64 = 1.25;

/// CPU time per page at the beginning, in the middle and at the end of the many, beside pages of the few.
pub(super) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let home = InMemory::new("list")?;
    let site = open(binary, &home.0, &[])?;
    write(&site, 0, FEW)?;
    let few = report.row("page of 10 000 objects", "CPU-ms", &pages(&site, FEW / 10)?);
    let started = Instant::now();
    write(&site, FEW, MANY)?;
    let rate = f64::from(MANY - FEW) / started.elapsed().as_secs_f64();
    report.row("empty objects written, in memory", "1/s", &[rate]);
    for (place, from) in [("begin", 0), ("middle", MANY / 2), ("end", MANY - 1500 * PAGES)] {
        let name = format!("page of 1 000 000 objects, {place}");
        let many = report.row(&name, "CPU-ms", &pages(&site, from)?);
        report.target(format!("{name}, to one of 10 000"), many / few, Bound::AtMost(SLOWER));
    }
    Ok(())
}

/// Writes the objects from number `from` up to before `to`.
fn write(site: &Site, from: u32, to: u32) -> Result<()> {
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let mut client = site.client()?;
                    for number in (from + writer..to).step_by(WRITERS as usize) {
                        client.put(&object(&key(number)), b"")?;
                        if writer == 0 && number % 50_000 < WRITERS {
                            println!("{number} of {to} objects");
                        }
                    }
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?)
    })
}

fn key(number: u32) -> String {
    format!("photos/{:02}/{number:07}.jpg", number % 100)
}

/// CPU milliseconds of each of some pages that follow on the object that is the `from`th in order, or nearly.
fn pages(site: &Site, from: u32) -> Result<Vec<f64>> {
    let mut client = site.client()?;
    let directory = u64::from(from) * 100 / u64::from(MANY);
    let first = if from < FEW { String::new() } else { format!("photos/{directory:02}/") };
    let (mut after, mut took) = (String::new(), Vec::new());
    thread::sleep(REST);
    for page in 0..PAGES * TIMES {
        if page % PAGES == 0 {
            after.clone_from(&first);
        }
        let before = site.server.cpu()?;
        let path = format!("/api/v1/buckets/{BUCKET}/objects?limit=1000&after={}", after.replace('/', "%2F"));
        let answer = client.get(&path)?;
        took.push((site.server.cpu()? - before) * 1e3);
        let page: Value = serde_json::from_slice(&answer.body).context("read a page")?;
        let objects = page.get("objects").and_then(Value::as_array).context("find the objects of a page")?;
        ensure!(objects.len() == 1000, "a page has {} objects", objects.len());
        let last = objects.last().and_then(|object| object.get("key")?.as_str());
        last.context("find the last key of a page")?.clone_into(&mut after);
    }
    Ok(took)
}
