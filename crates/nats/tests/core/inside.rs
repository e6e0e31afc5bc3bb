//! The way into the bus without a socket.

use std::sync::Arc;

use flagbase_nats::{Headers, PublishError, SubscribeError};

use crate::wire::{Wire, server};

#[tokio::test]
async fn what_is_published_inside_arrives_outside() {
    let server = server(|_| ()).await;
    let mut wire = Wire::subscribed(&server, "a.* 1").await;
    server.publish("a.b", None, None, "hi").unwrap();
    let mut headers = Headers::new();
    headers.add("Nats-Msg-Id", "7").unwrap();
    server.publish("a.c", Some("in"), Some(&headers), "hi").unwrap();
    wire.expect("MSG a.b 1 2\r\nhi\r\nHMSG a.c 1 in 28 30\r\nNATS/1.0\r\nNats-Msg-Id: 7\r\n\r\nhi\r\n").await;
}

#[tokio::test]
async fn what_is_published_outside_arrives_inside() {
    let server = server(|_| ()).await;
    let mut inside = server.subscribe("a.>", None, 10).unwrap();
    let mut wire = Wire::open(&server).await;
    wire.send("HPUB a.b in 21 23\r\nNATS/1.0\r\nName: v\r\n\r\nhi\r\n").await;
    let message = inside.next().await.unwrap();
    assert_eq!((message.subject.as_str(), message.reply.as_deref()), ("a.b", Some("in")));
    assert_eq!(message.headers().unwrap().get("name"), Some("v"));
    assert_eq!(inside.missed(), 0);
}

#[tokio::test]
async fn a_full_subscription_counts_what_it_misses_and_ends_when_dropped() {
    let server = server(|_| ()).await;
    let mut inside = server.subscribe("a", Some("q"), 2).unwrap();
    for _ in 0..5 {
        server.publish("a", None, None, "").unwrap();
    }
    assert_eq!(inside.missed(), 3);
    assert!(inside.try_next().is_some() && inside.try_next().is_some() && inside.try_next().is_none());
    drop(inside);
    let mut wire = Wire::subscribed(&server, "in 1").await;
    wire.send("PUB a in 0\r\n\r\n").await;
    assert_eq!(wire.line().await, "HMSG in 1 33 33");
}

#[tokio::test]
async fn a_handler_answers_from_where_it_was_called() {
    let server = Arc::new(server(|_| ()).await);
    let answering = Arc::downgrade(&server);
    let _service = server
        .handle("echo", None, move |message| {
            let (Some(server), Some(reply)) = (answering.upgrade(), message.reply) else { return false };
            server.publish(&reply, None, None, message.payload).is_ok()
        })
        .unwrap();
    let mut inside = server.subscribe("in.inside", None, 1).unwrap();
    let mut wire = Wire::subscribed(&server, "in.* 1").await;
    wire.send("PUB echo in.1 2\r\nhi\r\n").await;
    wire.expect("MSG in.1 1 2\r\nhi\r\n").await;
    server.publish("echo", Some("in.inside"), None, "hello").unwrap();
    assert_eq!(inside.next().await.unwrap().payload, "hello");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let server = server(|options| options.limits.max_payload = 4).await;
    for subject in ["", "a b", "a.*", "a..b", "a\r\nPUB b 0"] {
        let refused = Err(PublishError::Subject(subject.to_owned()));
        assert_eq!(server.publish(subject, None, None, ""), refused);
        assert_eq!(server.publish("a", Some(subject), None, ""), refused);
    }
    assert_eq!(server.publish("a", None, None, "12345"), Err(PublishError::TooLong { length: 5, limit: 4 }));
    let error = server.subscribe("a b", None, 1).unwrap_err();
    assert_eq!(error, SubscribeError::Pattern("a b".to_owned()));
}
