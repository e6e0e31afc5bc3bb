//! One connection: reads, processes, and writes what waits, all in one task.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{
    Permissions,
    client::Client,
    pool,
    protocol::{self, Bounds, Step, Violation},
    reason::Reason,
    router::Router,
    shared::Shared,
};

mod admission;
mod commands;
mod connect;
mod deadlines;

use admission::Admission;
use connect::Connect;
use deadlines::Deadlines;

/// Reads until the task lets others have the thread.
const READS: usize = 16;
/// How long a publisher waits at most for a subscriber that is far behind, after each read.
const STALL: Duration = Duration::from_millis(5);

/// One connection, as a future that ends when it does.
pub(crate) struct Connection<S> {
    stream: S,
    shared: Arc<Shared>,
    client: Arc<Client>,
    router: Router,
    /// The start of an operation whose end has not come yet.
    held: Vec<u8>,
    /// Bytes of that operation in all, when known.
    need: Option<usize>,
    options: Connect,
    nonce: String,
    admission: Admission,
    permissions: Option<Arc<Permissions>>,
    max_subscriptions: usize,
    /// A subscriber that is far behind.
    stalled_by: Option<(Arc<Client>, Instant)>,
    deadlines: Deadlines,
    /// Pongs were asked for.
    pinged: bool,
    last_words: bool,
}

/// How processing goes on after an operation.
enum Flow {
    Next,
    /// After a decision about who the client is.
    Wait,
    End(Reason),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(shared: Arc<Shared>, client: Arc<Client>, stream: S, nonce: String) -> Self {
        let required = shared.options.access.required();
        Self {
            stream,
            router: Router::new(Some(Arc::clone(&client))),
            held: Vec::new(),
            need: None,
            options: Connect::default(),
            nonce,
            admission: if required { Admission::Required } else { Admission::Open },
            permissions: None,
            max_subscriptions: shared.options.limits.max_subscriptions,
            stalled_by: None,
            deadlines: Deadlines::new(&shared.options.limits, required),
            pinged: false,
            last_words: false,
            shared,
            client,
        }
    }

    /// Reads once and processes it. `Pending` when there is nothing to do but wait.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_admission(cx).is_pending() || self.poll_stalled(cx).is_pending() {
            return Poll::Pending;
        }
        pool::reading(|buffer| {
            let mut read = ReadBuf::new(buffer);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => self.client.out.close(Reason::ReadError),
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    self.client.out.close(Reason::ClientClosed);
                }
                Poll::Ready(Ok(())) => {
                    self.client.stats.touch();
                    self.feed(cx, read.filled());
                }
            }
            Poll::Ready(())
        })
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((client, until)) = &self.stalled_by {
            if Instant::now() < *until && client.out.await_room(cx.waker()) {
                return Poll::Pending;
            }
            self.stalled_by = None;
        }
        Poll::Ready(())
    }

    /// Processes bytes in the order they came.
    fn feed(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) {
        while !self.held.is_empty() && !bytes.is_empty() {
            let wanted = match self.need {
                Some(need) => need.saturating_sub(self.held.len()).min(bytes.len()),
                None => memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1),
            };
            let (now, later) = bytes.split_at_checked(wanted).unwrap_or((bytes, &[]));
            self.held.reserve_exact(self.need.map_or(now.len(), |need| need.saturating_sub(self.held.len())));
            self.held.extend_from_slice(now);
            bytes = later;
            let held = std::mem::take(&mut self.held);
            let used = self.process(cx, &held);
            if used == 0 {
                self.held = held;
            } else {
                self.held = held.get(used..).unwrap_or_default().to_vec();
            }
            if self.is_held_up() {
                break;
            }
        }
        if self.held.is_empty() && !self.is_held_up() {
            let used = self.process(cx, bytes);
            bytes = bytes.get(used..).unwrap_or_default();
        }
        self.held.extend_from_slice(bytes);
        self.flush(cx);
    }

    /// Whether nothing more can be processed now.
    fn is_held_up(&self) -> bool {
        self.admission.is_pending() || self.client.out.end().is_some()
    }

    /// Processes whole operations and says how many bytes they took.
    fn process(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(rest @ [first, ..]) = bytes.get(used..) {
            if self.admission.is_required() && !matches!(first, b'C' | b'c') {
                self.router.flush(&self.shared);
                self.client.out.close(Reason::AuthenticationFailure);
                return bytes.len();
            }
            if self.admission.is_open() && !matches!(first, b'C' | b'c') {
                self.ask(false);
                if self.poll_decision(cx).is_pending() {
                    self.need = None;
                    return used;
                }
                if self.client.out.end().is_some() {
                    return bytes.len();
                }
            }
            let limits = &self.shared.options.limits;
            let headers = self.options.headers();
            let bounds =
                Bounds { control_line: limits.max_control_line, payload: limits.max_payload, headers };
            let flow = match protocol::parse(rest, bounds) {
                Ok(Step::Incomplete(need)) => {
                    self.need = need;
                    return used;
                }
                Ok(Step::Frame(frame, taken)) => {
                    used += taken;
                    self.handle(cx, &frame)
                }
                Err(violation) => Flow::End(violation.into()),
            };
            match flow {
                Flow::Next => {}
                Flow::Wait => {
                    self.need = None;
                    return used;
                }
                Flow::End(reason) => {
                    self.router.flush(&self.shared);
                    self.client.out.close(reason);
                    return bytes.len();
                }
            }
        }
        self.need = None;
        used
    }

    /// Hands over all that was gathered.
    fn flush(&mut self, cx: &mut Context<'_>) {
        if let Some(behind) = self.router.flush(&self.shared)
            && behind.out.await_room(cx.waker())
        {
            let until = Instant::now() + STALL;
            self.deadlines.at_latest(until);
            self.stalled_by = Some((behind, until));
        }
    }

    /// Writes what waits.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut progress = false;
        let result = self.client.out.poll_drain(cx, &mut self.stream, &mut progress);
        let blocked = result.is_pending() && self.client.out.backlog() > 0;
        self.deadlines.written(blocked, progress);
        match result {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) => {
                self.client.out.close(Reason::WriteError);
                Poll::Ready(())
            }
        }
    }

    /// Writes the last words and what still waits.
    fn poll_end(&mut self, cx: &mut Context<'_>, reason: Reason) -> Poll<Reason> {
        if !reason.flushes() {
            return Poll::Ready(reason);
        }
        if !self.last_words {
            self.last_words = true;
            if let Some(error) = reason.error() {
                self.client.out.send_last(format!("-ERR '{error}'\r\n").as_bytes());
            }
            self.deadlines.ends();
        }
        if self.poll_deadlines(cx) {
            return Poll::Ready(reason);
        }
        let mut progress = false;
        let drained = self.client.out.poll_drain(cx, &mut self.stream, &mut progress);
        if drained.is_pending() {
            return Poll::Pending;
        }
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        Poll::Ready(reason)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let this = self.get_mut();
        this.client.out.attach(cx.waker());
        for _ in 0..READS {
            if let Some(reason) = this.client.out.end() {
                return this.poll_end(cx, reason);
            }
            this.poll_deadlines(cx);
            let input = this.poll_input(cx);
            let _ = this.drain(cx);
            if input.is_pending() && this.client.out.end().is_none() && !this.poll_deadlines(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl From<Violation> for Reason {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Unknown => Self::ParseError,
            Violation::Arguments => Self::ProtocolViolation,
            Violation::ControlLine => Self::MaxControlLine,
            Violation::Payload => Self::MaxPayload,
        }
    }
}
