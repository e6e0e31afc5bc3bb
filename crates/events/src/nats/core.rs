//! Core NATS: nothing is kept, and nothing is acknowledged. A server does what a connection asks in order, so a message
//! to ourselves that comes back says that everything before it has arrived.

use std::sync::{Arc, atomic::Ordering};

use async_nats::{Client, PublishErrorKind, Statistics, Subscriber};
use flagbase_core::{catalog::BoxError, events::CloudEvent};
use futures_util::StreamExt as _;
use tokio::sync::Mutex;

use super::{Message, Problem};

/// Tells when the server has everything that was published before.
pub(super) struct Barrier {
    inbox: String,
    returning: Mutex<Subscriber>,
    statistics: Arc<Statistics>,
}

impl Barrier {
    /// Listens on an inbox of our own.
    pub(super) async fn raise(client: &Client) -> Result<Self, BoxError> {
        let inbox = client.new_inbox();
        let returning = Mutex::new(client.subscribe(inbox.clone()).await?);
        let barrier = Self { inbox, returning, statistics: client.statistics() };
        // A server that does not let us hear ourselves is found now.
        barrier.pass(client).await?;
        Ok(barrier)
    }

    /// Publishes `events` and waits until the server has them.
    pub(super) async fn publish(
        &self,
        client: &Client,
        events: &[CloudEvent],
        taken: &mut usize,
    ) -> Result<(), Problem> {
        let connection = self.connection();
        let mut sent = 0;
        let outcome = send(client, events, &mut sent).await;
        if let Err(Problem::Unavailable(_)) = outcome {
            return outcome;
        }
        self.pass(client).await?;
        // The client mends a broken connection by itself, but not what was under way in it.
        if self.connection() != connection {
            return Err("the connection to the NATS server broke".into());
        }
        *taken = sent;
        outcome
    }

    /// Which connection this is, counted.
    fn connection(&self) -> u64 {
        self.statistics.connects.load(Ordering::Relaxed)
    }

    async fn pass(&self, client: &Client) -> Result<(), BoxError> {
        let mut returning = self.returning.lock().await;
        client.publish(self.inbox.clone(), bytes::Bytes::new()).await?;
        client.flush().await?;
        returning.next().await.map(drop).ok_or_else(|| "the connection to the NATS server was closed".into())
    }
}

async fn send(client: &Client, events: &[CloudEvent], sent: &mut usize) -> Result<(), Problem> {
    for event in events {
        for message in Message::of(event)? {
            let headers = message.headers(None);
            let publishing =
                client.publish_with_headers(message.subject.clone(), headers, message.payload.clone());
            match publishing.await {
                Ok(()) => {}
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    return Err(message.too_large(client.max_payload()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        *sent += 1;
    }
    Ok(())
}
