//! The bus within this process: a server that speaks the NATS protocol, behind doors of ours.
//!
//! Flagbase publishes into it by function call. It keeps nothing: whoever was not connected reads the change log.

mod door;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use flagbase_core::{
    events::{CloudEvent, EventBus, Halted, Hear, Heard, Listening, MessageError, Messages},
    feed::Feed,
    identity::Identity,
    metrics::Meters,
    tasks::Tasks,
};
use flagbase_nats::{
    Headers, Message, Options, PublishError, Server, StartError, SubscribeError, Tls, TlsError, WebSocket,
    jetstream::Store,
};

use door::Door;

/// How long an event waits until what it means for who may listen is applied; there is no reason for it to take long.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(5);

/// How long clients are given to go elsewhere when the server stops.
const FAREWELL: Duration = Duration::from_millis(200);

/// How the embedded server is to be.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// The address to listen on.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Whether whoever brings no token may see what happens in development environments.
    pub anonymous: bool,
    /// The texts of PEM files: a chain of certificates, and its key. Connections are encrypted then.
    pub tls: Option<(Vec<u8>, Vec<u8>)>,
    /// Where clients connect that speak WebSocket.
    pub websocket: Option<SocketAddr>,
    /// Web origins whose pages may connect by WebSocket; empty: none, `*`: all.
    pub origins: Vec<String>,
    /// Where monitoring is shown, to everybody who asks.
    pub monitor: Option<SocketAddr>,
    /// What keeps streams of programs; without it there are none.
    pub streams: Option<Arc<dyn Store>>,
}

/// Why the embedded server did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A port cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Certificate and key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Whom the embedded server asks.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is named like its type")]
pub struct Authority {
    pub identity: Arc<Identity>,
    pub feed: Arc<Feed>,
    pub meters: Arc<Meters>,
}

/// The running server.
pub struct Embedded {
    server: Server,
    door: Arc<Door>,
}

impl Embedded {
    /// Listens, and looks after who may stay connected until `tasks` end.
    pub async fn start(
        options: EmbeddedOptions,
        authority: Authority,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, EmbeddedError> {
        let door = Arc::new(Door::new(authority, options.anonymous));
        let server = Server::start(server(options, Arc::clone(&door))?).await?;
        Arc::clone(&door).start(server.clone(), tasks);
        Ok(Arc::new(Self { server, door }))
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Takes no more clients, lets those there are go, and ends.
    pub async fn stop(&self) {
        self.server.lame_duck(FAREWELL).await;
    }
}

fn server(options: EmbeddedOptions, access: Arc<Door>) -> Result<Options, TlsError> {
    let EmbeddedOptions { host, port, tls, websocket, origins, monitor, streams, .. } = options;
    let tls = tls.map(|(chain, key)| Tls::from_pem(&chain, &key, None)).transpose()?;
    let websocket = websocket.map(|address| WebSocket {
        address,
        tls: tls.clone(),
        // No page comes from there: without origins that are named, only what is no browser gets in.
        same_origin: origins.is_empty(),
        allowed_origins: if origins.iter().any(|origin| origin == "*") { Vec::new() } else { origins },
        ..WebSocket::default()
    });
    let server_name = Some("flagbase".to_owned());
    Ok(Options {
        host,
        port,
        server_name,
        access,
        tls,
        websocket,
        monitor,
        jetstream: streams,
        // Nobody may let a stream say what only Flagbase says.
        reserved: vec!["flagbase.>".to_owned()],
        ..Options::default()
    })
}

#[async_trait]
impl EventBus for Embedded {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        for (taken, event) in events.iter().enumerate() {
            let applied = tokio::time::timeout(CATCH_UP_WITHIN, self.door.reached(event.flagbaseseq)).await;
            applied.map_err(|_| Halted::unavailable(taken, "who may listen is not up to date"))?;
            let payload = serde_json::to_vec(event).map_err(|error| Halted::refused(taken, error))?;
            let headers = headers(event).map_err(|error| Halted::refused(taken, error))?;
            for subject in event.subjects() {
                let published = self.server.publish(&subject, None, Some(&headers), &payload);
                published.map_err(|error| Halted::refused(taken, error))?;
            }
        }
        Ok(())
    }
}

fn headers(event: &CloudEvent) -> Result<Headers, flagbase_nats::InvalidHeader> {
    let mut headers = Headers::new();
    headers.add("Content-Type", "application/cloudevents+json")?;
    headers.add("Nats-Msg-Id", event.id.as_str())?;
    Ok(headers)
}

impl Messages for Embedded {
    fn send(&self, subject: &str, payload: Vec<u8>) -> Result<(), MessageError> {
        self.server.publish(subject, None, None, &payload).map_err(|error| match error {
            PublishError::TooLong { limit, .. } => MessageError::TooLarge(limit),
            PublishError::Subject(subject) => MessageError::Subject(subject),
        })
    }

    fn listen(&self, pattern: &str, hear: Hear) -> Result<Listening, MessageError> {
        let receive = move |message: Message| {
            let headers = message.headers();
            let header = |name| headers.as_ref().and_then(|headers| headers.get(name)).map(str::to_owned);
            let (id, content_type) = (header("Nats-Msg-Id"), header("Content-Type").unwrap_or_default());
            hear(Heard { subject: message.subject, id, content_type, payload: message.payload })
        };
        let subscription = self.server.handle(pattern, None, receive).map_err(|error| match error {
            SubscribeError::Pattern(pattern) => MessageError::Subject(pattern),
        })?;
        Ok(Box::new(subscription))
    }
}

#[cfg(test)]
mod tests;
