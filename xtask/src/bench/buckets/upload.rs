//! One upload that is larger than any memory should be.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::super::report::{Bound, Report};
use super::super::site;
use super::{object, open};
use crate::workspace::Workspace;

const SIZE: u64 = 10_000_000_000;
const STEP: usize = 1 << 20;
/// Megabytes the server may have had resident.
const MOST: f64 = 60.0;

/// The most memory that the server had while it took ten gigabytes.
pub(super) fn run(workspace: &Workspace, binary: &Path, report: &mut Report) -> Result<()> {
    let home = site::fresh_home(workspace, "buckets-upload")?;
    let site = open(binary, &home, &[])?;
    // Logging in takes memory of its own, for a moment.
    site.server.forget_peak()?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, site.server.port)).context("connect")?;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: {SIZE}\r\n\
         connection: close\r\n\r\n",
        object("large"),
        site.token
    );
    stream.write_all(head.as_bytes()).context("send the head")?;
    let bytes = vec![7; STEP];
    let mut left = SIZE;
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(STEP).min(STEP);
        stream.write_all(bytes.get(..step).unwrap_or_default()).context("send a part")?;
        left -= step as u64;
        if left % 1_000_000_000 < STEP as u64 {
            println!("{} of {} GB sent", (SIZE - left) / 1_000_000_000, SIZE / 1_000_000_000);
        }
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    ensure!(answer.starts_with("HTTP/1.1 20"), "the upload was answered with {answer}");
    let most = report.row("most memory during an upload of 10 GB", "MB", &[site.server.peak()?]);
    report.target("most memory during an upload of 10 GB", most, Bound::AtMost(MOST));
    drop(site);
    std::fs::remove_dir_all(&home).context("remove what was uploaded")
}
