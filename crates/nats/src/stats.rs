//! What is counted, for monitoring.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};

use crate::ambient;

/// Messages and bytes in one direction. Bytes are payload with headers, without the protocol around it.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Flow {
    pub(crate) fn add(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Messages and bytes so far.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// Counters of the server.
#[derive(Debug)]
pub(crate) struct ServerStats {
    /// From clients, and from within the process.
    pub(crate) received: Flow,
    /// To clients.
    pub(crate) sent: Flow,
    /// Connections ever.
    pub(crate) connections: AtomicU64,
    /// Clients disconnected because they were too slow.
    pub(crate) slow_consumers: AtomicU64,
    /// Clients disconnected because they did not answer.
    pub(crate) stale_connections: AtomicU64,
    pub(crate) started: SystemTime,
    /// For times of activity.
    pub(crate) since: Instant,
}

/// Counters of one connection.
#[derive(Debug)]
pub(crate) struct ClientStats {
    /// From the client.
    pub(crate) received: Flow,
    /// To the client.
    pub(crate) sent: Flow,
    pub(crate) started: SystemTime,
    since: Instant,
    /// Milliseconds after `since`.
    active: AtomicU64,
    rtt_ns: AtomicU64,
}

impl ServerStats {
    pub(crate) fn new() -> Self {
        Self {
            received: Flow::default(),
            sent: Flow::default(),
            connections: AtomicU64::new(0),
            slow_consumers: AtomicU64::new(0),
            stale_connections: AtomicU64::new(0),
            started: ambient::now(),
            since: Instant::now(),
        }
    }
}

impl ClientStats {
    pub(crate) fn new() -> Self {
        Self {
            received: Flow::default(),
            sent: Flow::default(),
            started: ambient::now(),
            since: Instant::now(),
            active: AtomicU64::new(0),
            rtt_ns: AtomicU64::new(0),
        }
    }

    /// Notes that something was received or sent just now.
    pub(crate) fn touch(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active.store(millis, Ordering::Relaxed);
    }

    /// When something was last received or sent.
    pub(crate) fn last_activity(&self) -> SystemTime {
        self.started + Duration::from_millis(self.active.load(Ordering::Relaxed))
    }

    /// How long nothing was received or sent.
    pub(crate) fn idle(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.active.load(Ordering::Relaxed)))
    }

    pub(crate) fn set_rtt(&self, rtt: Duration) {
        self.rtt_ns.store(u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long the last answered ping took; zero before the first.
    pub(crate) fn rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt_ns.load(Ordering::Relaxed))
    }

    /// How long the connection exists.
    pub(crate) fn uptime(&self) -> Duration {
        self.since.elapsed()
    }
}
