//! Whether the client may connect, which may take a while to find out.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::{
    Admitted, Credentials, Denied, Permissions, client::Transport, reason::Reason, subscription::Sub,
};

type Decision = Pin<Box<dyn Future<Output = Result<Admitted, Denied>> + Send>>;

/// Whether the client may connect.
pub(super) enum Admission {
    /// It has to say who it is before anything else.
    Required,
    /// It need not. What it may do is asked for when it first wants something.
    Open,
    /// Somebody decides. What the client sends meanwhile waits.
    Pending {
        decision: Decision,
        /// Whether the client asked for it, with CONNECT.
        said: bool,
    },
    /// It was admitted.
    Granted,
}

impl Admission {
    pub(super) fn is_required(&self) -> bool {
        matches!(self, Self::Required)
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Asks what the client may do. Who it is, it has `said` in `self.options`, or it went on without.
    pub(super) fn ask(&mut self, said_so: bool) {
        let origin = &self.client.origin;
        let said = self.options.clone();
        self.options.forget_secrets();
        let credentials = Credentials {
            user: said.user,
            password: said.password,
            token: said.token,
            nkey: said.nkey,
            signature: said.signature,
            jwt: said.jwt,
            nonce: self.nonce.clone(),
            name: said.name,
            lang: said.lang,
            version: said.version,
            peer: Some(origin.peer),
            tls_subject: origin.tls_subject.clone().filter(|_| origin.transport != Transport::Tcp),
        };
        let access = Arc::clone(&self.shared.options.access);
        let decision = Box::pin(async move { access.admit(&credentials).await });
        self.admission = Admission::Pending { decision, said: said_so };
    }

    /// Follows the decision, if one is awaited, and processes what has come meanwhile.
    pub(super) fn poll_admission(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.poll_decision(cx)) && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.feed(cx, &held);
        }
        Poll::Ready(())
    }

    /// `true` when a decision has come just now.
    pub(super) fn poll_decision(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Admission::Pending { decision, said } = &mut self.admission else { return Poll::Ready(false) };
        let said = *said;
        match ready!(decision.as_mut().poll(cx)) {
            Ok(admitted) => self.admit(admitted, said),
            Err(denied) => {
                self.admission = Admission::Required;
                self.client.out.close(denied.into());
            }
        }
        Poll::Ready(true)
    }

    fn admit(&mut self, admitted: Admitted, said: bool) {
        self.client.admit(&admitted);
        if let Some(max) = admitted.max_subscriptions {
            self.max_subscriptions = max;
        }
        let restricted = admitted.permissions != Permissions::default();
        self.permissions = restricted.then(|| Arc::new(admitted.permissions));
        self.router.flush(&self.shared);
        self.router.forget();
        self.end_what_is_not_permitted();
        self.admission = Admission::Granted;
        self.deadlines.admitted(&self.shared.options.limits, admitted.expires_after);
        if said && self.options.verbose() {
            self.router.answer(b"+OK\r\n");
        }
    }

    /// Who connects again as somebody else keeps only the subscriptions that this one may have.
    fn end_what_is_not_permitted(&self) {
        let permissions = self.permissions.as_deref();
        let keeps = |sub: &Sub| {
            permissions.is_none_or(|held| held.may_subscribe(&sub.subject, sub.queue.as_deref()))
                && permissions.map(|held| held.denied_within(&sub.subject)).unwrap_or_default() == sub.denied
        };
        self.client.subs.lock().retain(|_, sub| {
            let keeps = keeps(sub);
            if !keeps {
                sub.end();
                self.shared.unsubscribe(sub);
            }
            keeps
        });
    }
}

impl From<Denied> for Reason {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Violation => Self::AuthenticationFailure,
            Denied::Expired => Self::AuthenticationExpired,
            Denied::Revoked => Self::Revoked,
        }
    }
}
