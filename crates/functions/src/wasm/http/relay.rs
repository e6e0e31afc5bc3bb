//! The answer of a guest of `wasi:http`: at once when it is all there, else part by part while the guest goes on.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use flagbase_core::functions::{Body, BodyFault, Fault, Level, Stream};
use futures_util::{FutureExt as _, StreamExt as _};
use http::{Response, header::CONTENT_LENGTH};
use http_body::Body as _;
use tokio::time::{Sleep, sleep_until};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::super::{call::Call, calls::Polite};

/// A guest that has not ended yet.
pub(super) type Running = Polite<Result<(), Fault>>;

/// Gives the answer on, and keeps its guest going. Dropping it drops the guest.
pub(super) struct Relay {
    running: Option<Running>,
    body: HyperOutgoingBody,
    late: Option<Pin<Box<Sleep>>>,
    call: Arc<Call>,
    left: u64,
    over: bool,
}

/// A part of the body, its end, or why it breaks off.
type Part = Option<Result<Bytes, Fault>>;

impl Relay {
    /// Of `call`, whose guest may still be `running`.
    pub(super) fn new(call: &Arc<Call>, running: Option<Running>) -> Self {
        let left = call.limits().response_body;
        Self {
            running,
            body: HyperOutgoingBody::default(),
            late: None,
            call: Arc::clone(call),
            left,
            over: false,
        }
    }

    /// The response for the caller. What breaks before the guest had to wait for anything is a fault of the call;
    /// what breaks later breaks off the body.
    pub(super) fn respond(mut self, response: Response<HyperOutgoingBody>) -> Result<Response<Body>, Fault> {
        let (parts, body) = response.into_parts();
        self.body = body;
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(length) = declared.filter(|length| *length > self.left) {
            return Err(self.too_large(Some(length)));
        }
        let mut ready = Vec::new();
        let body = loop {
            match self.next_part().now_or_never() {
                Some(None) => break joined(ready),
                Some(Some(part)) => ready.push(part?),
                None => {
                    let first = futures_util::stream::iter(ready).map(Ok);
                    break Body::Stream(Box::pin(first.chain(self)), declared);
                }
            }
        };
        Ok(Response::from_parts(parts, body))
    }

    async fn next_part(&mut self) -> Part {
        std::future::poll_fn(|cx| self.poll_part(cx)).await
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        if self.over {
            return Poll::Ready(None);
        }
        // The guest first: it may have more for the body.
        if let Err(fault) = self.poll_guest(cx) {
            self.over = true;
            return Poll::Ready(Some(Err(fault)));
        }
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_late(cx),
        };
        let part = match frame {
            None => None,
            Some(Err(_)) => Some(Err(Fault::BadAnswer("its body is not as long as it said".to_owned()))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => Some(self.count(bytes)),
                // Trailers end a body; nobody here passes them on.
                Err(_) => None,
            },
        };
        self.over = !matches!(part, Some(Ok(_)));
        if part.is_none() && self.running.is_some() {
            // What it does after its answer is still part of the call.
            self.over = false;
            return self.poll_rest(cx);
        }
        Poll::Ready(part)
    }

    fn poll_guest(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let Some(running) = &mut self.running else { return Ok(()) };
        match Pin::new(running).poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(ended) => {
                self.running = None;
                ended?
            }
        }
    }

    /// Ends the body when the guest has ended, too, or its time.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        if self.running.is_none() {
            return Poll::Ready(None);
        }
        ready!(self.deadline().poll_unpin(cx));
        self.over = true;
        self.running = None;
        Poll::Ready(None)
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        ready!(self.deadline().poll_unpin(cx));
        self.over = true;
        self.running = None;
        Poll::Ready(Some(Err(Fault::TimedOut(self.call.limits().timeout))))
    }

    fn deadline(&mut self) -> &mut Pin<Box<Sleep>> {
        let deadline = self.call.deadline;
        self.late.get_or_insert_with(|| Box::pin(sleep_until(deadline)))
    }

    fn count(&mut self, bytes: Bytes) -> Result<Bytes, Fault> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Err(self.too_large(None));
        };
        self.left = left;
        Ok(bytes)
    }

    fn too_large(&self, length: Option<u64>) -> Fault {
        let most = self.call.limits().response_body;
        let length = length.map_or_else(|| "more".to_owned(), |length| length.to_string());
        Fault::LimitReached(format!("its answer has {length} bytes, and it may have {most}"))
    }
}

fn joined(parts: Vec<Bytes>) -> Body {
    let mut parts = parts;
    match parts.len() {
        0 => Body::Empty,
        1 => parts.pop().map_or(Body::Empty, Body::Whole),
        _ => {
            let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            for part in &parts {
                whole.extend_from_slice(part);
            }
            Body::Whole(whole.freeze())
        }
    }
}

impl futures_util::Stream for Relay {
    type Item = Result<Bytes, BodyFault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = ready!(self.poll_part(cx));
        Poll::Ready(part.map(|part| part.map_err(|fault| self.broken(&fault))))
    }
}

impl Relay {
    /// The caller only sees that the body breaks off; the function's log says why.
    fn broken(&self, fault: &Fault) -> BodyFault {
        self.call.log(Level::Error, Stream::Host, &format!("the answer broke off: {fault}"), Vec::new());
        BodyFault::Broken(fault.to_string())
    }
}
