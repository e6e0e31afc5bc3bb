//! `/varz`: the server as a whole.

use std::{sync::atomic::Ordering, thread};

use serde::Serialize;

use super::shown;
use crate::{ambient, shared::Shared};

/// The server as a whole.
#[derive(Serialize)]
pub(super) struct Varz<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'a str,
    proto: u8,
    go: &'static str,
    host: &'a str,
    port: u16,
    #[serde(flatten)]
    security: Security,
    #[serde(flatten)]
    limits: Limits,
    http_host: String,
    http_port: u16,
    http_base_path: &'static str,
    https_port: u16,
    cluster: Nothing,
    gateway: Nothing,
    leaf: Nothing,
    mqtt: Nothing,
    websocket: WebSocket,
    jetstream: Nothing,
    start: String,
    now: String,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    #[serde(flatten)]
    traffic: Traffic,
    config_load_time: String,
}

#[derive(Serialize)]
struct Security {
    #[serde(skip_serializing_if = "is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
}

#[derive(Serialize)]
struct Limits {
    max_connections: usize,
    #[serde(skip_serializing_if = "is_zero")]
    max_subscriptions: usize,
    ping_interval: u64,
    ping_max: u32,
    auth_timeout: f64,
    max_control_line: usize,
    max_payload: usize,
    max_pending: usize,
    tls_timeout: f64,
    write_deadline: u64,
}

#[derive(Serialize)]
struct Traffic {
    connections: usize,
    total_connections: u64,
    routes: u32,
    remotes: u32,
    leafnodes: u32,
    in_msgs: u64,
    in_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    slow_consumers: u64,
    stale_connections: u64,
    subscriptions: usize,
    slow_consumer_stats: Kinds,
    stale_connection_stats: Kinds,
}

/// A part that this server does not have.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct WebSocket {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "is_false")]
    no_tls: bool,
    #[serde(skip_serializing_if = "is_false")]
    same_origin: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_origins: Vec<String>,
}

/// Counts by who was at the other end. Here there are only clients.
#[derive(Serialize)]
struct Kinds {
    clients: u64,
    routes: u64,
    gateways: u64,
    leafs: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

impl<'a> Varz<'a> {
    /// As it is now.
    pub(super) fn of(shared: &'a Shared) -> Self {
        let options = &shared.options;
        let now = ambient::now();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            server_id: &shared.id,
            server_name: options.server_name.as_deref().unwrap_or(&shared.id),
            version: &options.version,
            proto: 1,
            go: "",
            host: &options.host,
            port: shared.address.port(),
            security: Security {
                auth_required: options.access.required(),
                tls_required: options.tls.is_some(),
                tls_verify: options.tls.as_ref().is_some_and(crate::Tls::verifies),
            },
            limits: Limits::of(shared),
            http_host: options.monitor.map(|address| address.ip().to_string()).unwrap_or_default(),
            http_port: options.monitor.map_or(0, |address| address.port()),
            http_base_path: "",
            https_port: 0,
            cluster: Nothing {},
            gateway: Nothing {},
            leaf: Nothing {},
            mqtt: Nothing {},
            websocket: WebSocket::of(options.websocket.as_ref()),
            jetstream: Nothing {},
            start: shown::time(shared.stats.started),
            now: shown::time(now),
            uptime: shown::uptime(shared.stats.since.elapsed()),
            mem: memory(),
            cores,
            gomaxprocs: if options.workers == 0 { cores } else { options.workers },
            traffic: Traffic::of(shared),
            config_load_time: shown::time(shared.stats.started),
        }
    }
}

impl Limits {
    fn of(shared: &Shared) -> Self {
        let limits = &shared.options.limits;
        let tls = shared.options.tls.as_ref();
        Self {
            max_connections: limits.max_connections,
            max_subscriptions: limits.max_subscriptions,
            ping_interval: shown::nanos(limits.ping_interval),
            ping_max: limits.ping_max,
            auth_timeout: limits.auth_timeout.as_secs_f64(),
            max_control_line: limits.max_control_line,
            max_payload: limits.max_payload,
            max_pending: limits.max_pending,
            tls_timeout: tls.map_or(0.0, |tls| tls.patience().as_secs_f64()),
            write_deadline: shown::nanos(limits.write_deadline),
        }
    }
}

impl Traffic {
    fn of(shared: &Shared) -> Self {
        let stats = &shared.stats;
        let ((in_msgs, in_bytes), (out_msgs, out_bytes)) = (stats.received.read(), stats.sent.read());
        let (slow_consumers, stale_connections) =
            (stats.slow_consumers.load(Ordering::Relaxed), stats.stale_connections.load(Ordering::Relaxed));
        Self {
            connections: shared.clients.read().len(),
            total_connections: stats.connections.load(Ordering::Relaxed),
            routes: 0,
            remotes: 0,
            leafnodes: 0,
            in_msgs,
            in_bytes,
            out_msgs,
            out_bytes,
            slow_consumers,
            stale_connections,
            subscriptions: shared.subscription_count(),
            slow_consumer_stats: Kinds::clients(slow_consumers),
            stale_connection_stats: Kinds::clients(stale_connections),
        }
    }
}

impl WebSocket {
    fn of(websocket: Option<&crate::WebSocket>) -> Self {
        Self {
            host: websocket.map(|websocket| websocket.address.ip().to_string()),
            port: websocket.map(|websocket| websocket.address.port()),
            no_tls: websocket.is_some_and(|websocket| websocket.tls.is_none()),
            same_origin: websocket.is_some_and(|websocket| websocket.same_origin),
            allowed_origins: websocket.map(|websocket| websocket.allowed_origins.clone()).unwrap_or_default(),
        }
    }
}

impl Kinds {
    fn clients(clients: u64) -> Self {
        Self { clients, routes: 0, gateways: 0, leafs: 0 }
    }
}

/// Bytes of memory the process has, where the system tells it; else 0.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes * 1024)
}
