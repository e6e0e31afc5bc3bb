//! A request on its way to an upstream: its head, and its body as it comes from the client.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Method};
use http_body::Body as _;
use tokio::io::AsyncWrite;

use crate::body::{BodyFault, RequestBody};

/// Heads are kept in buffers that are not given back up to this size.
const USUAL_HEAD: usize = 4 * 1024;

/// What is being sent.
#[derive(Debug)]
pub(super) struct Upload {
    /// Bytes to send before `part`; those up to `at` are sent.
    lines: Vec<u8>,
    at: usize,
    part: Bytes,
    /// Bytes to send after `part`.
    tail: &'static [u8],
    body: RequestBody,
    state: State,
    /// Whether any byte was sent.
    sent: bool,
    /// Whether any part of the body was taken from the client.
    taken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More of the body may come; whether it goes in chunks.
    Body { chunked: bool },
    /// Everything is in `lines` and `part`.
    Last,
    /// Cut off: nothing can be sent any more.
    Broken,
}

/// Why sending failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client's body could not be read.
    Body(BodyFault),
    /// The upstream does not take it.
    Stream(io::Error),
}

impl Default for Upload {
    fn default() -> Self {
        let (lines, part, body) = (Vec::new(), Bytes::new(), RequestBody::default());
        Self { lines, at: 0, part, tail: b"", body, state: State::Last, sent: false, taken: false }
    }
}

impl Upload {
    /// Where the head of the next request is written to.
    pub(super) fn head(&mut self) -> &mut Vec<u8> {
        self.lines.clear();
        self.lines.shrink_to(USUAL_HEAD);
        (self.at, self.sent, self.taken) = (0, false, false);
        &mut self.lines
    }

    /// Ends the head and takes the body to be sent after it.
    pub(super) fn begin(&mut self, method: &Method, body: RequestBody) {
        let length = body.size_hint().exact();
        self.state = match length {
            _ if body.is_empty() => State::Last,
            Some(_) => State::Body { chunked: false },
            None => State::Body { chunked: true },
        };
        match length {
            // Where a body is usual, its absence is told (RFC 9110 §8.6).
            Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {}
            Some(length) => {
                self.lines.extend_from_slice(b"content-length: ");
                self.lines.extend_from_slice(length.to_string().as_bytes());
                self.lines.extend_from_slice(b"\r\n");
            }
            None => self.lines.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        self.lines.extend_from_slice(b"\r\n");
        self.body = body;
    }

    /// Whether the whole request was sent.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Last && self.is_flushed()
    }

    fn is_flushed(&self) -> bool {
        self.at == self.lines.len() && self.part.is_empty() && self.tail.is_empty()
    }

    /// The body, when nothing of this request can have reached the upstream and the body is still whole.
    pub(super) fn unsent(&mut self) -> Option<RequestBody> {
        (!self.sent && !self.taken).then(|| std::mem::take(&mut self.body))
    }

    /// Sends as much as there is and the upstream takes; ready when all is sent.
    pub(super) fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Fault>>
    where
        S: AsyncWrite + Unpin,
    {
        if self.is_done() || self.state == State::Broken {
            return Poll::Ready(Ok(()));
        }
        let polled = self.advance(stream, cx);
        if let Poll::Ready(Err(_)) = polled {
            self.state = State::Broken;
        }
        polled
    }

    fn advance<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Fault>>
    where
        S: AsyncWrite + Unpin,
    {
        loop {
            // A head and the first part of a body go together when both are there.
            if self.part.is_empty() && self.state != State::Last {
                match self.poll_part(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(Fault::Body(fault))),
                    Poll::Pending => {
                        ready!(self.poll_write(stream, cx)).map_err(Fault::Stream)?;
                        return Poll::Pending;
                    }
                }
            }
            ready!(self.poll_write(stream, cx)).map_err(Fault::Stream)?;
            if self.state == State::Last {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes the next part of the body from the client.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
        let State::Body { chunked } = self.state else {
            return Poll::Ready(Ok(()));
        };
        let Some(frame) = frame else {
            self.finish(chunked, None);
            return Poll::Ready(Ok(()));
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                if chunked {
                    self.lines.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                    self.tail = b"\r\n";
                }
                (self.part, self.taken) = (data, true);
                if !chunked && self.body.is_end_stream() {
                    self.state = State::Last;
                }
            }
            Err(frame) => self.finish(chunked, frame.trailers_ref()),
        }
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self, chunked: bool, trailers: Option<&HeaderMap>) {
        self.state = State::Last;
        if !chunked {
            return;
        }
        self.lines.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            write_field(&mut self.lines, name.as_str(), value.as_bytes());
        }
        self.lines.extend_from_slice(b"\r\n");
    }

    /// Sends `lines`, `part` and `tail`.
    fn poll_write<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        let mut stream = Pin::new(stream);
        while !self.is_flushed() {
            let lines = self.lines.get(self.at..).unwrap_or_default();
            let count = if self.part.is_empty() && self.tail.is_empty() {
                ready!(stream.as_mut().poll_write(cx, lines))?
            } else {
                let slices = [IoSlice::new(lines), IoSlice::new(&self.part), IoSlice::new(self.tail)];
                ready!(stream.as_mut().poll_write_vectored(cx, &slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = true;
            let of_lines = count.min(lines.len());
            let of_part = (count - of_lines).min(self.part.len());
            self.at += of_lines;
            self.part.advance(of_part);
            self.tail = self.tail.get(count - of_lines - of_part..).unwrap_or_default();
        }
        self.lines.clear();
        self.at = 0;
        stream.poll_flush(cx)
    }
}

/// Writes one line of a head or of trailers.
pub(crate) fn write_field(lines: &mut Vec<u8>, name: &str, value: &[u8]) {
    lines.extend_from_slice(name.as_bytes());
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(value);
    lines.extend_from_slice(b"\r\n");
}
