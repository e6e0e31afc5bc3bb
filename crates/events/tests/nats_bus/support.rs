//! A nats-server, a bus on it, and somebody who listens.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, Subscriber,
    jetstream::{self, consumer::pull},
};
use async_trait::async_trait;
use flagbase_core::{
    events::{CloudEvent, EventBus},
    tasks::Tasks,
};
use flagbase_testkit::{BusUnderTest, ExternalServer, bus::Listener};
use futures_util::StreamExt as _;

/// The subjects on which each event is once.
pub(crate) const ONCE: &str = "flagbase.*.*";

/// Core NATS on a server of its own.
pub(crate) async fn core() -> BusUnderTest {
    let server = Arc::new(ExternalServer::nats(false, &[]).await);
    let client = connect(server.port()).await;
    let subscriber = client.subscribe(ONCE).await.unwrap();
    client.flush().await.unwrap();
    let bus = bus(&format!("nats://127.0.0.1:{}?timeout=3s", server.port()));
    BusUnderTest::new(bus, Hearing { subscriber, _client: client }, ()).with_broker(server)
}

/// A stream on a server of its own.
pub(crate) async fn stream() -> BusUnderTest {
    let server = Arc::new(ExternalServer::nats(true, &[]).await);
    let bus = bus(&stream_url(server.port()));
    let reading = Reading { port: server.port(), waiting: Vec::new() };
    BusUnderTest::new(bus, reading, ()).with_broker(server)
}

pub(crate) fn stream_url(port: u16) -> String {
    format!("nats://127.0.0.1:{port}?jetstream=FLAGBASE&timeout=3s")
}

/// The bus that `url` names.
pub(crate) fn bus(url: &str) -> Arc<dyn EventBus> {
    flagbase_events::open(url, Duration::from_hours(48), &Tasks::new()).unwrap().unwrap()
}

/// A client that comes back when the server does.
pub(crate) async fn connect(port: u16) -> Client {
    async_nats::ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(20))
        .connect(format!("127.0.0.1:{port}"))
        .await
        .unwrap()
}

pub(crate) fn event_of(payload: &[u8]) -> CloudEvent {
    serde_json::from_slice(payload).unwrap()
}

/// Subscribed to core NATS.
struct Hearing {
    subscriber: Subscriber,
    _client: Client,
}

#[async_trait]
impl Listener for Hearing {
    async fn hear(&mut self) -> CloudEvent {
        event_of(&self.subscriber.next().await.unwrap().payload)
    }
}

/// Reads the stream with a durable pull consumer, as a program would that must not miss anything: what is not
/// acknowledged comes again, and the place is kept by the server.
struct Reading {
    port: u16,
    waiting: Vec<CloudEvent>,
}

impl Reading {
    async fn fetch(&self) -> Result<Vec<CloudEvent>, async_nats::Error> {
        let client = async_nats::connect(format!("127.0.0.1:{}", self.port)).await?;
        let stream = jetstream::new(client).get_stream("FLAGBASE").await?;
        let wanted = pull::Config {
            durable_name: Some("reader".to_owned()),
            filter_subject: ONCE.to_owned(),
            ..pull::Config::default()
        };
        let consumer = stream.get_or_create_consumer("reader", wanted).await?;
        let mut messages = consumer.fetch().max_messages(500).messages().await?;
        let mut events = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message?;
            message.double_ack().await?;
            events.push(event_of(&message.payload));
        }
        events.reverse();
        Ok(events)
    }
}

#[async_trait]
impl Listener for Reading {
    async fn hear(&mut self) -> CloudEvent {
        loop {
            if let Some(event) = self.waiting.pop() {
                return event;
            }
            // The server, or the stream, may not be there at the moment.
            self.waiting = self.fetch().await.unwrap_or_default();
            if self.waiting.is_empty() {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
    }
}
