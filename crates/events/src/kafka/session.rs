//! A topic's partitions, with a connection to the leader of each that was written to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flagbase_core::{
    catalog::BoxError,
    events::{BusError, CloudEvent, Halted},
};
use futures_util::future::join_all;
use rskafka::{
    BackoffConfig,
    chrono::DateTime,
    client::{
        Client, ClientBuilder, Credentials, SaslConfig,
        error::{Error, ProtocolError},
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
};
use tokio::sync::OnceCell;

use super::Record;
use crate::{
    target::{KafkaTarget, Mechanism},
    tls,
};

/// Bytes of one request, about: half of what a broker takes by default.
const REQUEST: usize = 512 * 1024;

/// The partitions of the topic.
pub(crate) struct Session {
    client: Client,
    topic: String,
    partitions: Vec<(i32, OnceCell<Arc<PartitionClient>>)>,
}

/// A record and the place of its event in the batch.
type Placed = (usize, Record);

impl Session {
    /// Finds the topic, and makes it when it is not there and we may.
    pub(crate) async fn open(target: &KafkaTarget) -> Result<Self, BoxError> {
        let client = builder(target)?.build().await?;
        let found = ensure(&client, target).await?;
        let partitions = found.into_iter().map(|partition| (partition, OnceCell::new())).collect();
        Ok(Self { client, topic: target.topic.clone(), partitions })
    }

    /// Whether the connections can be used again.
    pub(super) fn is_usable_after(outcome: &Result<(), Halted>) -> bool {
        !matches!(outcome, Err(Halted { error: BusError::Unavailable(_), .. }))
    }

    /// Produces `events`: in order within a partition, and to all partitions at the same time.
    pub(super) async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        let mut shares: BTreeMap<usize, Vec<Placed>> = BTreeMap::new();
        for (place, event) in events.iter().enumerate() {
            let record = Record::of(event).map_err(|error| Halted::refused(0, error))?;
            shares.entry(record.partition(self.partitions.len())).or_default().push((place, record));
        }
        let producing = shares.into_iter().map(|(partition, share)| self.produce_all(partition, share));
        let failures = join_all(producing).await.into_iter().filter_map(Result::err);
        // Everything before the first that failed is there; what is there behind it will be sent again.
        failures.min_by_key(|halted| halted.taken).map_or(Ok(()), Err)
    }

    async fn produce_all(&self, partition: usize, share: Vec<Placed>) -> Result<(), Halted> {
        let first = share.first().map_or(0, |(place, _)| *place);
        let client = self.leader(partition).await.map_err(|error| Halted::unavailable(first, error))?;
        for request in requests(share) {
            produce(&client, request).await?;
        }
        Ok(())
    }

    async fn leader(&self, partition: usize) -> Result<Arc<PartitionClient>, BoxError> {
        let (number, cell) = self.partitions.get(partition).ok_or("there is no such partition")?;
        let open = async || {
            let opening = self.client.partition_client(&self.topic, *number, UnknownTopicHandling::Retry);
            opening.await.map(Arc::new)
        };
        Ok(Arc::clone(cell.get_or_try_init(open).await?))
    }
}

/// One request; when it is too large for the broker, one request per record.
async fn produce(client: &PartitionClient, request: Vec<Placed>) -> Result<(), Halted> {
    let first = request.first().map_or(0, |(place, _)| *place);
    let records = request.iter().map(|(_, record)| theirs(record)).collect();
    match client.produce(records, Compression::NoCompression).await {
        Ok(_) => return Ok(()),
        Err(error) if is_too_large(&error) => {}
        Err(error) => return Err(Halted::unavailable(first, error)),
    }
    for (place, record) in request {
        match client.produce(vec![theirs(&record)], Compression::NoCompression).await {
            Ok(_) => {}
            Err(error) if is_too_large(&error) => {
                let size = record.size();
                let text = format!(
                    "the event about `{}` has {size} bytes, more than the Kafka brokers take: raise `max.message.bytes` \
                     of the topic",
                    record.key
                );
                return Err(Halted::refused(place, text));
            }
            Err(error) => return Err(Halted::unavailable(place, error)),
        }
    }
    Ok(())
}

fn is_too_large(error: &Error) -> bool {
    let too_large = |error: &ProtocolError| {
        matches!(error, ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge)
    };
    matches!(error, Error::ServerError { protocol_error, .. } if too_large(protocol_error))
}

/// `share` in requests of a bearable size, in order.
fn requests(share: Vec<Placed>) -> Vec<Vec<Placed>> {
    let mut requests: Vec<Vec<Placed>> = Vec::new();
    let mut room = 0;
    for placed in share {
        let size = placed.1.size();
        match requests.last_mut() {
            Some(request) if size <= room => {
                room -= size;
                request.push(placed);
            }
            _ => {
                room = REQUEST.saturating_sub(size);
                requests.push(vec![placed]);
            }
        }
    }
    requests
}

fn theirs(record: &Record) -> rskafka::record::Record {
    let headers = record.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()));
    rskafka::record::Record {
        key: Some(record.key.clone().into_bytes()),
        value: Some(record.value.clone()),
        headers: headers.collect(),
        timestamp: DateTime::from_timestamp_millis(record.milliseconds).unwrap_or_default(),
    }
}

fn builder(target: &KafkaTarget) -> Result<ClientBuilder, BoxError> {
    // Half of the time is for trying again; the rest is for the answer to the last try.
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(1),
        base: 2.0,
        deadline: Some(target.timeout / 2),
    };
    let mut builder = ClientBuilder::new(target.hosts.clone()).client_id("flagbase").backoff_config(backoff);
    if let Some(wanted) = &target.tls {
        builder = builder.tls_config(Arc::new(tls::client(wanted)?));
    }
    if let Some(sasl) = &target.sasl {
        let credentials = Credentials::new(sasl.user.clone(), sasl.password.reveal().to_owned());
        builder = builder.sasl_config(match sasl.mechanism {
            Mechanism::Plain => SaslConfig::Plain(credentials),
            Mechanism::Scram256 => SaslConfig::ScramSha256(credentials),
            Mechanism::Scram512 => SaslConfig::ScramSha512(credentials),
        });
    }
    Ok(builder)
}

/// The partitions of the topic, which is made when it is not there and we may.
async fn ensure(client: &Client, target: &KafkaTarget) -> Result<Vec<i32>, BoxError> {
    let topic = &target.topic;
    let mut found = partitions(client, topic).await?;
    if found.is_empty() {
        if !target.create {
            return Err(
                format!("there is no topic `{topic}`, and `create=false` keeps us from making it").into()
            );
        }
        create(client, target).await?;
        found = partitions(client, topic).await?;
    }
    if found.is_empty() {
        return Err(format!("the topic `{topic}` was made, but is not there yet").into());
    }
    Ok(found)
}

async fn partitions(client: &Client, name: &str) -> Result<Vec<i32>, Error> {
    let topics = client.list_topics().await?;
    let topic = topics.into_iter().find(|topic| topic.name == name);
    Ok(topic.map(|topic| topic.partitions.into_iter().collect()).unwrap_or_default())
}

async fn create(client: &Client, target: &KafkaTarget) -> Result<(), Error> {
    let wait = i32::try_from(target.timeout.as_millis() / 2).unwrap_or(i32::MAX);
    // -1: as the brokers are configured.
    let (partitions, replication) = (target.partitions.unwrap_or(-1), target.replication.unwrap_or(-1));
    let made = client.controller_client()?.create_topic(&target.topic, partitions, replication, wait).await;
    match made {
        // Another node was faster.
        Err(Error::ServerError { protocol_error: ProtocolError::TopicAlreadyExists, .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(place: usize, size: usize) -> Placed {
        let value = vec![b'x'; size];
        (place, Record { key: "k".to_owned(), headers: Vec::new(), value, milliseconds: 0 })
    }

    #[test]
    fn requests_are_bounded_and_keep_the_order() {
        let share = vec![
            placed(0, 200_000),
            placed(1, 200_000),
            placed(2, 200_000),
            placed(3, 900_000),
            placed(4, 1),
        ];
        let places: Vec<Vec<usize>> =
            requests(share).iter().map(|request| request.iter().map(|(place, _)| *place).collect()).collect();
        assert_eq!(places, [vec![0, 1], vec![2], vec![3], vec![4]]);
        assert!(requests(Vec::new()).is_empty());
    }

    #[test]
    fn a_record_is_handed_to_the_client_whole() {
        let record = Record {
            key: "default/k".to_owned(),
            headers: vec![("ce_id", "id-1".to_owned())],
            value: b"{}".to_vec(),
            milliseconds: 1_767_225_600_500,
        };
        let theirs = theirs(&record);
        assert_eq!(theirs.key.as_deref(), Some(&b"default/k"[..]));
        assert_eq!(theirs.headers.get("ce_id").map(Vec::as_slice), Some(&b"id-1"[..]));
        assert_eq!(theirs.timestamp.timestamp_millis(), 1_767_225_600_500);
    }
}
