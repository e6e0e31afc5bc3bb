//! A connection with what was read of it and not used yet.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;

/// How much is read at once.
const PART: usize = 64 << 10;
/// How long a wait can go on after it was called off.
const LOOK: Duration = Duration::from_millis(50);
/// How long the other side may take nothing at all.
const STUCK: Duration = Duration::from_mins(1);

/// How long to wait, and who can call it off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patience<'a> {
    pub(crate) until: Option<Instant>,
    pub(crate) stop: Option<&'a AtomicBool>,
}

impl Patience<'_> {
    pub(crate) fn until(until: Instant) -> Self {
        Self { until: Some(until), stop: None }
    }

    /// How long the next wait may last.
    fn next(&self) -> io::Result<Option<Duration>> {
        if self.stop.is_some_and(|stop| stop.load(Ordering::Acquire)) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "nobody waits for it any more"));
        }
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        match (left, self.stop) {
            (Some(Duration::ZERO), _) => Err(io::ErrorKind::TimedOut.into()),
            (Some(left), Some(_)) => Ok(Some(left.min(LOOK))),
            (None, Some(_)) => Ok(Some(LOOK)),
            (left, None) => Ok(left),
        }
    }

    /// Waits until `from` can be read.
    pub(crate) fn readable(&self, from: &impl AsFd) -> io::Result<()> {
        loop {
            let wait = self.next()?;
            let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
            let mut fds = [PollFd::new(from, PollFlags::IN)];
            match poll(&mut fds, wait.as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Where bytes come from.
#[derive(Debug)]
enum Source {
    Socket(Arc<Socket>),
    Pipe(ChildStdout),
}

impl Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => (&**socket).read(into),
            Self::Pipe(pipe) => pipe.read(into),
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(socket) => socket.as_fd(),
            Self::Pipe(pipe) => pipe.as_fd(),
        }
    }
}

/// The reading side of a connection, or of a pipe.
#[derive(Debug)]
pub(crate) struct Connection {
    from: Source,
    buffer: Vec<u8>,
    used: usize,
}

impl Connection {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        // A peer that takes nothing for so long is gone. Failing to set this changes nothing else.
        let _ = socket.set_write_timeout(Some(STUCK));
        Self { from: Source::Socket(socket), buffer: Vec::new(), used: 0 }
    }

    pub(crate) fn of_pipe(pipe: ChildStdout) -> Self {
        Self { from: Source::Pipe(pipe), buffer: Vec::new(), used: 0 }
    }

    /// What was read and not used.
    pub(crate) fn buffered(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Marks `count` bytes of [`Connection::buffered`] as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.used = (self.used + count).min(self.buffer.len());
    }

    /// Reads more; 0 at the end.
    pub(crate) fn fill(&mut self, patience: Patience<'_>) -> io::Result<usize> {
        patience.readable(&self.from)?;
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        let old = self.buffer.len();
        self.buffer.resize(old + PART, 0);
        let read = self.from.read(self.buffer.get_mut(old..).unwrap_or_default());
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        read
    }

    /// At most `most` bytes, and at least one; `None` at the end.
    pub(crate) fn part(&mut self, most: u64, patience: Patience<'_>) -> io::Result<Option<Vec<u8>>> {
        if self.buffered().is_empty() && self.fill(patience)? == 0 {
            return Ok(None);
        }
        let count = usize::try_from(most).unwrap_or(PART).min(PART).min(self.buffered().len());
        let part = self.buffered().get(..count).unwrap_or_default().to_vec();
        self.consume(count);
        Ok(Some(part))
    }

    /// A line of at most `most` bytes, without its end.
    pub(crate) fn line(&mut self, most: usize, patience: Patience<'_>) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffered().iter().position(|byte| *byte == b'\n') {
                let line = self.buffered().get(..end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.consume(end + 1);
                return Ok(line);
            }
            if self.buffered().len() > most {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
            }
            if self.fill(patience)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether it can be used again: nothing was read ahead, nothing came, it is not closed.
    pub(crate) fn is_idle(&self) -> bool {
        let mut fds = [PollFd::new(&self.from, PollFlags::IN)];
        self.buffered().is_empty() && poll(&mut fds, Some(&Timespec::default())) == Ok(0)
    }
}

/// Writes all of `bytes`.
pub(crate) fn write_all(socket: &Socket, bytes: &[u8]) -> io::Result<()> {
    let mut socket = socket;
    socket.write_all(bytes)
}

#[cfg(test)]
pub(super) fn pair() -> (Connection, Socket) {
    let (one, two) = Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    (Connection::new(Arc::new(one)), two)
}

#[cfg(test)]
pub(super) fn given(bytes: &[u8]) -> Connection {
    let (connection, peer) = pair();
    write_all(&peer, bytes).unwrap();
    connection
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_either_way() {
        let mut connection = given(b"one\r\ntwo\n");
        assert_eq!(connection.line(100, Patience::default()).unwrap(), b"one");
        assert_eq!(connection.line(100, Patience::default()).unwrap(), b"two");
        let end = connection.line(100, Patience::default()).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let error = given(&[b'x'; 200]).line(100, Patience::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn waiting_ends_at_its_time() {
        let (mut connection, _peer) = pair();
        let error = connection.fill(Patience::until(Instant::now() + Duration::from_millis(5))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn waiting_can_be_called_off() {
        let (mut connection, _peer) = pair();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| connection.fill(Patience { until: None, stop: Some(&stop) }));
            stop.store(true, Ordering::Release);
            let error = waiting.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        });
    }

    #[test]
    fn a_connection_is_idle_until_something_comes_or_it_is_closed() {
        let (connection, peer) = pair();
        assert!(connection.is_idle());
        write_all(&peer, b"x").unwrap();
        assert!(!connection.is_idle());
        let (connection, peer) = pair();
        drop(peer);
        assert!(!connection.is_idle());
    }
}
