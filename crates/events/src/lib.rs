//! Moves events: buses that carry the change log to whoever listens.
//!
//! Adapters are chosen at compile time by features (`nats`, `kafka`, `kafka-rdkafka`) and at run time by `events.url`.
#![forbid(unsafe_code)]

mod embedded;
#[cfg(feature = "kafka-rdkafka")]
mod idempotent;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
mod open;
mod target;
#[cfg(any(feature = "nats", feature = "kafka"))]
mod tls;
mod url;
mod webhooks;

use std::{sync::Arc, time::Duration};

use flagbase_core::{events::EventBus, tasks::Tasks};

pub use embedded::{Authority, Embedded, EmbeddedError, EmbeddedOptions};
pub use flagbase_nats::{StartError, TlsError};
pub use open::OpenError;
pub use target::{
    Hidden, KafkaTarget, Mechanism, NatsLogin, NatsTarget, Sasl, StreamTarget, Target, TlsTarget, UrlError,
};
pub use webhooks::{SetupError, WebhookSender};

/// Opens the external bus that `url` (`events.url`) names; `None` when it names none.
///
/// Nobody has to be there yet: it connects in the background by `tasks`, and again whenever it has to. A stream that it
/// makes keeps events for `keep` (`events.retention`), unless the address says how long.
pub fn open(url: &str, keep: Duration, tasks: &Tasks) -> Result<Option<Arc<dyn EventBus>>, OpenError> {
    match Target::parse(url)? {
        Target::Embedded => Ok(None),
        Target::Nats(mut target) => {
            target.stream = target.stream.map(|stream| StreamTarget { keep, ..stream });
            nats_bus(*target, tasks).map(Some)
        }
        Target::Kafka(target) if target.idempotent => idempotent_bus(*target, tasks).map(Some),
        Target::Kafka(target) => kafka_bus(*target, tasks).map(Some),
    }
}

#[cfg(feature = "nats")]
#[expect(clippy::unnecessary_wraps, reason = "it fails when it is not built in")]
fn nats_bus(target: NatsTarget, tasks: &Tasks) -> Result<Arc<dyn EventBus>, OpenError> {
    Ok(open::warmed(nats::NatsBus::new(target), tasks))
}

#[cfg(not(feature = "nats"))]
fn nats_bus(_: NatsTarget, _: &Tasks) -> Result<Arc<dyn EventBus>, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: "nats", feature: "nats" })
}

#[cfg(feature = "kafka")]
#[expect(clippy::unnecessary_wraps, reason = "it fails when it is not built in")]
fn kafka_bus(target: KafkaTarget, tasks: &Tasks) -> Result<Arc<dyn EventBus>, OpenError> {
    Ok(open::warmed(kafka::KafkaBus::new(target), tasks))
}

#[cfg(not(feature = "kafka"))]
fn kafka_bus(_: KafkaTarget, _: &Tasks) -> Result<Arc<dyn EventBus>, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: "kafka", feature: "kafka" })
}

#[cfg(feature = "kafka-rdkafka")]
fn idempotent_bus(target: KafkaTarget, tasks: &Tasks) -> Result<Arc<dyn EventBus>, OpenError> {
    let bus = idempotent::IdempotentBus::new(target).map_err(OpenError::Unusable)?;
    Ok(open::warmed(bus, tasks))
}

#[cfg(not(feature = "kafka-rdkafka"))]
fn idempotent_bus(_: KafkaTarget, _: &Tasks) -> Result<Arc<dyn EventBus>, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: "kafka", feature: "kafka-rdkafka" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_hours(24);

    #[test]
    fn an_empty_address_opens_nothing() {
        assert!(open("", KEEP, &Tasks::new()).unwrap().is_none());
    }

    #[test]
    fn an_address_that_makes_no_sense_is_told_whatever_is_built_in() {
        for url in ["amqp://one", "nats://one?typo=1", "kafka://one/a b"] {
            assert!(matches!(open(url, KEEP, &Tasks::new()), Err(OpenError::Url(_))), "{url}");
        }
    }

    #[cfg(not(feature = "nats"))]
    #[test]
    fn a_bus_that_is_not_built_in_is_told_with_the_feature_that_brings_it() {
        let error = |url| open(url, KEEP, &Tasks::new()).err().unwrap().to_string();
        assert!(error("nats://one").contains("built without it: build it with `--features nats`"));
        assert!(error("kafka://one/t").contains("`--features kafka`"));
        assert!(error("kafka://one/t?idempotent").contains("`--features kafka-rdkafka`"));
    }
}
