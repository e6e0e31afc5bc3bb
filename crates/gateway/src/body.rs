//! Bodies on their way through: a client's to an upstream, and everything that goes back to a client.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use flagbase_linger::Lingering;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::{
    functions::{AnswerBroke, FunctionBody},
    headers,
    inspect::Busy,
    pool::{Broken, Link, Piece},
};

/// Why a client's body could not be forwarded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFault {
    /// It breaks off, or its framing makes no sense.
    #[error("the request body is malformed or incomplete")]
    Malformed(#[source] hyper::Error),
    /// Nothing came for too long.
    #[error("the request body did not arrive in time")]
    TooSlow,
}

/// A client's body on its way to an upstream; by default, none.
#[derive(Debug, Default)]
pub(crate) struct RequestBody(Option<Box<Receiving>>);

#[derive(Debug)]
struct Receiving {
    incoming: Lingering<Incoming>,
    patience: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    /// `incoming`, whose parts may come `patience` apart.
    pub(crate) fn new(incoming: Lingering<Incoming>, patience: Duration) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        Self(Some(Box::new(Receiving { incoming, patience, alarm: None })))
    }

    /// Lets its parts come `patience` apart.
    pub(crate) fn be_patient(&mut self, patience: Duration) {
        if let Some(receiving) = &mut self.0 {
            receiving.patience = patience;
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(body) = &mut self.get_mut().0 else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut body.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                body.alarm = None;
                Poll::Ready(frame.map(|frame| frame.map(clean).map_err(BodyFault::Malformed)))
            }
            Poll::Pending => {
                let patience = body.patience;
                let alarm = body.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                alarm.as_mut().poll(cx).map(|()| Some(Err(BodyFault::TooSlow)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|body| body.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |body| body.incoming.size_hint())
    }
}

/// Trailers can be taken for headers behind us, so what may not come as a header may not come as a trailer either.
fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::clean_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// Why an upstream's body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamFault {
    /// The connection broke, or its framing makes no sense.
    #[error("the upstream's answer broke off")]
    Broken(#[source] Broken),
    /// Nothing came for too long.
    #[error("the upstream's answer stalled")]
    Stalled,
}

/// An upstream's body on its way to the client.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    source: Upstream,
    patience: Duration,
    /// When the next part must be here; set when it is waited for.
    deadline: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Why it broke off, kept back until the client has got what came before.
    broken: Option<UpstreamFault>,
}

/// Where an upstream's body comes from.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// A connection of its own, driven by whoever reads the body.
    Link(Box<Link>),
    /// A connection driven elsewhere.
    Driven(Incoming),
    /// All of it was here together with the head.
    Whole(Bytes),
}

impl Upstream {
    /// The body that comes over `link`, which goes back at once when everything has come.
    pub(crate) fn over(mut link: Box<Link>) -> Self {
        match link.rest() {
            Some(rest) => {
                link.release();
                Self::Whole(rest)
            }
            None => Self::Link(link),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let link = match self {
            Self::Whole(bytes) => {
                let bytes = Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty());
                return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
            }
            Self::Driven(incoming) => {
                let frame = Pin::new(incoming).poll_frame(cx);
                return frame.map(|frame| frame.map(|frame| frame.map_err(Broken::Hyper)));
            }
            Self::Link(link) => link,
        };
        let polled = link.poll_piece(cx);
        if (link.ended() || matches!(polled, Poll::Ready(Some(Err(_)) | None)))
            && let Self::Link(link) = std::mem::replace(self, Self::Whole(Bytes::new()))
        {
            link.release();
        }
        polled.map(|piece| {
            piece.map(|piece| {
                piece.map(|piece| match piece {
                    Piece::Data(data) => Frame::data(data),
                    Piece::Trailers(trailers) => Frame::trailers(trailers),
                })
            })
        })
    }
}

impl UpstreamBody {
    /// A body whose parts may come `patience` apart.
    pub(crate) fn new(source: Upstream, patience: Duration) -> Self {
        Self { source, patience, deadline: None, alarm: None, broken: None }
    }

    /// Breaks off at the next poll. Whoever sends this body drops what it holds when a body fails; asked to wait, it
    /// sends that first.
    fn break_off(&mut self, cx: &Context<'_>, fault: UpstreamFault) {
        self.broken = Some(fault);
        cx.waker().wake_by_ref();
    }

    /// Ready when nothing came for too long.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.patience);
        if let Upstream::Link(link) = &mut self.source {
            return link.poll_alarm(cx, deadline);
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx)
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamFault>>> {
        let this = self.get_mut();
        if let Some(fault) = this.broken.take() {
            return Poll::Ready(Some(Err(fault)));
        }
        match this.source.poll(cx) {
            Poll::Ready(Some(Err(broken))) => {
                this.break_off(cx, UpstreamFault::Broken(broken));
                Poll::Pending
            }
            Poll::Ready(frame) => {
                this.deadline = None;
                Poll::Ready(frame.map(|frame| frame.map_err(UpstreamFault::Broken)))
            }
            Poll::Pending => this.poll_alarm(cx).map(|()| Some(Err(UpstreamFault::Stalled))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = match &self.source {
            Upstream::Link(link) => link.ended(),
            Upstream::Driven(incoming) => incoming.is_end_stream(),
            Upstream::Whole(bytes) => bytes.is_empty(),
        };
        ended && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Upstream::Link(link) => link.size_hint(),
            Upstream::Driven(incoming) => incoming.size_hint(),
            Upstream::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// What goes back to a client: an upstream's answer, a function's, the gateway's own, or the fallback's. Its request counts as being
/// answered until the body is gone.
#[derive(Debug)]
pub(crate) struct Answer<B> {
    source: Source<B>,
    _busy: Option<Busy>,
}

#[derive(Debug)]
enum Source<B> {
    Upstream(UpstreamBody),
    Function(FunctionBody),
    Own(Option<Bytes>),
    Fallback(B),
}

/// Why a body to a client broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerFault {
    #[error(transparent)]
    Upstream(UpstreamFault),
    #[error(transparent)]
    Function(AnswerBroke),
    #[error("the answer broke off")]
    Fallback(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl<B> Answer<B> {
    pub(crate) fn upstream(body: UpstreamBody, busy: Busy) -> Self {
        Self { source: Source::Upstream(body), _busy: Some(busy) }
    }

    pub(crate) fn function(body: FunctionBody, busy: Busy) -> Self {
        Self { source: Source::Function(body), _busy: Some(busy) }
    }

    pub(crate) fn own(bytes: Bytes) -> Self {
        Self { source: Source::Own(Some(bytes).filter(|bytes| !bytes.is_empty())), _busy: None }
    }

    pub(crate) fn fallback(body: B, busy: Busy) -> Self {
        Self { source: Source::Fallback(body), _busy: Some(busy) }
    }
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = AnswerFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerFault>>> {
        match &mut self.get_mut().source {
            Source::Upstream(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(AnswerFault::Upstream))),
            Source::Function(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(AnswerFault::Function))),
            Source::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Fallback(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| AnswerFault::Fallback(error.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Upstream(body) => body.is_end_stream(),
            Source::Function(body) => body.is_end_stream(),
            Source::Own(bytes) => bytes.is_none(),
            Source::Fallback(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Upstream(body) => body.size_hint(),
            Source::Function(body) => body.size_hint(),
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Fallback(body) => body.size_hint(),
        }
    }
}
