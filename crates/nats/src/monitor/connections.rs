//! `/connz`: who is connected, and who was.

use std::{cmp::Reverse, sync::Arc};

use serde::Serialize;

use super::{
    Unanswerable,
    query::{self, Query},
    shown,
    subscriptions::Subscription,
};
use crate::{
    ambient,
    client::{Client, Transport},
    shared::Shared,
};

/// A page of connections.
#[derive(Serialize)]
pub(super) struct Connz {
    server_id: String,
    now: String,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    connections: Vec<Connection>,
}

#[derive(Serialize)]
struct Connection {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    transport: &'static str,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<String>,
    uptime: String,
    idle: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    pending_bytes: usize,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cipher_suite: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions_list: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions_list_detail: Option<Vec<Subscription>>,
}

/// How much is told of each connection.
#[derive(Clone, Copy)]
struct Detail {
    users: bool,
    subjects: bool,
    subscriptions: bool,
}

impl Connz {
    /// The page that is asked for.
    pub(super) fn of(shared: &Shared, query: &Query<'_>) -> Result<Self, Unanswerable> {
        let whole = query.get("subs") == Some("detail");
        let detail = Detail {
            users: query.flag("auth")?,
            subjects: !whole && query.flag("subs")?,
            subscriptions: whole,
        };
        let part = query.part()?;
        let mut clients = chosen(shared, query)?;
        sort(&mut clients, query.get("sort").unwrap_or("cid"))?;
        let total = clients.len();
        let shown = part.of(clients);
        let connections: Vec<_> = shown.iter().map(|client| Connection::of(client, detail)).collect();
        Ok(Self {
            server_id: shared.id.clone(),
            now: shown::time(ambient::now()),
            num_connections: connections.len(),
            total,
            offset: part.offset,
            limit: part.limit,
            connections,
        })
    }
}

/// Connections in the state that is asked for, or the one.
fn chosen(shared: &Shared, query: &Query<'_>) -> Result<Vec<Arc<Client>>, Unanswerable> {
    let ended = || shared.ended.lock().iter().cloned().collect::<Vec<_>>();
    let (id, user) = (query.number::<u64>("cid")?, query.get("user"));
    let mut clients = match (query.get("state").unwrap_or("open"), id) {
        (_, Some(_)) | ("any" | "all", _) => [shared.everyone(), ended()].concat(),
        ("open", _) => shared.everyone(),
        ("closed", _) => ended(),
        (other, _) => return Err(query::wrong("state", other, "write `open`, `closed` or `any`")),
    };
    clients.retain(|client| {
        let identity = || client.about.lock().identity.clone();
        id.is_none_or(|id| client.id == id)
            && user.is_none_or(|user| identity().is_some_and(|identity| identity.as_str() == user))
    });
    Ok(clients)
}

fn sort(clients: &mut [Arc<Client>], by: &str) -> Result<(), Unanswerable> {
    clients.sort_by_key(|client| client.id);
    match by {
        "cid" | "start" => {}
        "subs" => clients.sort_by_key(|client| Reverse(client.subs.lock().len())),
        "pending" => clients.sort_by_key(|client| Reverse(client.out.backlog())),
        "msgs_to" => clients.sort_by_key(|client| Reverse(client.stats.sent.read().0)),
        "msgs_from" => clients.sort_by_key(|client| Reverse(client.stats.received.read().0)),
        "bytes_to" => clients.sort_by_key(|client| Reverse(client.stats.sent.read().1)),
        "bytes_from" => clients.sort_by_key(|client| Reverse(client.stats.received.read().1)),
        "last" => clients.sort_by_key(|client| Reverse(client.stats.last_activity())),
        "idle" => clients.sort_by_key(|client| Reverse(client.stats.idle())),
        "uptime" => clients.sort_by_key(|client| Reverse(client.stats.uptime())),
        "rtt" => clients.sort_by_key(|client| Reverse(client.stats.rtt())),
        other => {
            return Err(query::wrong("sort", other, "write `cid`, `subs`, `pending`, `msgs_to`, `idle` …"));
        }
    }
    Ok(())
}

impl Connection {
    fn of(client: &Client, detail: Detail) -> Self {
        let stats = &client.stats;
        let ((in_msgs, in_bytes), (out_msgs, out_bytes)) = (stats.received.read(), stats.sent.read());
        let about = client.about.lock().clone();
        let (tls_version, tls_cipher_suite) = client.origin.tls.clone().unzip();
        // The lock must be free again for the lists below.
        let subscriptions = client.subs.lock().len();
        Self {
            cid: client.id,
            kind: "Client",
            transport: if client.origin.transport == Transport::WebSocket { "websocket" } else { "nats" },
            ip: client.origin.peer.ip().to_string(),
            port: client.origin.peer.port(),
            start: shown::time(stats.started),
            last_activity: shown::time(stats.last_activity()),
            rtt: Some(stats.rtt()).filter(|rtt| !rtt.is_zero()).map(|rtt| format!("{rtt:?}")),
            uptime: shown::uptime(stats.uptime()),
            idle: shown::uptime(stats.idle()),
            reason: client.ended.get().map(|reason| reason.name()),
            pending_bytes: client.out.backlog(),
            in_msgs,
            out_msgs,
            in_bytes,
            out_bytes,
            subscriptions,
            name: about.name,
            lang: about.lang,
            version: about.version,
            tls_version,
            tls_cipher_suite,
            authorized_user: about
                .identity
                .filter(|_| detail.users)
                .map(|identity| identity.as_str().to_owned()),
            subscriptions_list: detail.subjects.then(|| subjects(client)),
            subscriptions_list_detail: detail.subscriptions.then(|| Subscription::all(client)),
        }
    }
}

fn subjects(client: &Client) -> Vec<String> {
    let subs = client.subs.lock();
    let mut subjects: Vec<_> =
        subs.values().map(|sub| String::from_utf8_lossy(&sub.subject).into_owned()).collect();
    subjects.sort();
    subjects
}
