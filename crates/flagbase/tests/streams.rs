//! Streams on the embedded bus through the real binary: what was acknowledged is there, whatever happens to the server.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::time::Duration;

use async_nats::{
    ConnectOptions,
    jetstream::{self, Context, consumer::pull, stream},
};
use flagbase_testkit::server::TestServer;
use futures_util::StreamExt as _;
use tokio::sync::watch;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");
/// A bound for hopeless cases, not a measurement.
const HOPELESS: Duration = Duration::from_secs(30);

async fn server() -> TestServer {
    TestServer::start_with(PROGRAM, &[("FLAGBASE_EVENTS__JETSTREAM", "true")]).await
}

async fn context(server: &TestServer, token: &str) -> Context {
    let client = ConnectOptions::new().token(token.to_owned()).connect(server.bus()).await.unwrap();
    jetstream::new(client)
}

/// Publishes until nobody acknowledges any more; tells, and returns, how many were.
async fn publish(context: &Context, so_far: &watch::Sender<u64>) -> u64 {
    for number in 0_u64.. {
        let sent = context.publish("work.a", number.to_string().into()).await.unwrap();
        match tokio::time::timeout(Duration::from_secs(3), sent).await {
            Ok(Ok(_)) => drop(so_far.send_replace(number + 1)),
            _ => return number,
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_the_server_was_killed() {
    let mut server = server().await;
    let admin = server.administrator().await;
    let context = self::context(&server, &admin).await;
    let config =
        stream::Config { name: "WORK".into(), subjects: vec!["work.*".into()], ..stream::Config::default() };
    let made = context.create_stream(config).await.unwrap();
    let durable = pull::Config { durable_name: Some("reader".into()), ..pull::Config::default() };
    made.create_consumer(durable).await.unwrap();

    let (so_far, mut told) = watch::channel(0);
    let killer = async {
        told.wait_for(|acknowledged| *acknowledged >= 50).await.unwrap();
        server.kill();
    };
    let (acknowledged, ()) = tokio::join!(publish(&context, &so_far), killer);

    server.restart().await;
    let context = self::context(&server, &admin).await;
    let consumer: jetstream::consumer::PullConsumer =
        context.get_stream("WORK").await.unwrap().get_consumer("reader").await.unwrap();
    let mut messages = consumer.messages().await.unwrap().take(usize::try_from(acknowledged).unwrap());
    let mut expected = 0_u64;
    while let Ok(Some(message)) = tokio::time::timeout(HOPELESS, messages.next()).await {
        let message = message.unwrap();
        assert_eq!(message.payload, expected.to_string().as_bytes());
        message.double_ack().await.unwrap();
        expected += 1;
    }
    assert_eq!(expected, acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_for_those_who_may_see_everything() {
    let server = server().await;
    let admin = server.administrator().await;
    assert!(context(&server, &admin).await.query_account().await.is_ok());
    let nobody = jetstream::new(async_nats::connect(server.bus()).await.unwrap());
    let asked = tokio::time::timeout(Duration::from_secs(10), nobody.query_account()).await;
    assert!(!matches!(asked, Ok(Ok(_))), "{asked:?}");
}
