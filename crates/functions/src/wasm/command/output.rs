//! What a command writes to its standard output, up to a limit.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use flagbase_core::functions::Fault;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

/// Keeps what is written. Clones write to the same place.
#[derive(Clone)]
pub(super) struct Output(Arc<Mutex<Kept>>);

struct Kept {
    bytes: BytesMut,
    most: u64,
    over: bool,
}

/// More was written than may be. Ends the program.
#[derive(Debug, thiserror::Error)]
#[error("standard output is full")]
struct Full;

impl Output {
    /// Takes at most `most` bytes.
    pub(super) fn new(most: u64) -> Self {
        Self(Arc::new(Mutex::new(Kept { bytes: BytesMut::new(), most, over: false })))
    }

    /// What was written.
    pub(super) fn take(&self) -> Bytes {
        std::mem::take(&mut self.0.lock().bytes).freeze()
    }

    /// The fault, when more was written than may be.
    pub(super) fn overflow(&self) -> Option<Fault> {
        let kept = self.0.lock();
        kept.over
            .then(|| Fault::LimitReached(format!("it wrote more than {} bytes to its output", kept.most)))
    }

    fn append(&self, bytes: &[u8]) -> Result<(), Full> {
        let mut kept = self.0.lock();
        if (kept.bytes.len() + bytes.len()) as u64 > kept.most {
            kept.over = true;
            return Err(Full);
        }
        kept.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes).map_err(|full| StreamError::Trap(full.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.append(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
