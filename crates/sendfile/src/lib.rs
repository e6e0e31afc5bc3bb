//! Files that go to a client without passing through the memory of this process.
//!
//! hyper sends bytes, and knows nothing of files. So a body that is a file brings stand-ins: slices of one blank that
//! nobody ever reads, each announced here as a part of a file. Where the connection writes, a slice of the blank is known by
//! its address, and the kernel sends the part of the file in its place (`sendfile`, see sendfile(2)). Half of what a large
//! file costs otherwise is copying it in and out.
//!
//! This asks of hyper that it hands over what a body brings as it is, which it does over HTTP/1 when a stream can write
//! several slices at once. What does not come out as it was announced ends the connection.
#![forbid(unsafe_code)]

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flagbase_core::{
    blobs::{FilePart, SendFiles},
    functions::{BodyFault, BodyStream},
};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// Bytes that a part of a file has at most.
const WINDOW: usize = 2 << 20;

/// How far apart the bytes are that are looked for in memory: what is read is read in runs, and each look costs a call.
const LOOK: u64 = 512 << 10;

/// Parts that wait to be sent at most; hyper asks for the next one once it has sent the last.
const MOST: usize = 4;

/// `MSG_MORE`: what follows goes into the same packet, see send(2).
const MORE: i32 = 0x8000;

/// What stands for parts of files. Its pages are never touched, so they cost no memory.
static BLANK: LazyLock<Bytes> = LazyLock::new(|| vec![0; WINDOW].into());

/// The parts of files that a connection is to send, in order.
#[derive(Debug, Default)]
pub struct Windows {
    /// Whether there ever were any.
    used: AtomicBool,
    waiting: Mutex<VecDeque<Window>>,
}

#[derive(Debug)]
struct Window {
    file: Arc<File>,
    at: u64,
    left: usize,
    begun: bool,
}

impl Windows {
    /// The stand-in for the part of `file` from `at` on; `None` when too many wait.
    fn open(&self, file: &Arc<File>, at: u64, length: usize) -> Option<Bytes> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MOST {
            return None;
        }
        self.used.store(true, Ordering::Release);
        let length = length.min(WINDOW);
        waiting.push_back(Window { file: Arc::clone(file), at, left: length, begun: false });
        Some(BLANK.slice(..length))
    }

    /// Whether `bytes` stand for a part of a file.
    fn stands_for_file(&self, bytes: &[u8]) -> bool {
        if !self.used.load(Ordering::Acquire) {
            return false;
        }
        let blank = BLANK.as_ptr().addr();
        (blank..blank + WINDOW).contains(&bytes.as_ptr().addr())
    }

    /// Whether a part has been sent by half.
    fn is_amid(&self) -> bool {
        self.used.load(Ordering::Acquire) && self.waiting.lock().front().is_some_and(|window| window.begun)
    }

    /// Sends at most `most` bytes of the next part.
    fn send(&self, stream: &TcpStream, most: usize) -> io::Result<usize> {
        let mut waiting = self.waiting.lock();
        let Some(window) = waiting.front_mut() else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a part of a file was sent twice"));
        };
        let sent = sendfile(stream, &window.file, &mut window.at, window.left.min(most))?;
        if sent == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file is shorter than it was"));
        }
        window.begun = true;
        window.left = window.left.saturating_sub(sent);
        if window.left == 0 {
            waiting.pop_front();
        }
        Ok(sent)
    }
}

impl SendFiles for Windows {
    fn body(self: Arc<Self>, part: FilePart) -> BodyStream {
        Box::pin(stream::unfold(Some(part), move |part| {
            let windows = Arc::clone(&self);
            async move {
                let mut part = part.filter(|part| part.from < part.to)?;
                let length = usize::try_from(part.to - part.from).unwrap_or(WINDOW).min(WINDOW);
                let stand_in = is_in_memory(&part.file, part.from, length)
                    .then(|| windows.open(&part.file, part.from, length))
                    .flatten();
                let bytes = match stand_in {
                    Some(bytes) => Ok(bytes),
                    None => read(&part.file, part.from, length).await,
                };
                match bytes {
                    Ok(bytes) => {
                        part.from += bytes.len() as u64;
                        Some((Ok(bytes), Some(part)))
                    }
                    Err(error) => Some((Err(BodyFault::Broken(error.to_string())), None)),
                }
            }
        }))
    }
}

/// Reads where waiting for a disk holds up nobody else.
async fn read(file: &Arc<File>, at: u64, length: usize) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
    });
    read.await.map_err(io::Error::other)?
}

/// Whether sending these bytes of `file` waits for no disk, as far as can be told by looking here and there.
#[cfg(target_os = "linux")]
fn is_in_memory(file: &File, at: u64, length: usize) -> bool {
    let end = at + length as u64;
    let mut byte = [0];
    let mut is_here = |at| {
        let mut parts = [io::IoSliceMut::new(&mut byte)];
        rustix::io::preadv2(file, &mut parts, at, rustix::io::ReadWriteFlags::NOWAIT) == Ok(1)
    };
    let mut at = at;
    while at < end {
        if !is_here(at) {
            return false;
        }
        at += LOOK;
    }
    is_here(end - 1)
}

#[cfg(target_os = "linux")]
fn sendfile(stream: &TcpStream, file: &File, at: &mut u64, most: usize) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(stream, file, Some(at), most)?)
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &File, _: u64, _: usize) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn sendfile(_: &TcpStream, _: &File, _: &mut u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A client's stream that sends parts of files where stand-ins are written.
#[derive(Debug)]
pub struct Sending {
    stream: TcpStream,
    windows: Arc<Windows>,
}

impl Sending {
    /// `stream`, which sends what `windows` announce; every request on it carries them.
    pub fn new(stream: TcpStream, windows: Arc<Windows>) -> Self {
        Self { stream, windows }
    }

    fn poll_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || write(&self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_file(&self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |stream| self.windows.send(stream, most))
    }

    /// Writes what comes before a part of a file, into the same packet.
    fn poll_head(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |stream| socket2::SockRef::from(stream).send_with_flags(bytes, MORE))
    }

    /// An error when bytes come amid a part of a file: what was announced was not what came out.
    fn check(&self) -> io::Result<()> {
        if self.windows.is_amid() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a part of a file was not sent whole"));
        }
        Ok(())
    }
}

impl AsyncRead for Sending {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Sending {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.windows.stands_for_file(bytes) {
            return this.poll_file(cx, bytes.len());
        }
        this.check()?;
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(at) = slices.iter().position(|slice| this.windows.stands_for_file(slice)) else {
            this.check()?;
            return Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        };
        let (before, files) = slices.split_at(at);
        let mut before = before.iter().filter(|slice| !slice.is_empty());
        match (before.next(), files.first()) {
            (None, file) => this.poll_file(cx, file.map_or(0, |file| file.len())),
            (Some(head), _) => {
                this.check()?;
                this.poll_head(cx, head)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
