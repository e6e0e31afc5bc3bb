//! The bus on a Kafka cluster, by a client in pure Rust.
//!
//! It waits for all replicas (`acks=all`). A batch that is sent again after a failure may be stored twice: consumers
//! tell repetitions by `ce_id`. The client behind `idempotent=true` lets the brokers do that.

mod record;
mod session;

use async_trait::async_trait;
use flagbase_core::events::{CloudEvent, EventBus, Halted};
use tokio::sync::Mutex;

pub(crate) use self::{record::Record, session::Session};
use crate::target::KafkaTarget;

/// Publishes to a topic of a Kafka cluster.
pub(crate) struct KafkaBus {
    target: KafkaTarget,
    session: Mutex<Option<Session>>,
}

impl KafkaBus {
    /// A bus that connects when it is first used.
    pub(crate) fn new(target: KafkaTarget) -> Self {
        Self { target, session: Mutex::new(None) }
    }
}

#[async_trait]
impl EventBus for KafkaBus {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        let mut held = self.session.lock().await;
        // Taken out: whatever fails, even by being given up half way, is not used again.
        let session = held.take();
        let publishing = async {
            let session = match session {
                Some(session) => session,
                None => Session::open(&self.target).await.map_err(|error| Halted::unavailable(0, error))?,
            };
            let outcome = session.publish(events).await;
            Ok((session, outcome))
        };
        let (session, outcome) = tokio::time::timeout(self.target.timeout, publishing)
            .await
            .map_err(|_| Halted::unavailable(0, "the Kafka brokers do not acknowledge in time"))??;
        if Session::is_usable_after(&outcome) {
            *held = Some(session);
        }
        outcome
    }
}
