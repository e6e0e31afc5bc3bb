//! The bus on a Kafka cluster, by librdkafka's idempotent producer: the brokers drop what is sent twice.

use std::time::Duration;

use async_trait::async_trait;
use flagbase_core::{
    catalog::BoxError,
    events::{CloudEvent, EventBus, Halted},
};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, PurgeConfig},
};
use tokio::sync::Mutex;

use crate::{
    kafka::{Record, Session},
    target::{KafkaTarget, Mechanism},
};

/// Publishes to a topic of a Kafka cluster.
pub(crate) struct IdempotentBus {
    target: KafkaTarget,
    producer: Mutex<Option<FutureProducer>>,
}

impl IdempotentBus {
    /// A bus that connects when it is first used. Fails for what this client is built without.
    pub(crate) fn new(target: KafkaTarget) -> Result<Self, BoxError> {
        let scram = target.sasl.as_ref().is_some_and(|sasl| sasl.mechanism != Mechanism::Plain);
        if target.tls.is_some() || scram {
            return Err(
                "the client behind `idempotent=true` speaks neither TLS nor SCRAM: leave `idempotent` out"
                    .into(),
            );
        }
        Ok(Self { target, producer: Mutex::new(None) })
    }

    async fn connect(&self) -> Result<FutureProducer, BoxError> {
        // Asks for the topic and makes it, which librdkafka would leave to the brokers.
        Session::open(&self.target).await?;
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.target.hosts.join(","))
            .set("client.id", "flagbase")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", self.target.timeout.as_millis().to_string())
            // The brokers say what is too large; the client has no opinion.
            .set("message.max.bytes", "100000000");
        if let Some(sasl) = &self.target.sasl {
            config
                .set("security.protocol", "sasl_plaintext")
                .set("sasl.mechanism", "PLAIN")
                .set("sasl.username", &sasl.user)
                .set("sasl.password", sasl.password.reveal());
        }
        Ok(config.create()?)
    }

    async fn send(&self, producer: &FutureProducer, events: &[CloudEvent]) -> Result<(), Halted> {
        let mut waiting = Vec::with_capacity(events.len());
        for (place, event) in events.iter().enumerate() {
            let record = Record::of(event).map_err(|error| Halted::refused(place, error))?;
            let sent = enqueue(producer, &self.target.topic, &record);
            waiting.push((record, sent.map_err(|error| Halted::unavailable(place, error))?));
        }
        // Within a partition nothing is stored behind what was not: the first failure is where to go on.
        for (place, (record, delivery)) in waiting.into_iter().enumerate() {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _))) => {
                    return Err(Halted::refused(place, too_large(&record)));
                }
                Ok(Err((error, _))) => return Err(Halted::unavailable(place, error)),
                Err(_) => return Err(Halted::unavailable(place, "the Kafka client gave up")),
            }
        }
        Ok(())
    }
}

fn too_large(record: &Record) -> String {
    let (key, size) = (&record.key, record.size());
    format!(
        "the event about `{key}` has {size} bytes, more than the Kafka brokers take: raise `max.message.bytes` of the \
         topic"
    )
}

fn enqueue(producer: &FutureProducer, topic: &str, record: &Record) -> Result<DeliveryFuture, KafkaError> {
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    });
    let theirs = FutureRecord::to(topic)
        .key(&record.key)
        .payload(&record.value)
        .timestamp(record.milliseconds)
        .headers(headers);
    producer.send_result(theirs).map_err(|(error, _)| error)
}

#[async_trait]
impl EventBus for IdempotentBus {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        let mut held = self.producer.lock().await;
        let producer = match held.take() {
            Some(producer) => producer,
            None => tokio::time::timeout(self.target.timeout, self.connect())
                .await
                .map_err(|_| Halted::unavailable(0, "the Kafka brokers do not answer"))?
                .map_err(|error| Halted::unavailable(0, error))?,
        };
        // A little longer than the client itself, which says what is wrong.
        let limit = self.target.timeout + Duration::from_secs(1);
        let outcome = tokio::time::timeout(limit, self.send(&producer, events))
            .await
            .unwrap_or_else(|_| Err(Halted::unavailable(0, "the Kafka brokers do not acknowledge in time")));
        if outcome.is_ok() {
            *held = Some(producer);
        } else {
            // What lingers must not come after what is sent next.
            producer.purge(PurgeConfig::default().queue().inflight());
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    #[test]
    fn what_this_client_cannot_do_is_told_at_the_start() {
        for url in ["kafka://one/t?idempotent&tls", "kafka://alice:x@one/t?idempotent"] {
            let Ok(Target::Kafka(target)) = Target::parse(url) else { panic!("{url}") };
            let error = IdempotentBus::new(*target).err().unwrap().to_string();
            assert!(error.contains("leave `idempotent` out"), "{error}");
        }
    }
}
