//! What `JetStream` adds: a stream that is made and changed on start, and repetitions that are stored once.

use std::time::Duration;

use async_nats::jetstream::{self, stream::Config};
use flagbase_core::events::BusError;
use flagbase_testkit::{
    ExternalServer,
    bus::{Broker as _, event},
};
use serde_json::json;

use crate::support::{bus, connect, event_of, stream_url};

async fn context(server: &ExternalServer) -> jetstream::Context {
    jetstream::new(connect(server.port()).await)
}

async fn config(context: &jetstream::Context) -> Config {
    context.get_stream("FLAGBASE").await.unwrap().cached_info().config.clone()
}

async fn stored(context: &jetstream::Context) -> u64 {
    context.get_stream("FLAGBASE").await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn the_stream_is_made_before_the_first_event() {
    let server = ExternalServer::nats(true, &[]).await;
    let context = context(&server).await;
    bus(&stream_url(server.port())).publish(&[]).await.unwrap();
    let made = config(&context).await;
    assert_eq!(made.subjects, ["flagbase.>"]);
    assert_eq!((made.duplicate_window, made.max_age), (Duration::from_mins(10), Duration::from_hours(48)));
}

#[tokio::test]
async fn a_server_that_keeps_no_streams_is_told_apart() {
    let server = ExternalServer::nats(false, &[]).await;
    let halted = bus(&stream_url(server.port())).publish(&[event("k", 1)]).await.unwrap_err();
    let BusError::Unavailable(error) = halted.error else { panic!("{}", halted.error) };
    assert!(error.to_string().contains("nats-server -js"), "{error}");
}

#[tokio::test]
async fn a_stream_that_is_there_is_changed_only_where_the_address_says_so() {
    let server = ExternalServer::nats(true, &[]).await;
    let context = context(&server).await;
    let theirs = Config {
        name: "FLAGBASE".to_owned(),
        subjects: vec!["orders".to_owned()],
        max_messages: 1000,
        duplicate_window: Duration::from_secs(30),
        ..Config::default()
    };
    context.create_stream(theirs).await.unwrap();
    bus(&format!("{}&max_age=7d", stream_url(server.port()))).publish(&[event("k", 1)]).await.unwrap();
    let changed = config(&context).await;
    assert_eq!(changed.subjects, ["orders", "flagbase.>"]);
    assert_eq!((changed.max_messages, changed.duplicate_window), (1000, Duration::from_secs(30)));
    assert_eq!(changed.max_age, Duration::from_hours(168));
}

#[tokio::test]
async fn a_stream_that_others_manage_is_used_and_missed_but_never_made() {
    let server = ExternalServer::nats(true, &[]).await;
    let context = context(&server).await;
    let bus = bus(&format!("{}&manage=false", stream_url(server.port())));
    let halted = bus.publish(&[event("k", 1)]).await.unwrap_err();
    let why = std::error::Error::source(&halted.error).unwrap().to_string();
    assert!(why.contains("no stream `FLAGBASE`"), "{why}");
    let subjects = vec!["flagbase.>".to_owned()];
    context
        .create_stream(Config { name: "FLAGBASE".to_owned(), subjects, ..Config::default() })
        .await
        .unwrap();
    bus.publish(&[event("k", 1)]).await.unwrap();
    assert_eq!(stored(&context).await, 2);
}

#[tokio::test]
async fn what_is_published_again_within_the_window_is_stored_once_also_after_kill_9() {
    let server = ExternalServer::nats(true, &[]).await;
    let bus = bus(&stream_url(server.port()));
    let batch: Vec<_> = (0..20).map(|sequence| event("k", sequence)).collect();
    bus.publish(&batch).await.unwrap();
    bus.publish(&batch).await.unwrap();
    server.kill().await;
    server.start().await;
    bus.publish(&batch).await.unwrap();
    bus.publish(&[event("k", 20)]).await.unwrap();
    let context = context(&server).await;
    // Each on its subject and on its scoped one.
    assert_eq!(stored(&context).await, 42);
}

#[tokio::test]
async fn the_id_of_an_event_is_its_message_id_and_the_scoped_one_is_beside_it() {
    let server = ExternalServer::nats(true, &[]).await;
    bus(&stream_url(server.port())).publish(&[event("a.b", 7)]).await.unwrap();
    let stream = context(&server).await.get_stream("FLAGBASE").await.unwrap();
    let seed = stream.get_last_raw_message_by_subject("flagbase.flag.disabled").await.unwrap();
    let scoped = "flagbase.env.default.flag.a%2Eb.disabled";
    let scoped = stream.get_last_raw_message_by_subject(scoped).await.unwrap();
    assert_eq!(event_of(&seed.payload), event("a.b", 7));
    assert_eq!(seed.payload, scoped.payload);
    let id = |message: &jetstream::message::StreamMessage| {
        message.headers.get("Nats-Msg-Id").unwrap().as_str().to_owned()
    };
    assert_eq!(id(&seed), event("a.b", 7).id);
    assert_eq!(id(&scoped), format!("{}.scoped", event("a.b", 7).id));
}

#[tokio::test]
async fn somebody_else_writing_to_the_stream_does_not_stop_us() {
    let server = ExternalServer::nats(true, &[]).await;
    let bus = bus(&stream_url(server.port()));
    bus.publish(&[event("k", 0)]).await.unwrap();
    let client = connect(server.port()).await;
    let writing = tokio::spawn(async move {
        for _ in 0..2000 {
            client.publish("flagbase.custom.noise", "{}".into()).await.unwrap();
        }
        client.flush().await.unwrap();
    });
    for batch in 0..10 {
        let batch: Vec<_> = (0..30).map(|sequence| event("k", batch * 30 + sequence + 1)).collect();
        bus.publish(&batch).await.unwrap();
    }
    writing.await.unwrap();
    let context = context(&server).await;
    let mut stream = context.get_stream("FLAGBASE").await.unwrap();
    let info = stream.info().await.unwrap();
    assert!(info.state.messages >= 602, "{}", info.state.messages);
}

#[tokio::test]
async fn an_event_larger_than_the_stream_takes_is_refused_and_the_next_one_is_stored() {
    let server = ExternalServer::nats(true, &[]).await;
    let context = context(&server).await;
    let subjects = vec!["flagbase.>".to_owned()];
    let small = Config { name: "FLAGBASE".to_owned(), subjects, max_message_size: 4096, ..Config::default() };
    context.create_stream(small).await.unwrap();
    let bus = bus(&stream_url(server.port()));
    let mut large = event("k", 2);
    large.data["after"] = json!("x".repeat(8000));
    let halted = bus.publish(&[event("k", 1), large, event("k", 3)]).await.unwrap_err();
    assert_eq!(halted.taken, 1);
    assert!(
        matches!(&halted.error, BusError::Refused(why) if why.to_string().contains("max_msg_size")),
        "{halted:?}"
    );
    bus.publish(&[event("k", 3)]).await.unwrap();
    assert_eq!(stored(&context).await, 4);
}
