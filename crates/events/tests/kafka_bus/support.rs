//! A broker, a bus on it, and somebody who listens.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use flagbase_core::{
    events::{CloudEvent, EventBus},
    tasks::Tasks,
};
use flagbase_testkit::{BusUnderTest, ExternalServer, bus::Listener};
use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder,
        partition::{PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use serde_json::{Map, Value};

/// Partitions of the topics that are made here.
pub(crate) const PARTITIONS: i32 = 3;

/// A topic on a Tansu of its own; `options` are added to the address.
pub(crate) async fn tansu(options: &str) -> BusUnderTest {
    let server = Arc::new(ExternalServer::tansu().await);
    on(&server, "flagbase", options).await.with_broker(server)
}

/// A new topic on `server`.
pub(crate) async fn on(server: &ExternalServer, topic: &str, options: &str) -> BusUnderTest {
    let bus = bus(&url(server.port(), topic, options));
    let reading = Reading::new(server.port(), topic);
    BusUnderTest::new(bus, reading, ())
}

pub(crate) fn url(port: u16, topic: &str, options: &str) -> String {
    format!("kafka://127.0.0.1:{port}/{topic}?partitions={PARTITIONS}&replication=1&timeout=2s{options}")
}

/// The bus that `url` names.
pub(crate) fn bus(url: &str) -> Arc<dyn EventBus> {
    flagbase_events::open(url, Duration::from_hours(48), &Tasks::new()).unwrap().unwrap()
}

/// A client that gives up early, because whoever uses it tries again.
pub(crate) async fn client(port: u16) -> Result<Client, rskafka::client::error::Error> {
    let backoff = BackoffConfig { deadline: Some(Duration::from_secs(1)), ..BackoffConfig::default() };
    ClientBuilder::new(vec![format!("127.0.0.1:{port}")]).backoff_config(backoff).build().await
}

/// The event that a record in binary mode carries.
pub(crate) fn event_of(record: &Record) -> CloudEvent {
    let mut members = Map::new();
    for (name, value) in &record.headers {
        let text = String::from_utf8(value.clone()).unwrap();
        let value = match name.as_str() {
            "ce_flagbaseseq" => Value::from(text.parse::<u64>().unwrap()),
            _ => Value::from(text),
        };
        let name = match name.as_str() {
            "content-type" => "datacontenttype",
            attribute => attribute.strip_prefix("ce_").unwrap(),
        };
        members.insert(name.to_owned(), value);
    }
    members.insert("data".to_owned(), serde_json::from_slice(record.value.as_ref().unwrap()).unwrap());
    serde_json::from_value(Value::Object(members)).unwrap()
}

/// Reads all partitions of a topic from their beginning, keeping the place itself.
pub(crate) struct Reading {
    port: u16,
    topic: String,
    partitions: Option<Vec<PartitionClient>>,
    places: BTreeMap<i32, i64>,
    waiting: VecDeque<CloudEvent>,
}

impl Reading {
    pub(crate) fn new(port: u16, topic: &str) -> Self {
        let topic = topic.to_owned();
        Self { port, topic, partitions: None, places: BTreeMap::new(), waiting: VecDeque::new() }
    }

    async fn connect(&mut self) -> Result<(), rskafka::client::error::Error> {
        let client = client(self.port).await?;
        let mut partitions = Vec::new();
        for number in 0..PARTITIONS {
            let handling = UnknownTopicHandling::Error;
            partitions.push(client.partition_client(self.topic.clone(), number, handling).await?);
        }
        self.partitions = Some(partitions);
        Ok(())
    }

    async fn fetch(&mut self) -> Result<(), rskafka::client::error::Error> {
        if self.partitions.is_none() {
            self.connect().await?;
        }
        for partition in self.partitions.iter().flatten() {
            let place = self.places.entry(partition.partition()).or_default();
            let (records, end) = partition.fetch_records(*place, 1..50_000_000, 20).await?;
            // A broker that forgets begins anew.
            if end < *place {
                *place = 0;
            }
            for found in records {
                *place = found.offset + 1;
                self.waiting.push_back(event_of(&found.record));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Listener for Reading {
    async fn hear(&mut self) -> CloudEvent {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            // The broker, or the topic, may not be there at the moment.
            if let Err(error) = self.fetch().await {
                self.partitions = None;
                if error.to_string().contains("OffsetOutOfRange") {
                    self.places.clear();
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
    }
}
