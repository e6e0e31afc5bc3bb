//! Bodies on their way through: a client's to an upstream, and everything that goes back to a client.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::{headers, inspect::Busy, pool::Link};

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

/// A client's body on its way to an upstream.
#[derive(Debug)]
pub(crate) struct RequestBody(Option<Box<Receiving>>);

#[derive(Debug)]
struct Receiving {
    incoming: Incoming,
    patience: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    /// `incoming`, whose parts may come `patience` apart.
    pub(crate) fn new(incoming: Incoming, patience: Duration) -> Self {
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
    Broken(#[source] hyper::Error),
    /// Nothing came for too long.
    #[error("the upstream's answer stalled")]
    Stalled,
}

/// An upstream's body on its way to the client. Drives the upstream connection itself: both live in one task, which
/// saves waking another one for every part.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    /// Gone once the body has ended and the connection is back in its pool, or when somebody else drives it.
    link: Option<Box<Link>>,
    patience: Duration,
    /// When the next part must be here; set when it is waited for.
    deadline: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl UpstreamBody {
    /// A body that comes over `link`.
    pub(crate) fn over(incoming: Incoming, link: Box<Link>, patience: Duration) -> Self {
        let mut body = Self { incoming, link: Some(link), patience, deadline: None, alarm: None };
        body.release_at_end();
        body
    }

    /// A body whose connection is driven elsewhere.
    pub(crate) fn driven(incoming: Incoming, patience: Duration) -> Self {
        Self { incoming, link: None, patience, deadline: None, alarm: None }
    }

    /// Gives the connection back once there is nothing more to read.
    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(link) = self.link.take()
        {
            link.release();
        }
    }

    /// Ready when nothing came for too long.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.patience);
        if let Some(link) = &mut self.link {
            return link.poll_alarm(cx, deadline);
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx)
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(link) = &mut self.link else {
            return Pin::new(&mut self.incoming).poll_frame(cx);
        };
        // Only driving the connection can bring more of the body, so the body itself need not wake anybody.
        let quiet = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(quiet) {
            return Poll::Ready(frame);
        }
        let ended = link.drive(cx);
        match Pin::new(&mut self.incoming).poll_frame(quiet) {
            Poll::Pending if ended => {
                // The connection is gone and said nothing more about this body: there is nobody to wake us.
                self.link = None;
                Poll::Ready(None)
            }
            polled => polled,
        }
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
        match this.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.deadline = None;
                this.release_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                if let Some(link) = this.link.take() {
                    link.release();
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                this.link = None;
                Poll::Ready(Some(Err(UpstreamFault::Broken(error))))
            }
            Poll::Pending => this.poll_alarm(cx).map(|()| Some(Err(UpstreamFault::Stalled))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// What goes back to a client: an upstream's answer, the gateway's own, or the fallback's. Its request counts as being
/// answered until the body is gone.
#[derive(Debug)]
pub(crate) struct Answer<B> {
    source: Source<B>,
    _busy: Option<Busy>,
}

#[derive(Debug)]
enum Source<B> {
    Upstream(UpstreamBody),
    Own(Option<Bytes>),
    Fallback(B),
}

/// Why a body to a client broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerFault {
    #[error(transparent)]
    Upstream(UpstreamFault),
    #[error("the answer broke off")]
    Fallback(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl<B> Answer<B> {
    pub(crate) fn upstream(body: UpstreamBody, busy: Busy) -> Self {
        Self { source: Source::Upstream(body), _busy: Some(busy) }
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
            Source::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Fallback(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| AnswerFault::Fallback(error.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Upstream(body) => body.is_end_stream(),
            Source::Own(bytes) => bytes.is_none(),
            Source::Fallback(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Upstream(body) => body.size_hint(),
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Fallback(body) => body.size_hint(),
        }
    }
}
