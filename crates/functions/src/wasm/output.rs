//! Standard output and standard error of guests: lines of the function's log.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use flagbase_core::functions::{Level, Stream};
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::call::Call;

/// A line is broken after so many bytes.
const LONGEST_LINE: usize = 8 << 10;

/// The call that an instance is serving, as its streams see it.
pub(crate) struct Current(Arc<Mutex<Arc<Call>>>);

impl Current {
    /// Begins with `call`.
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self(Arc::new(Mutex::new(call)))
    }

    /// From now on, lines belong to `call`.
    pub(crate) fn set(&self, call: Arc<Call>) {
        *self.0.lock() = call;
    }

    /// Standard output.
    pub(crate) fn stdout(&self) -> LogStream {
        LogStream::new(Arc::clone(&self.0), Stream::Stdout)
    }

    /// Standard error.
    pub(crate) fn stderr(&self) -> LogStream {
        LogStream::new(Arc::clone(&self.0), Stream::Stderr)
    }
}

/// A stream whose lines become lines of the log. Clones share one unfinished line.
#[derive(Clone)]
pub(crate) struct LogStream {
    call: Arc<Mutex<Arc<Call>>>,
    stream: Stream,
    line: Arc<Mutex<Unfinished>>,
}

#[derive(Default)]
struct Unfinished(Vec<u8>);

impl LogStream {
    fn new(call: Arc<Mutex<Arc<Call>>>, stream: Stream) -> Self {
        Self { call, stream, line: Arc::default() }
    }

    /// Lines of `call` alone.
    pub(crate) fn of(call: &Arc<Call>, stream: Stream) -> Self {
        Self::new(Arc::new(Mutex::new(Arc::clone(call))), stream)
    }

    fn take(&self, bytes: &[u8]) {
        let line = &mut self.line.lock().0;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() >= LONGEST_LINE {
                self.put(line);
            }
        }
    }

    fn put(&self, line: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(line);
        let level = if self.stream == Stream::Stderr { Level::Warn } else { Level::Info };
        self.call.lock().log(level, self.stream, text.trim_end(), Vec::new());
        line.clear();
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        if Arc::strong_count(&self.line) == 1 {
            let line = &mut std::mem::take(&mut self.line.lock().0);
            if !line.is_empty() {
                self.put(line);
            }
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
