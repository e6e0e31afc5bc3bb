//! Whether the client may connect, which may take a while to find out.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::{Admitted, Credentials, Denied, Permissions, client::Transport, reason::Reason};

type Decision = Pin<Box<dyn Future<Output = Result<Admitted, Denied>> + Send>>;

/// Whether the client may connect.
pub(super) enum Admission {
    /// It has to say who it is before anything else.
    Required,
    /// It may do so.
    Open,
    /// It has, and somebody decides. What it sends meanwhile waits.
    Pending(Decision),
    /// It was admitted.
    Granted,
}

impl Admission {
    pub(super) fn is_required(&self) -> bool {
        matches!(self, Self::Required)
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self, Self::Pending(_))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Asks who the client is. It has said so in `self.options`.
    pub(super) fn ask(&mut self) {
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
        self.admission = Admission::Pending(Box::pin(async move { access.admit(&credentials).await }));
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
        let Admission::Pending(decision) = &mut self.admission else { return Poll::Ready(false) };
        match ready!(decision.as_mut().poll(cx)) {
            Ok(admitted) => self.admit(admitted),
            Err(denied) => {
                self.admission = Admission::Required;
                self.client.out.close(denied.into());
            }
        }
        Poll::Ready(true)
    }

    fn admit(&mut self, admitted: Admitted) {
        self.client.admit(&admitted);
        if let Some(max) = admitted.max_subscriptions {
            self.max_subscriptions = max;
        }
        let restricted = admitted.permissions != Permissions::default();
        self.permissions = restricted.then(|| Arc::new(admitted.permissions));
        self.router.flush(&self.shared);
        self.router.forget();
        self.admission = Admission::Granted;
        self.deadlines.admitted(&self.shared.options.limits, admitted.expires_after);
        if self.options.verbose() {
            self.router.answer(b"+OK\r\n");
        }
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
