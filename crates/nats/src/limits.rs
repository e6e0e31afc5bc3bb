//! How much one client, and all of them together, may take.

use std::time::Duration;

/// Bounds of the server. The defaults are what NATS clients expect.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest message with its headers, in bytes.
    pub max_payload: usize,
    /// Longest line of the protocol after its verb, in bytes.
    pub max_control_line: usize,
    /// What may wait to be written to one client, in bytes. Beyond that the client is disconnected.
    pub max_pending: usize,
    /// Connections at the same time; 0 means any number.
    pub max_connections: usize,
    /// Subscriptions of one connection; 0 means any number.
    pub max_subscriptions: usize,
    /// How often a client is asked whether it is still there.
    pub ping_interval: Duration,
    /// How many questions may stay unanswered.
    pub ping_max: u32,
    /// How long a client may take to say who it is, where that is asked for.
    pub auth_timeout: Duration,
    /// How long a client may take no byte while there is something to write to it.
    pub write_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 1024 * 1024,
            max_control_line: 4096,
            max_pending: 64 * 1024 * 1024,
            max_connections: 65536,
            max_subscriptions: 0,
            ping_interval: Duration::from_mins(2),
            ping_max: 2,
            auth_timeout: Duration::from_secs(2),
            write_deadline: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Backlog of a subscriber, in bytes, from which its publishers are slowed down.
    pub(crate) fn stall(&self) -> usize {
        (self.max_pending / 2).min(8 * 1024 * 1024)
    }
}
