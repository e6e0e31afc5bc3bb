//! What a function publishes: programs on the bus get it, and functions that asked for it.

use async_nats::{ConnectOptions, Message, RequestErrorKind, Subscriber};
use futures_util::StreamExt as _;

use super::*;

const TELLS: &str = r"
import { bus } from 'flagbase';
export default { async fetch(request) {
  const { id, subject } = await request.json();
  await bus.publish(subject ?? 'orders.created', { id, greeting: 'grüße' });
  return new Response(null, { status: 202 });
} };
";

const HEARS: &str = r"
import { kv } from 'flagbase';
export async function event(event) {
  const { id, greeting } = event.json();
  await kv.set(`heard:${event.subject}:${id}`, greeting);
}
export default { async fetch() {
  const { keys } = await kv.list({ prefix: 'heard:' });
  return Response.json(await Promise.all(keys.map(async (key) => `${key} ${await kv.get(key)}`)));
} };
";

/// A server with a function that publishes below `orders.`.
async fn prepared() -> (TestServer, String) {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy_with(&server, &developer, "tells", ("file=tells.js", TELLS.into())).await.expect_status(201);
    let grants = json!({"grants": {"publish": ["orders.>"]}});
    set(&server, &developer, "tells", grants).await.expect_status(200);
    (server, developer)
}

async fn tell(server: &TestServer, order: &Value) -> Reply {
    server.send(Method::POST, "/functions/tells", None, Some(order)).await
}

/// What comes on `subject`, from now on: the server reads what a client sends in turn, so that it knows of the subscription
/// once it has answered what came after it. Flushing only sends.
pub(super) async fn subscribed(server: &TestServer, token: String, subject: &'static str) -> Subscriber {
    let client = ConnectOptions::new().token(token).connect(server.bus()).await.unwrap();
    let messages = client.subscribe(subject).await.unwrap();
    let asked = client.request("nobody.listens", "".into()).await.unwrap_err();
    assert_eq!(asked.kind(), RequestErrorKind::NoResponders);
    messages
}

async fn next(messages: &mut Subscriber) -> Message {
    tokio::time::timeout(Duration::from_mins(1), messages.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_a_function_publishes_comes_to_a_program_on_the_bus() {
    let (server, developer) = prepared().await;
    let mut messages = subscribed(&server, developer, "orders.*").await;
    for id in [7, 8] {
        tell(&server, &json!({"id": id})).await.expect_status(202);
        let message = next(&mut messages).await;
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(
            (message.subject.as_str(), payload),
            ("orders.created", json!({"id": id, "greeting": "grüße"}))
        );
    }
    // Nothing goes where it was not granted, and the caller is told.
    tell(&server, &json!({"id": 9, "subject": "mail.sent"})).await.expect_status(502);
    tell(&server, &json!({"id": 10, "subject": "orders.paid"})).await.expect_status(202);
    assert_eq!(next(&mut messages).await.subject.as_str(), "orders.paid");
}

#[tokio::test]
async fn what_one_function_publishes_another_one_takes() {
    let (server, developer) = prepared().await;
    deploy_with(&server, &developer, "hears", ("file=hears.js", HEARS.into())).await.expect_status(201);
    let triggers = json!({"triggers": [{"name": "orders", "subject": "orders.*"}]});
    set(&server, &developer, "hears", triggers).await.expect_status(200);
    let heard = async || call(&server, "hears").await.expect_status(200).json;
    let first = until("the subscription takes effect", async || {
        tell(&server, &json!({"id": 1})).await.expect_status(202);
        Some(heard().await).filter(|heard| *heard != json!([]))
    });
    assert_eq!(first.await, json!(["heard:orders.created:1 grüße"]));
    tell(&server, &json!({"id": 2, "subject": "orders.paid"})).await.expect_status(202);
    tell(&server, &json!({"id": 3, "subject": "orders.paid.twice"})).await.expect_status(202);
    tell(&server, &json!({"id": 4})).await.expect_status(202);
    let all = until("the last one is taken", async || {
        Some(heard().await).filter(|heard| heard.to_string().contains("created:4"))
    });
    let all = all.await.to_string();
    assert!(!all.contains("twice"), "only what it asked for: {all}");
    let paid = until("the other one is taken", async || {
        Some(heard().await).filter(|heard| heard.to_string().contains("paid:2"))
    });
    assert_eq!(paid.await.as_array().unwrap().len(), 3);
}
