//! Streams, consumers and what clients are told of them, through the way in without a socket.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use flagbase_nats::{
    Headers, Message, Options, Server, Subscription,
    jetstream::{Change, Memory, Record, Store, StoreError, StoredStream},
};
use serde_json::{Value, json};

/// A server with streams in `store`.
async fn server(store: Arc<dyn Store>) -> Server {
    let reserved = vec!["mine.>".to_owned()];
    let options = Options { port: 0, workers: 1, jetstream: Some(store), reserved, ..Options::default() };
    Server::start(options).await.unwrap()
}

async fn next(inbox: &mut Subscription) -> Message {
    tokio::time::timeout(Duration::from_secs(20), inbox.next()).await.unwrap().unwrap()
}

async fn ask(server: &Server, subject: &str, headers: Option<&Headers>, body: &str) -> Message {
    let mut inbox = server.subscribe("inbox", None, 10).unwrap();
    server.publish(subject, Some("inbox"), headers, body).unwrap();
    next(&mut inbox).await
}

async fn api(server: &Server, operation: &str, body: Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(server, &format!("$JS.API.{operation}"), None, &body).await;
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn publish(server: &Server, subject: &str, headers: &[(&str, &str)]) -> Value {
    let mut all = Headers::new();
    for (name, value) in headers {
        all.add(*name, *value).unwrap();
    }
    let headers = (!headers.is_empty()).then_some(&all);
    serde_json::from_slice(&ask(server, subject, headers, "payload").await.payload).unwrap()
}

async fn stream(server: &Server, config: Value) -> Value {
    let name = config["name"].as_str().unwrap().to_owned();
    let made = api(server, &format!("STREAM.CREATE.{name}"), config).await;
    assert_eq!(made["error"], Value::Null, "{made}");
    made
}

async fn consumer(server: &Server, config: Value) -> Value {
    let operation = format!("CONSUMER.CREATE.S.{}", config["name"].as_str().unwrap());
    let made = api(server, &operation, json!({"stream_name": "S", "config": config})).await;
    assert_eq!(made["error"], Value::Null, "{made}");
    made
}

fn status(message: &Message) -> String {
    message.headers().unwrap().status().unwrap().to_owned()
}

fn number(answer: &Value) -> u64 {
    answer["error"]["err_code"].as_u64().unwrap()
}

#[tokio::test]
async fn a_message_is_acknowledged_once_however_often_it_comes() {
    let server = server(Arc::new(Memory::new())).await;
    stream(&server, json!({"name": "S", "subjects": ["s.*"]})).await;
    let id = [("Nats-Msg-Id", "one")];
    assert_eq!(publish(&server, "s.a", &id).await, json!({"stream": "S", "seq": 1}));
    assert_eq!(publish(&server, "s.a", &id).await, json!({"stream": "S", "seq": 1, "duplicate": true}));
    let wrong = publish(&server, "s.a", &[("Nats-Expected-Last-Sequence", "7")]).await;
    assert_eq!((number(&wrong), wrong["seq"].as_u64()), (10071, Some(0)));
    let other = publish(&server, "s.a", &[("Nats-Expected-Stream", "T")]).await;
    assert_eq!(number(&other), 10060);
    let state = &api(&server, "STREAM.INFO.S", Value::Null).await["state"];
    assert_eq!((&state["messages"], &state["last_seq"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn limits_decide_what_stays() {
    let server = server(Arc::new(Memory::new())).await;
    stream(&server, json!({"name": "OLD", "subjects": ["old.*"], "max_msgs": 2})).await;
    stream(&server, json!({"name": "NEW", "subjects": ["new.*"], "max_msgs": 1, "discard": "new"})).await;
    for _ in 0..3 {
        publish(&server, "old.a", &[]).await;
    }
    let state = &api(&server, "STREAM.INFO.OLD", Value::Null).await["state"];
    assert_eq!(
        (&state["first_seq"], &state["last_seq"], &state["messages"]),
        (&json!(2), &json!(3), &json!(2))
    );
    publish(&server, "new.a", &[]).await;
    let full = publish(&server, "new.b", &[]).await;
    assert_eq!((number(&full), &full["error"]["description"]), (10077, &json!("maximum messages exceeded")));
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_number() {
    let server = server(Arc::new(Memory::new())).await;
    stream(&server, json!({"name": "S", "subjects": ["s.*"]})).await;
    let refused = [
        ("STREAM.CREATE.T", json!({"name": "T", "subjects": ["s.a"]}), 10065),
        ("STREAM.CREATE.T", json!({"name": "U"}), 10056),
        ("STREAM.CREATE.S", json!({"name": "S", "subjects": ["s.>"]}), 10058),
        ("STREAM.CREATE.T", json!({"name": "T", "subjects": ["$JS.API.>"]}), 10052),
        ("STREAM.CREATE.T", json!({"name": "T", "num_replicas": 3}), 10074),
        ("STREAM.INFO.T", Value::Null, 10059),
        ("STREAM.MSG.GET.S", json!({"seq": 9}), 10037),
        ("STREAM.MSG.DELETE.S", json!({"seq": 9}), 10043),
        ("CONSUMER.INFO.S.c", Value::Null, 10014),
        ("CONSUMER.CREATE.S.c", json!({"stream_name": "S", "config": {"filter_subject": "t..u"}}), 10093),
        ("CONSUMER.CREATE.S.c", json!({"stream_name": "S", "action": "update"}), 10149),
    ];
    for (operation, body, expected) in refused {
        assert_eq!(number(&api(&server, operation, body).await), expected, "{operation}");
    }
    assert_eq!(status(&ask(&server, "$JS.API.STREAM.DANCE.S", None, "").await), "503");
}

#[tokio::test]
async fn single_messages_are_read_by_number_and_by_subject() {
    let server = server(Arc::new(Memory::new())).await;
    stream(&server, json!({"name": "S", "subjects": ["s.*"], "allow_direct": true})).await;
    for subject in ["s.a", "s.b", "s.a"] {
        publish(&server, subject, &[]).await;
    }
    let found = &api(&server, "STREAM.MSG.GET.S", json!({"last_by_subj": "s.b"})).await["message"];
    assert_eq!((&found["seq"], &found["data"]), (&json!(2), &json!("cGF5bG9hZA==")));
    let direct = ask(&server, "$JS.API.DIRECT.GET.S.s.a", None, "").await;
    let headers = direct.headers().unwrap();
    assert_eq!((headers.get("Nats-Sequence"), headers.get("Nats-Subject")), (Some("3"), Some("s.a")));
    assert_eq!(&direct.payload[..], b"payload");
    assert_eq!(status(&ask(&server, "$JS.API.DIRECT.GET.S.s.c", None, "").await), "404 Message Not Found");
    let purged = api(&server, "STREAM.PURGE.S", json!({"filter": "s.a", "keep": 1})).await;
    assert_eq!(purged["purged"], json!(1));
}

#[tokio::test]
async fn a_pull_gets_what_there_is_and_what_is_refused_comes_again() {
    let server = server(Arc::new(Memory::new())).await;
    stream(&server, json!({"name": "S", "subjects": ["s.*"]})).await;
    consumer(&server, json!({"name": "c", "durable_name": "c", "ack_policy": "explicit"})).await;
    publish(&server, "s.a", &[]).await;
    let mut inbox = server.subscribe("pulled", None, 10).unwrap();
    let pull =
        |body: &str| server.publish("$JS.API.CONSUMER.MSG.NEXT.S.c", Some("pulled"), None, body).unwrap();
    pull(r#"{"batch":5,"no_wait":true}"#);
    let first = next(&mut inbox).await;
    assert_eq!(
        (first.subject.as_str(), status(&next(&mut inbox).await).as_str()),
        ("s.a", "408 Request Timeout")
    );
    pull(r#"{"batch":5,"no_wait":true}"#);
    assert_eq!(status(&next(&mut inbox).await), "404 No Messages");
    server.publish(&first.reply.unwrap(), None, None, "-NAK").unwrap();
    pull("1");
    let again = next(&mut inbox).await.reply.unwrap();
    assert!(again.starts_with("$JS.ACK.S.c.2.1.2."), "{again}");
    ask(&server, &again, None, "+ACK").await;
    let info = api(&server, "CONSUMER.INFO.S.c", Value::Null).await;
    assert_eq!((&info["num_ack_pending"], &info["ack_floor"]["stream_seq"]), (&json!(0), &json!(1)));
    pull(r#"{"batch":1,"expires":60000000000}"#);
    api(&server, "CONSUMER.DELETE.S.c", Value::Null).await;
    assert_eq!(status(&next(&mut inbox).await), "409 Consumer Deleted");
}

#[tokio::test]
async fn a_watch_begins_with_the_last_of_each_subject() {
    let server = server(Arc::new(Memory::new())).await;
    stream(&server, json!({"name": "S", "subjects": ["s.*"], "max_msgs_per_subject": 2})).await;
    for subject in ["s.a", "s.b", "s.a"] {
        publish(&server, subject, &[]).await;
    }
    let mut watched = server.subscribe("watched", None, 10).unwrap();
    let config = json!({"name": "w", "deliver_subject": "watched", "deliver_policy": "last_per_subject",
        "filter_subject": "s.>", "headers_only": true, "idle_heartbeat": 100_000_000, "flow_control": true});
    consumer(&server, config).await;
    let (one, other) = (next(&mut watched).await, next(&mut watched).await);
    assert_eq!((one.subject.as_str(), other.subject.as_str()), ("s.b", "s.a"));
    assert_eq!(other.headers().unwrap().get("Nats-Msg-Size"), Some("7"));
    assert_eq!(status(&next(&mut watched).await), "100 Idle Heartbeat");
}

#[tokio::test]
async fn nothing_is_sent_where_only_the_owner_speaks() {
    let server = server(Arc::new(Memory::new())).await;
    stream(&server, json!({"name": "S", "subjects": ["s.*"], "republish": {"src": "s.*", "dest": "mine.*"}}))
        .await;
    let mut mine = server.subscribe("mine.>", None, 10).unwrap();
    server.publish("$JS.API.INFO", Some("mine.x"), None, "").unwrap();
    assert_eq!(publish(&server, "s.a", &[]).await["seq"], json!(1));
    assert_eq!(mine.try_next(), None);
}

#[tokio::test]
async fn streams_and_durable_consumers_outlive_the_server() {
    let store = Arc::new(Memory::new());
    let before = server(Arc::clone(&store) as _).await;
    stream(&before, json!({"name": "S", "subjects": ["s.*"]})).await;
    consumer(&before, json!({"name": "c", "durable_name": "c", "ack_policy": "explicit"})).await;
    for _ in 0..2 {
        publish(&before, "s.a", &[("Nats-Msg-Id", "same")]).await;
        publish(&before, "s.b", &[]).await;
    }
    let first = ask(&before, "$JS.API.CONSUMER.MSG.NEXT.S.c", None, "1").await;
    ask(&before, &first.reply.unwrap(), None, "+ACK").await;
    before.shutdown().await;
    let after = server(store).await;
    assert_eq!(publish(&after, "s.a", &[("Nats-Msg-Id", "same")]).await["duplicate"], json!(true));
    let second = ask(&after, "$JS.API.CONSUMER.MSG.NEXT.S.c", None, "1").await;
    assert!(second.reply.unwrap().starts_with("$JS.ACK.S.c.1.2.2."));
    assert_eq!(publish(&after, "s.b", &[]).await["seq"], json!(4));
}

/// A disk that fails when told.
#[derive(Default)]
struct Broken {
    memory: Memory,
    broken: AtomicBool,
}

#[async_trait]
impl Store for Broken {
    async fn load(&self) -> Result<Vec<StoredStream>, StoreError> {
        self.memory.load().await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError("no space".to_owned()));
        }
        self.memory.commit(changes).await
    }

    async fn read(&self, stream: &str, sequences: &[u64]) -> Result<Vec<Record>, StoreError> {
        self.memory.read(stream, sequences).await
    }
}

#[tokio::test]
async fn what_was_not_kept_is_not_acknowledged_and_leaves_no_trace() {
    let store = Arc::new(Broken::default());
    let server = server(Arc::clone(&store) as _).await;
    stream(&server, json!({"name": "S", "subjects": ["s.*"]})).await;
    publish(&server, "s.a", &[]).await;
    store.broken.store(true, Ordering::SeqCst);
    assert_eq!(number(&publish(&server, "s.a", &[]).await), 10077);
    store.broken.store(false, Ordering::SeqCst);
    // Whoever publishes while streams are read again is told that nobody answers; who asks of them waits.
    let state = &api(&server, "STREAM.INFO.S", Value::Null).await["state"];
    assert_eq!(state["messages"], json!(1));
    assert_eq!(publish(&server, "s.a", &[]).await["seq"], json!(2));
}
