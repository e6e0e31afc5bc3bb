//! The bus on an external NATS server: core NATS, or a `JetStream` stream that keeps the events.
//!
//! A session is one connection. It is given up after every failure, so that nothing of a failed batch lingers in a
//! client's buffers, and the next batch connects anew.

mod core;
mod session;
mod stream;

use std::time::Duration;

use async_nats::{
    HeaderMap,
    connection::State,
    header::{NATS_EXPECTED_LAST_MESSAGE_ID, NATS_MESSAGE_ID},
};
use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    catalog::BoxError,
    events::{CloudEvent, EventBus, Halted},
};
use tokio::sync::Mutex;

use self::session::Session;
use crate::target::NatsTarget;

/// How long a connection may take to be made, at most.
const CONNECT: Duration = Duration::from_secs(5);

/// Publishes to an external NATS server.
pub(crate) struct NatsBus {
    target: NatsTarget,
    session: Mutex<Option<Session>>,
}

impl NatsBus {
    /// A bus that connects when it is first used.
    pub(crate) fn new(target: NatsTarget) -> Self {
        Self { target, session: Mutex::new(None) }
    }

    async fn session(&self) -> Result<Session, BoxError> {
        let opened =
            tokio::time::timeout(CONNECT.min(self.target.timeout), Session::open(&self.target)).await;
        opened.map_err(|_| BoxError::from("the NATS server does not answer"))?
    }
}

#[async_trait]
impl EventBus for NatsBus {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        let mut held = self.session.lock().await;
        let session = match held.take() {
            Some(session) if session.client.connection_state() == State::Connected => session,
            _ => self.session().await.map_err(|error| Halted::unavailable(0, error))?,
        };
        let mut taken = 0;
        let publishing = session.publish(events, &mut taken);
        let outcome = tokio::time::timeout(self.target.timeout, publishing).await;
        match outcome {
            Ok(Ok(())) => {
                *held = Some(session);
                Ok(())
            }
            Ok(Err(Problem::Refused(error))) => {
                *held = Some(session);
                Err(Halted::refused(taken, error))
            }
            Ok(Err(Problem::Unavailable(error))) => Err(Halted::unavailable(taken, error)),
            Err(_) => Err(Halted::unavailable(taken, "the NATS server does not acknowledge in time")),
        }
    }
}

/// Why not everything was published.
enum Problem {
    /// Not now.
    Unavailable(BoxError),
    /// Not this event, ever.
    Refused(BoxError),
}

impl<E: Into<BoxError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Unavailable(error.into())
    }
}

/// One message: an event on one of its subjects.
struct Message {
    subject: String,
    /// What the server tells repetitions by: the id of the event, and on its scoped subject `<id>.scoped`.
    id: String,
    payload: Bytes,
}

impl Message {
    /// The messages of `event`: structured JSON, the same on each subject.
    fn of(event: &CloudEvent) -> Result<Vec<Self>, serde_json::Error> {
        let payload = Bytes::from(serde_json::to_vec(event)?);
        let ids = [event.id.clone(), format!("{}.scoped", event.id)];
        let messages = event.subjects().zip(ids);
        Ok(messages.map(|(subject, id)| Self { subject, id, payload: payload.clone() }).collect())
    }

    /// Its headers; `after` is the id of the message that must be the last before it.
    fn headers(&self, after: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/cloudevents+json");
        headers.insert(NATS_MESSAGE_ID, self.id.as_str());
        if let Some(id) = after {
            headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, id);
        }
        headers
    }

    /// What to say when it is larger than the server takes.
    fn too_large(&self, most: usize) -> Problem {
        let Self { subject, id, payload } = self;
        let size = payload.len();
        Problem::Refused(
            format!(
                "event `{id}` on `{subject}` has {size} bytes, but the NATS server takes at most {most} with headers: \
                 raise its `max_payload`"
            )
            .into(),
        )
    }
}

#[cfg(test)]
mod tests;
