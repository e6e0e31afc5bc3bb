//! What the rest of the server knows of one connection.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::net::tcp::OwnedWriteHalf;

use crate::{
    Admitted, Identity, Responses, limits::Limits, outbound::Outbound, reason::Reason, stats::ClientStats,
    subscription::Sub,
};

mod replies;

use replies::Replies;

/// What a connection runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    WebSocket,
}

/// Where a connection came from. TLS and WebSocket fill it in for `listener::serve`.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    /// The socket, when nothing lies between it and the protocol: then others may write to it. The client takes it.
    pub(crate) direct: Option<Arc<OwnedWriteHalf>>,
    /// Subject of the verified client certificate.
    pub(crate) tls_subject: Option<String>,
    /// Version and cipher, for monitoring.
    pub(crate) tls: Option<(String, String)>,
}

/// What the rest of the server knows of one connection.
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) origin: Origin,
    pub(crate) out: Outbound,
    pub(crate) stats: ClientStats,
    /// By the name the client gave them.
    pub(crate) subs: Mutex<HashMap<Box<[u8]>, Arc<Sub>, foldhash::fast::RandomState>>,
    pub(crate) about: Mutex<About>,
    headers: AtomicBool,
    /// Set when the connection has ended.
    pub(crate) ended: OnceLock<Reason>,
    tracks_replies: AtomicBool,
    replies: Mutex<Option<Box<Replies>>>,
}

/// What the client said of itself, for monitoring.
#[derive(Debug, Default, Clone)]
pub(crate) struct About {
    pub(crate) name: Option<String>,
    pub(crate) lang: Option<String>,
    pub(crate) version: Option<String>,
    /// Level of the protocol; from 1 on it wants to know what changes at the server.
    pub(crate) protocol: u8,
    /// Set once it was admitted.
    pub(crate) identity: Option<Identity>,
}

impl Client {
    pub(crate) fn new(id: u64, mut origin: Origin, limits: &Limits) -> Self {
        Self {
            id,
            out: Outbound::new(origin.direct.take(), limits.max_pending, limits.stall()),
            origin,
            stats: ClientStats::new(),
            subs: Mutex::default(),
            about: Mutex::default(),
            headers: AtomicBool::new(false),
            ended: OnceLock::new(),
            tracks_replies: AtomicBool::new(false),
            replies: Mutex::new(None),
        }
    }

    /// Whether it understands messages with headers.
    pub(crate) fn headers(&self) -> bool {
        self.headers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_headers(&self, headers: bool) {
        self.headers.store(headers, Ordering::Relaxed);
    }

    /// Remembers whom it was admitted as.
    pub(crate) fn admit(&self, admitted: &Admitted) {
        self.about.lock().identity = Some(admitted.identity.clone());
        self.track_replies(admitted.permissions.responses);
    }

    fn track_replies(&self, responses: Option<Responses>) {
        *self.replies.lock() = responses.map(|responses| Box::new(Replies::new(responses)));
        self.tracks_replies.store(responses.is_some(), Ordering::Relaxed);
    }

    /// Notes that it was sent a message that asks for an answer.
    pub(crate) fn was_asked(&self, reply: &[u8]) {
        if self.tracks_replies.load(Ordering::Relaxed)
            && let Some(replies) = self.replies.lock().as_mut()
        {
            replies.expect(reply);
        }
    }

    /// Whether it may publish there because it was asked to. Counts as an answer.
    pub(crate) fn may_answer(&self, subject: &[u8]) -> bool {
        self.tracks_replies.load(Ordering::Relaxed)
            && self.replies.lock().as_mut().is_some_and(|replies| replies.take(subject))
    }
}
