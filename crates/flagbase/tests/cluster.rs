//! Events on the buses of clusters, through the real binary: one configuration key each.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull};
use flagbase_testkit::{ExternalServer, TestServer, bus::Broker as _};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_mins(1);

async fn server(url: &str) -> (TestServer, String) {
    let program = env!("CARGO_BIN_EXE_flagbase");
    let server = TestServer::start_with(program, &[("FLAGBASE_EVENTS__URL", url)]).await;
    let token = server.join("alice@example.com", "developer").await;
    let flag =
        json!({"key": "new.checkout", "name": "New checkout", "enabled": true, "default_value": false});
    server.post("/api/v1/flags", &token, &flag).await.expect_status(201);
    (server, token)
}

async fn disable(server: &TestServer, token: &str) {
    server.post("/api/v1/flags/new.checkout/disable", token, &json!({})).await.expect_status(200);
}

async fn enable(server: &TestServer, token: &str) {
    server.post("/api/v1/flags/new.checkout/enable", token, &json!({})).await.expect_status(200);
}

/// Waits until `until` is seen in the metrics.
async fn metric(server: &TestServer, token: &str, until: impl Fn(&str) -> bool) -> String {
    let seen = async {
        loop {
            let metrics = server.get("/metrics", token).await.text;
            if let Some(line) = metrics.lines().find(|line| until(line)) {
                return line.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap()
}

/// The types of the next `count` events of the flag, in the order in which a durable consumer gets them.
async fn read(port: u16, count: usize) -> Vec<String> {
    let client = async_nats::connect(format!("127.0.0.1:{port}")).await.unwrap();
    let stream = jetstream::new(client).get_stream("FLAGBASE").await.unwrap();
    let narrow = pull::Config {
        durable_name: Some("checkout".to_owned()),
        filter_subject: "flagbase.env.default.flag.new%2Echeckout.*".to_owned(),
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer("checkout", narrow).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut types = Vec::new();
    while types.len() < count {
        let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap().unwrap();
        message.double_ack().await.unwrap();
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        types.push(event["type"].as_str().unwrap().to_owned());
    }
    types
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_is_flipped_is_in_the_stream_also_when_the_stream_was_away_meanwhile() {
    let nats = ExternalServer::nats(true, &[]).await;
    let (server, token) = server(&format!("nats://127.0.0.1:{}?jetstream=FLAGBASE", nats.port())).await;
    disable(&server, &token).await;
    assert_eq!(read(nats.port(), 2).await, ["flagbase.flag.created", "flagbase.flag.disabled"]);
    nats.kill().await;
    enable(&server, &token).await;
    disable(&server, &token).await;
    nats.start().await;
    assert_eq!(read(nats.port(), 2).await, ["flagbase.flag.enabled", "flagbase.flag.disabled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_is_flipped_is_heard_on_an_external_nats_server() {
    let nats = ExternalServer::nats(false, &[]).await;
    let client = async_nats::connect(format!("127.0.0.1:{}", nats.port())).await.unwrap();
    let mut heard = client.subscribe("flagbase.flag.disabled").await.unwrap();
    client.flush().await.unwrap();
    let (server, token) = server(&format!("nats://127.0.0.1:{}", nats.port())).await;
    disable(&server, &token).await;
    let message = tokio::time::timeout(PATIENCE, heard.next()).await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(event["subject"], "new.checkout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_is_flipped_is_taken_by_kafka_also_when_it_comes_later() {
    let kafka = ExternalServer::tansu().await;
    kafka.kill().await;
    let (server, token) =
        server(&format!("kafka://127.0.0.1:{}/flags?partitions=1&replication=1", kafka.port())).await;
    disable(&server, &token).await;
    kafka.start().await;
    let delivered = |line: &str| line.contains("bus=\"kafka\"") && line.contains("result=\"ok\"");
    let line = metric(&server, &token, delivered).await;
    assert!(line.starts_with("flagbase_"), "{line}");
}
