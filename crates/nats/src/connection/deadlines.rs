//! What a connection has to do by when. One timer serves all of it.

use std::{future::Future, pin::Pin, task::Context, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};

use super::Connection;
use crate::{limits::Limits, reason::Reason};

/// How soon a new client is pinged for the first time, which tells the round-trip time.
const FIRST_PING: Duration = Duration::from_secs(2);
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What has to happen by when.
pub(super) struct Deadlines {
    timer: Pin<Box<Sleep>>,
    ping: Instant,
    /// When the ping that is not answered was sent.
    pinged: Option<Instant>,
    unanswered: u32,
    /// The client has to have said who it is.
    authenticated: Option<Instant>,
    expires: Option<Instant>,
    /// The client has to have taken a byte.
    written: Option<Instant>,
    write_deadline: Duration,
    /// Something else is to be looked at.
    other: Option<Instant>,
    ended: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(limits: &Limits, asks: bool) -> Self {
        let now = Instant::now();
        let authenticated = asks.then(|| now + limits.auth_timeout);
        let ping = now + limits.ping_interval;
        Self {
            timer: Box::pin(sleep_until(authenticated.unwrap_or(ping).min(ping))),
            ping,
            pinged: None,
            unanswered: 0,
            authenticated,
            expires: None,
            written: None,
            write_deadline: limits.write_deadline,
            other: None,
            ended: None,
        }
    }

    /// Looks at everything again by then.
    pub(super) fn at_latest(&mut self, at: Instant) {
        self.other = Some(at);
        self.arm(at);
    }

    pub(super) fn admitted(&mut self, limits: &Limits, expires_after: Option<Duration>) {
        let now = Instant::now();
        self.authenticated = None;
        self.expires = expires_after.and_then(|after| now.checked_add(after));
        self.ping = now + limits.ping_interval.min(FIRST_PING);
        self.arm(self.expires.map_or(self.ping, |expires| expires.min(self.ping)));
    }

    /// How writing went: whether something still waits, and whether the client took anything.
    pub(super) fn written(&mut self, blocked: bool, progress: bool) {
        if !blocked {
            self.written = None;
        } else if progress || self.written.is_none() {
            let at = Instant::now() + self.write_deadline;
            self.written = Some(at);
            self.arm(at);
        }
    }

    /// The connection ends now.
    pub(super) fn ends(&mut self) {
        let at = Instant::now() + LAST_WORDS;
        self.ended = Some(at);
        self.arm(at);
    }

    /// A pong came. How long it took, if a ping asked for it.
    pub(super) fn answered(&mut self) -> Option<Duration> {
        self.unanswered = 0;
        self.pinged.take().map(|pinged| pinged.elapsed())
    }

    fn arm(&mut self, at: Instant) {
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }

    fn next(&self) -> Instant {
        let others = [self.authenticated, self.expires, self.written, self.other, self.ended];
        others.into_iter().flatten().fold(self.ping, Instant::min)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Does what is due. Whether the time for last words is over, or the connection has to end.
    pub(super) fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> bool {
        while self.deadlines.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.deadlines.ended.is_some_and(|ended| ended <= now) {
                return true;
            }
            if let Some(reason) = self.overdue(now) {
                self.client.out.close(reason);
                self.deadlines.timer.as_mut().reset(now + LAST_WORDS);
                return true;
            }
            self.deadlines.other.take_if(|other| *other <= now);
            let next = self.deadlines.next();
            self.deadlines.timer.as_mut().reset(next);
        }
        false
    }

    fn overdue(&mut self, now: Instant) -> Option<Reason> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let deadlines = &self.deadlines;
        if due(deadlines.authenticated) {
            return Some(Reason::AuthenticationTimeout);
        }
        if due(deadlines.expires) {
            return Some(Reason::AuthenticationExpired);
        }
        if due(deadlines.written) {
            return Some(Reason::SlowConsumerWriteDeadline);
        }
        if deadlines.ping <= now { self.ping(now) } else { None }
    }

    fn ping(&mut self, now: Instant) -> Option<Reason> {
        let limits = &self.shared.options.limits;
        let interval = limits.ping_interval;
        self.deadlines.ping = now + interval;
        let known = !self.client.stats.rtt().is_zero();
        if known && self.client.stats.idle() < interval {
            self.deadlines.unanswered = 0;
            return None;
        }
        if self.deadlines.unanswered >= limits.ping_max {
            return Some(Reason::Stale);
        }
        self.deadlines.unanswered += 1;
        self.deadlines.pinged = Some(now);
        // Routes are kept for whoever publishes; this one does not.
        self.router.flush(&self.shared);
        self.router.forget();
        self.router.answer(b"PING\r\n");
        self.router.flush(&self.shared);
        None
    }

    pub(super) fn pong(&mut self) {
        if let Some(rtt) = self.deadlines.answered() {
            self.client.stats.set_rtt(rtt.max(Duration::from_nanos(1)));
        }
    }
}
