//! What the function and the agent wrote: the last lines, for whoever asks.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::protocol::{Line, Page, Stream};

/// Lines that are kept.
const LINES: usize = 2_000;
/// Bytes of text that are kept.
const BYTES: usize = 512 << 10;
/// Longest line, in bytes; what comes after is the next line.
const LONGEST: u64 = 8 << 10;
/// Most lines of one answer.
const PAGE: usize = 1_000;

/// The last lines, numbered.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    ring: Mutex<Ring>,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
    last: u64,
}

impl Logs {
    /// Adds a line.
    pub(crate) fn write(&self, stream: Stream, call: Option<&str>, text: &str) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.last += 1;
        ring.bytes += text.len();
        let line = Line {
            seq: ring.last,
            time_ms: clock::now_ms(),
            stream,
            call: call.map(str::to_owned),
            text: text.to_owned(),
        };
        ring.lines.push_back(line);
        while ring.lines.len() > LINES || ring.bytes > BYTES {
            let gone = ring.lines.pop_front();
            ring.bytes -= gone.map_or(0, |line| line.text.len());
        }
        drop(ring);
        self.written.notify_all();
    }

    /// Adds every line of `from`, until it ends. Text that is not UTF-8 is made so.
    pub(crate) fn copy(&self, from: impl Read, stream: Stream, call: Option<&str>) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        // An error ends the stream as its end does: there is nobody to tell.
        while from.by_ref().take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            self.write(stream, call, text.trim_end_matches(['\r', '\n']));
            line.clear();
        }
    }

    /// At most `limit` lines after the one numbered `after`; waits for one up to `wait` when there is none.
    pub(crate) fn page(&self, after: u64, limit: usize, wait: Duration) -> Page {
        let until = Instant::now() + wait;
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        while ring.last <= after {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            ring = self.written.wait_timeout(ring, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let oldest = ring.lines.front().map_or(ring.last + 1, |line| line.seq);
        let from = usize::try_from((after + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let lines: Vec<Line> = ring.lines.iter().skip(from).take(limit.clamp(1, PAGE)).cloned().collect();
        let next = lines.last().map_or(after, |line| line.seq);
        Page { lines, next, lost: oldest.saturating_sub(after + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(page: &Page) -> Vec<&str> {
        page.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_reader_gets_each_line_once() {
        let logs = Logs::default();
        logs.copy(&b"one\ntwo\r\nthree"[..], Stream::Stdout, Some("call-1"));
        let first = logs.page(0, 2, Duration::ZERO);
        assert_eq!(texts(&first), ["one", "two"]);
        let second = logs.page(first.next, 2, Duration::ZERO);
        assert_eq!(texts(&second), ["three"]);
        assert_eq!(second.lines[0].call.as_deref(), Some("call-1"));
        let third = logs.page(second.next, 2, Duration::ZERO);
        assert_eq!((third.lines.len(), third.next, third.lost), (0, 3, 0));
    }

    #[test]
    fn what_is_too_old_is_gone_and_counted() {
        let logs = Logs::default();
        for number in 1..=LINES + 5 {
            logs.write(Stream::Stderr, None, &number.to_string());
        }
        let page = logs.page(0, 1, Duration::ZERO);
        assert_eq!((texts(&page), page.lost), (vec!["6"], 5));
        assert_eq!(logs.page(page.next, 1, Duration::ZERO).lost, 0);
    }

    #[test]
    fn many_long_lines_take_no_more_memory_than_short_ones() {
        let logs = Logs::default();
        let flood = "x".repeat(2 << 20);
        logs.copy(flood.as_bytes(), Stream::Stdout, None);
        let ring = logs.ring.lock().unwrap();
        assert!(ring.bytes <= BYTES, "{}", ring.bytes);
        assert_eq!(ring.last, 256);
    }

    #[test]
    fn text_that_is_none_is_kept_as_far_as_it_goes() {
        let logs = Logs::default();
        logs.copy(&b"a\xff\n"[..], Stream::Stdout, None);
        assert_eq!(texts(&logs.page(0, 9, Duration::ZERO)), ["a\u{fffd}"]);
    }

    #[test]
    fn a_reader_can_wait_for_the_next_line() {
        let logs = Logs::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| logs.page(0, 9, Duration::from_secs(30)));
            logs.write(Stream::Agent, None, "now");
            assert_eq!(texts(&waiting.join().unwrap()), ["now"]);
        });
    }
}
