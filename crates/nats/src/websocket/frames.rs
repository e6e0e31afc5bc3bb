//! A stream of bytes in the frames of WebSocket.
//!
//! Nothing is gathered: what a frame carries is handed on as it comes, so that a frame of any length takes no memory.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};

mod head;

use head::{Head, Opcode};

/// Most bytes in a frame that is sent.
const LARGEST: usize = 64 * 1024;
/// Most bytes in a ping, pong or close; RFC 6455, section 5.5.
const CONTROL: usize = 125;
/// The client did what the protocol forbids.
const PROTOCOL_ERROR: [u8; 2] = 1002_u16.to_be_bytes();
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

/// A stream of bytes in binary frames.
pub(crate) struct Frames<S> {
    stream: BufReader<S>,
    reading: Reading,
    /// Frames that are to be written, and how many bytes of them have been.
    out: Vec<u8>,
    written: usize,
    /// The last ping that has no pong yet.
    pong: Option<Vec<u8>>,
    /// A close was sent.
    closed: bool,
}

enum Reading {
    /// The head of the next frame, as far as it has come.
    Head(Vec<u8>),
    Data(Payload),
    Control(Opcode, Payload, Vec<u8>),
    End,
}

/// What is left of a frame, and how it is masked.
#[derive(Clone, Copy)]
struct Payload {
    left: u64,
    mask: [u8; 4],
    /// Position within the mask.
    at: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::with_capacity(4096, stream),
            reading: Reading::Head(Vec::new()),
            out: Vec::new(),
            written: 0,
            pong: None,
            closed: false,
        }
    }

    /// Reads until `buf` has something, or the end has come. Returns whether it is the end.
    fn poll_step(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        match &mut self.reading {
            Reading::End => return Poll::Ready(Ok(true)),
            Reading::Head(read) => {
                let Some(head) = ready!(poll_head(&mut self.stream, cx, read))? else {
                    self.reading = Reading::End;
                    return Poll::Ready(Ok(true));
                };
                self.begin(&head);
            }
            Reading::Data(payload) => {
                ready!(payload.poll_read(&mut self.stream, cx, buf))?;
                if payload.left == 0 {
                    self.reading = Reading::Head(Vec::new());
                }
            }
            Reading::Control(opcode, payload, read) => {
                let mut bytes = [0; CONTROL];
                let mut chunk = ReadBuf::new(&mut bytes);
                if payload.left > 0 {
                    ready!(payload.poll_read(&mut self.stream, cx, &mut chunk))?;
                    read.extend_from_slice(chunk.filled());
                }
                if payload.left == 0 {
                    let (opcode, read) = (*opcode, std::mem::take(read));
                    self.control(opcode, read);
                }
            }
        }
        Poll::Ready(Ok(false))
    }

    fn begin(&mut self, head: &Result<Head, head::Violation>) {
        self.reading = match *head {
            Err(head::Violation) => {
                self.close(&PROTOCOL_ERROR);
                Reading::End
            }
            Ok(Head { opcode, length, mask }) => {
                let payload = Payload { left: length, mask, at: 0 };
                match opcode {
                    Opcode::Data if length == 0 => Reading::Head(Vec::new()),
                    Opcode::Data => Reading::Data(payload),
                    control => Reading::Control(control, payload, Vec::new()),
                }
            }
        };
    }

    fn control(&mut self, opcode: Opcode, payload: Vec<u8>) {
        self.reading = Reading::Head(Vec::new());
        match opcode {
            Opcode::Ping => self.pong = Some(payload),
            Opcode::Close => {
                self.close(payload.get(..2).unwrap_or(&NORMAL));
                self.reading = Reading::End;
            }
            Opcode::Pong | Opcode::Data => {}
        }
    }

    fn close(&mut self, code: &[u8]) {
        if !std::mem::replace(&mut self.closed, true) {
            head::write(&mut self.out, Opcode::Close, code);
        }
    }

    /// Writes the frames that wait.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(pong) = self.pong.take().filter(|_| !self.closed) {
            head::write(&mut self.out, Opcode::Pong, &pong);
        }
        while let Some(left) = self.out.get(self.written..).filter(|left| !left.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(CONTROL);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        while buf.filled().len() == before && buf.remaining() > 0 {
            let step = self.poll_step(cx, buf);
            if !self.out.is_empty() || self.pong.is_some() {
                // What cannot be written now is when the stream is ready, and before anything else.
                if let Poll::Ready(Err(error)) = self.poll_out(cx) {
                    return Poll::Ready(Err(error));
                }
            }
            if ready!(step)? {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_out(cx))?;
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let bytes = bytes.get(..LARGEST).unwrap_or(bytes);
        head::write(&mut self.out, Opcode::Data, bytes);
        // The frame is taken, whether the stream takes it now or at the next flush.
        match self.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close(&NORMAL);
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The head of a frame once it is whole; `None` at the end of the stream.
fn poll_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    read: &mut Vec<u8>,
) -> Poll<io::Result<Option<Result<Head, head::Violation>>>> {
    loop {
        let missing = match Head::read(read) {
            Ok(Ok(head)) => return Poll::Ready(Ok(Some(Ok(head)))),
            Ok(Err(missing)) => missing,
            Err(violation) => return Poll::Ready(Ok(Some(Err(violation)))),
        };
        let mut bytes = [0; head::LONGEST];
        let mut chunk = ReadBuf::new(bytes.get_mut(..missing).unwrap_or_default());
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut chunk))?;
        if chunk.filled().is_empty() {
            return Poll::Ready(Ok(None));
        }
        read.extend_from_slice(chunk.filled());
    }
}

impl Payload {
    /// Reads what there is of this frame and takes the mask off. At least one byte, or it is an error.
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(stream).poll_read(cx, &mut part))?;
        let mut mask = self.mask;
        mask.rotate_left(self.at);
        let read = part.filled().len();
        if read == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        unmask(part.filled_mut(), mask);
        self.left -= u64::try_from(read).unwrap_or(self.left);
        self.at = (self.at + read) % mask.len();
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().unwrap_or_default());
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Ok(chunk) = <&mut [u8; 8]>::try_from(chunk) {
            *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
        }
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
