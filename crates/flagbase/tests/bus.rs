//! The embedded bus through the real binary, seen by a published NATS client.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

#[path = "bus/commands.rs"]
mod commands;
#[path = "bus/doors.rs"]
mod doors;
#[path = "bus/listeners.rs"]
mod listeners;
#[path = "bus/walk.rs"]
mod walk;

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Message, Subscriber};
use flagbase_testkit::server::TestServer;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A bound for hopeless cases, not a measurement.
const HOPELESS: Duration = Duration::from_secs(30);

/// A client, and what happens to its connection.
struct Connected {
    client: Client,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Connected {
    /// Connects with a token, or with nothing.
    async fn new(server: &TestServer, token: Option<&str>) -> Result<Self, async_nats::ConnectError> {
        let (sender, events) = mpsc::unbounded_channel();
        let options = ConnectOptions::new().event_callback(move |event| {
            let sender = sender.clone();
            async move { drop(sender.send(event)) }
        });
        let options = match token {
            Some(token) => options.token(token.to_owned()),
            None => options,
        };
        let client = options.connect(server.bus()).await?;
        Ok(Self { client, events })
    }

    /// A subscription that is on its way to the server: what is changed from now on is committed first, and comes later.
    async fn subscribe(&self, subject: &'static str) -> Subscriber {
        let subscriber = self.client.subscribe(subject).await.unwrap();
        self.client.flush().await.unwrap();
        subscriber
    }

    /// Waits until something happens to the connection that `is` so.
    async fn until(&mut self, is: impl Fn(&Event) -> bool) -> Event {
        let found = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if is(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(HOPELESS, found).await.unwrap()
    }

    /// Waits until the server says that it refuses something.
    async fn refused(&mut self) -> String {
        self.until(|event| matches!(event, Event::ServerError(_))).await.to_string()
    }
}

async fn next(subscriber: &mut Subscriber) -> Message {
    tokio::time::timeout(HOPELESS, subscriber.next()).await.unwrap().unwrap()
}

async fn cloud_event(subscriber: &mut Subscriber) -> (String, Value) {
    let message = next(subscriber).await;
    (message.subject.to_string(), serde_json::from_slice(&message.payload).unwrap())
}

async fn make_flag(server: &TestServer, token: &str, key: &str) {
    let flag = json!({"key": key, "enabled": true, "default_value": true});
    server.post("/api/v1/flags", token, &flag).await.expect_status(201);
}

async fn make_key(server: &TestServer, token: &str, environment: &str, permissions: &[&str]) -> Value {
    let body = json!({"name": "bus", "environment": environment, "permissions": permissions});
    server.post("/api/v1/keys", token, &body).await.expect_status(201).json
}
