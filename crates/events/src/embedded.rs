//! The bus within this process: a server that speaks the NATS protocol, behind doors of ours.
//!
//! Flagbase publishes into it by function call. It keeps nothing: whoever was not connected reads the change log.

mod door;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use flagbase_core::{
    events::{CloudEvent, EventBus, Halted, MessageError, Messages},
    feed::Feed,
    identity::Identity,
    metrics::Meters,
    tasks::Tasks,
};
use flagbase_nats::{Headers, Options, PublishError, Server, StartError};

use door::Door;

/// How long an event waits until what it means for who may listen is applied; there is no reason for it to take long.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(5);

/// How long clients are given to go elsewhere when the server stops.
const FAREWELL: Duration = Duration::from_millis(200);

/// How the embedded server is to be.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The address to listen on.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Whether whoever brings no token may see what happens in development environments.
    pub anonymous: bool,
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
    ) -> Result<Arc<Self>, StartError> {
        let EmbeddedOptions { host, port, anonymous } = options;
        let door = Arc::new(Door::new(authority, anonymous));
        let access = Arc::clone(&door);
        let name = Some("flagbase".to_owned());
        let server =
            Server::start(Options { host, port, server_name: name, access, ..Options::default() }).await?;
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
}

#[cfg(test)]
mod tests;
