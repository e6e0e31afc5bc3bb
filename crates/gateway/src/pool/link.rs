//! One HTTP/1.1 connection to an upstream, driven by whoever uses it.
//!
//! Usually a connection is driven by a task of its own, and every request wakes it and is woken by it. Here the task
//! that serves the client drives the upstream's connection too, which saves both wake-ups. While a connection is idle
//! nobody drives it; it is looked at when it is taken and now and then.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Weak,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use tokio::time::{Instant, Sleep};

use super::{Connection, Endpoint, poll_quietly};
use crate::body::{BodyFault, RequestBody};

/// One connection to an upstream.
pub(crate) struct Link {
    sender: SendRequest<RequestBody>,
    connection: Pin<Box<Connection>>,
    ended: bool,
    home: Weak<Endpoint>,
    /// Kept from request to request: moving it forward is cheap, making a new one is not.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum LinkFault {
    /// Nothing was sent: the request comes back.
    Unsent(Box<Request<RequestBody>>),
    /// The client's body could not be read.
    Body(BodyFault),
    /// The connection broke after something was sent.
    Broken(hyper::Error),
    /// No answer in time.
    Slow,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(
        sender: SendRequest<RequestBody>,
        connection: Connection,
        home: Weak<Endpoint>,
    ) -> Self {
        Self { sender, connection: Box::pin(connection), ended: false, home, alarm: None }
    }

    /// Sends `request` and waits for the head of its answer until `deadline`.
    pub(crate) async fn send(
        &mut self,
        request: Box<Request<RequestBody>>,
        deadline: Instant,
    ) -> Result<Response<Incoming>, LinkFault> {
        let answer = self.sender.try_send_request(*request);
        let mut answer = pin!(tokio::task::unconstrained(answer));
        let answer = poll_fn(|cx| {
            let quiet = &mut Context::from_waker(Waker::noop());
            // Only driving the connection can bring the answer, so the answer itself need not wake anybody.
            let ended = self.drive(cx);
            match answer.as_mut().poll(quiet) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if ended => Poll::Ready(None),
                Poll::Pending => self.poll_alarm(cx, deadline).map(|()| None),
            }
        });
        match answer.await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(mut fault)) => match fault.take_message() {
                Some(request) => Err(LinkFault::Unsent(Box::new(request))),
                None => Err(LinkFault::of(fault.into_error())),
            },
            None => Err(LinkFault::Slow),
        }
    }

    /// Moves bytes in both directions; returns whether the connection is over.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.ended {
            self.ended = self.connection.as_mut().poll(cx).is_ready();
        }
        self.ended
    }

    /// Whether a request can be sent.
    pub(super) fn is_open(&mut self) -> bool {
        if !self.ended {
            self.ended = poll_quietly(&mut self.connection).is_ready();
        }
        !self.ended && self.sender.is_ready()
    }

    /// Goes back to where it came from, when it can serve another request.
    pub(crate) fn release(mut self: Box<Self>) {
        if let Some(home) = self.home.upgrade() {
            // Without this the connection would not notice that its request is over.
            if self.is_open() {
                home.put(self);
            }
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
        match body_fault(&error) {
            Some(BodyKind::TooSlow) => Self::Body(BodyFault::TooSlow),
            Some(BodyKind::Malformed) => Self::Body(BodyFault::Malformed(error)),
            None => Self::Broken(error),
        }
    }
}

enum BodyKind {
    Malformed,
    TooSlow,
}

fn body_fault(error: &hyper::Error) -> Option<BodyKind> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        match cause.downcast_ref::<BodyFault>() {
            Some(BodyFault::TooSlow) => return Some(BodyKind::TooSlow),
            Some(BodyFault::Malformed(_)) => return Some(BodyKind::Malformed),
            None => source = cause.source(),
        }
    }
    None
}

/// How long is left until `deadline`.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
