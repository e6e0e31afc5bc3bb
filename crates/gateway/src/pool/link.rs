//! One HTTP/1.1 connection to an upstream, driven by whoever uses it.
//!
//! The task that serves the client writes the request and reads the answer itself: nobody is woken for it, and the
//! answer's bytes go from the buffer they were read into straight to the client. While a connection is idle nobody
//! drives it; it is looked at when it is taken and now and then.

mod answer;
mod chunked;
mod upload;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Weak,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, response};
use http_body::SizeHint;
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use super::{Endpoint, Stream, poll_quietly};
use crate::body::{BodyFault, RequestBody};

use answer::Framing;
use chunked::Part;
use upload::Upload;

pub(crate) use upload::write_field;

/// The largest head an upstream may answer with, in bytes.
const LARGEST_HEAD: usize = 32 * 1024;

/// Room for a head and, mostly, all of a small body.
const SMALL_READ: usize = 8 * 1024;

/// The most that is read of a body at once. Smaller reads were measured to cost more, at 16, 32 and 64 KB.
const LARGE_READ: usize = 128 * 1024;

/// One connection to an upstream.
pub(crate) struct Link {
    stream: Stream,
    /// What was read and not yet taken.
    inbox: BytesMut,
    upload: Upload,
    /// How the body being read ends.
    framing: Framing,
    /// Whether another request can follow the one under way.
    reusable: bool,
    home: Weak<Endpoint>,
    /// Kept from request to request: moving it forward is cheap, making a new one is not.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum LinkFault {
    /// Nothing was sent: the body comes back.
    Unsent(RequestBody),
    /// The client's body could not be read.
    Body(BodyFault),
    /// The connection broke after something was sent.
    Broken(Broken),
    /// No answer in time.
    Slow,
}

/// What an upstream did wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("it closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Lost(io::Error),
    #[error("it does not speak HTTP/1.1: {0}")]
    Nonsense(&'static str),
    #[error(transparent)]
    Hyper(hyper::Error),
}

/// A part of an answer's body.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("framing", &self.framing).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(stream: Stream, home: Weak<Endpoint>) -> Self {
        let (inbox, upload) = (BytesMut::new(), Upload::default());
        Self { stream, inbox, upload, framing: Framing::Length(0), reusable: true, home, alarm: None }
    }

    /// Where the head of the next request is written to, the empty line at its end left out: how its body ends is said
    /// by [`send`](Self::send).
    pub(crate) fn head(&mut self) -> &mut Vec<u8> {
        self.upload.head()
    }

    /// Sends the head that was written, of a request of `method`, with `body`; waits for the head of the answer until
    /// `deadline`.
    pub(crate) async fn send(
        &mut self,
        method: &Method,
        body: RequestBody,
        deadline: Instant,
    ) -> Result<response::Parts, LinkFault> {
        self.upload.begin(method, body);
        let head = poll_fn(|cx| match self.poll_answer(cx, method) {
            Poll::Pending => self.poll_alarm(cx, deadline).map(|()| Err(LinkFault::Slow)),
            ready @ Poll::Ready(_) => ready,
        });
        let head = head.await?;
        self.framing = head.framing;
        self.reusable = head.reusable;
        Ok(head.parts)
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
    ) -> Poll<Result<answer::Head, LinkFault>> {
        if let Poll::Ready(Err(fault)) = self.upload.poll(&mut self.stream, cx) {
            match fault {
                upload::Fault::Body(fault) => return Poll::Ready(Err(LinkFault::Body(fault))),
                upload::Fault::Stream(error) => {
                    if let Some(body) = self.upload.unsent() {
                        return Poll::Ready(Err(LinkFault::Unsent(body)));
                    }
                    // The upstream may have answered before it closed; if not, reading finds out.
                    tracing::debug!(%error, "an upstream does not take the whole request");
                }
            }
        }
        loop {
            if !self.inbox.is_empty() {
                match answer::take(&mut self.inbox, method) {
                    Ok(Some(head)) => return Poll::Ready(Ok(head)),
                    Ok(None) => {}
                    Err(broken) => return Poll::Ready(Err(LinkFault::Broken(broken))),
                }
            }
            if let Err(broken) = ready!(self.poll_fill(cx, SMALL_READ)) {
                return Poll::Ready(Err(LinkFault::Broken(broken)));
            }
        }
    }

    /// The next part of the answer's body; `None` at its end. What is left of the request's body is sent meanwhile.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Broken>>> {
        if self.ended() {
            return Poll::Ready(None);
        }
        // An upload that fails is cut off; the answer may be whole all the same.
        let _ = self.upload.poll(&mut self.stream, cx);
        loop {
            match self.piece() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if self.ended() => return Poll::Ready(None),
                Ok(None) => {}
                Err(broken) => return Poll::Ready(Some(Err(broken))),
            }
            let room = match self.framing {
                Framing::Length(left) => usize::try_from(left).unwrap_or(LARGE_READ).min(LARGE_READ),
                Framing::Chunked(_) | Framing::Close => LARGE_READ,
            };
            match ready!(self.poll_fill(cx, room)) {
                Ok(()) => {}
                Err(Broken::Closed) if matches!(self.framing, Framing::Close) => {
                    self.framing = Framing::Length(0);
                    return Poll::Ready(None);
                }
                Err(broken) => return Poll::Ready(Some(Err(broken))),
            }
        }
    }

    /// The next part of the body, as far as it was read.
    fn piece(&mut self) -> Result<Option<Piece>, Broken> {
        match &mut self.framing {
            Framing::Chunked(chunked) => match chunked.next(&mut self.inbox) {
                Ok(Part::Data(data)) => Ok(Some(Piece::Data(data))),
                Ok(Part::Trailers(trailers)) => Ok(Some(Piece::Trailers(trailers))),
                Ok(Part::End | Part::More) => Ok(None),
                Err(chunked::Nonsense) => Err(Broken::Nonsense("the chunks of its answer cannot be read")),
            },
            _ if self.inbox.is_empty() => Ok(None),
            Framing::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(self.inbox.len());
                *left -= count as u64;
                Ok(Some(Piece::Data(self.inbox.split_to(count).freeze())))
            }
            Framing::Close => Ok(Some(Piece::Data(self.inbox.split().freeze()))),
        }
    }

    /// Whether the body of the answer is over.
    pub(crate) fn ended(&self) -> bool {
        match &self.framing {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunked) => chunked.ended(),
            Framing::Close => false,
        }
    }

    /// The rest of the body, when all of it was read already.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        match &mut self.framing {
            Framing::Length(left) if *left <= self.inbox.len() as u64 => {
                let rest = self.inbox.split_to(usize::try_from(std::mem::take(left)).unwrap_or_default());
                Some(rest.freeze())
            }
            _ => None,
        }
    }

    /// What is known about the rest of the body.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.framing {
            Framing::Length(left) => SizeHint::with_exact(*left),
            Framing::Chunked(_) | Framing::Close => SizeHint::default(),
        }
    }

    /// Reads more; makes room for `room` bytes when there is little left.
    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<Result<(), Broken>> {
        let free = self.inbox.capacity() - self.inbox.len();
        if free < room.min(SMALL_READ / 2) {
            self.inbox.reserve(room);
        }
        match ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.inbox)) {
            Ok(0) => Poll::Ready(Err(Broken::Closed)),
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(Broken::Lost(error))),
        }
    }

    /// Whether a request can be sent: an upstream that says something unasked, or has closed, is not asked again.
    pub(super) fn is_open(&mut self) -> bool {
        self.reusable
            && self.ended()
            && self.upload.is_done()
            && self.inbox.is_empty()
            && poll_quietly(&mut poll_fn(|cx| self.poll_fill(cx, 1))).is_pending()
    }

    /// Goes back to where it came from, when it can serve another request.
    pub(crate) fn release(mut self: Box<Self>) {
        if let Some(home) = self.home.upgrade()
            && self.is_open()
        {
            if self.inbox.capacity() > SMALL_READ {
                self.inbox = BytesMut::new();
            }
            home.put(self);
        }
    }

    /// Ready at `deadline`.
    pub(crate) fn poll_alarm(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // An alarm left from an earlier request rings too early, and is then set anew.
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl LinkFault {
    /// Tells a client's fault from an upstream's.
    pub(crate) fn of(error: hyper::Error) -> Self {
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            match cause.downcast_ref::<BodyFault>() {
                Some(BodyFault::TooSlow) => return Self::Body(BodyFault::TooSlow),
                Some(BodyFault::Malformed(_)) => return Self::Body(BodyFault::Malformed(error)),
                None => source = cause.source(),
            }
        }
        Self::Broken(Broken::Hyper(error))
    }
}

/// How long is left until `deadline`.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
