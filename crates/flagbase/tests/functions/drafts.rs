//! The drafts of WASI in a server: over the stores, buckets and the bus that everybody else uses.

use futures_util::StreamExt as _;

use super::*;

/// Reads what others left in the store, and says it as JSON.
const READS: &str = r"
import { kv } from 'flagbase';
export default { async fetch() {
  return Response.json({
    keys: (await kv.list()).keys, one: await kv.get('one'), swapped: await kv.get('swapped'),
    count: await kv.increment('count', 0), below: await kv.increment('below', 0),
  });
} };
";

/// A server with the guest that speaks the drafts, a bucket that it may use, and one that it may not.
async fn prepared() -> (TestServer, String) {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    for bucket in ["pictures", "private"] {
        server.put(&format!("/api/v1/buckets/{bucket}"), &developer, &json!({})).await.expect_status(201);
    }
    let settings = json!({
        "environment": {"GREETING": "hi"},
        "grants": {"keyvalue": ["default"], "buckets": ["pictures"], "publish": ["orders.>"]},
    });
    server.put("/api/v1/functions/drafts", &developer, &settings).await.expect_status(201);
    let code = shapes::guest("drafts");
    deploy_with(&server, &developer, "drafts", ("file=drafts.wasm", code)).await.expect_status(201);
    (server, developer)
}

async fn drafts(server: &TestServer, target: &str) -> Reply {
    server.send(Method::GET, &format!("/functions/drafts{target}"), None, None).await
}

#[tokio::test]
async fn both_drafts_of_stores_keep_their_values_where_other_functions_find_them() {
    let (server, developer) = prepared().await;
    let first = drafts(&server, "/first?default").await.expect_status(200);
    assert_eq!(first.text, "one=1 two=0 sum=5 keys=2 many=1,0");
    let second = drafts(&server, "/second").await.expect_status(200);
    assert_eq!(second.text, "once=0 twice=1 sum=-3 now=after");
    assert_eq!(drafts(&server, "/first?somebody-elses").await.expect_status(403).text, "denied");
    deploy_with(&server, &developer, "reads", ("file=reads.js", READS.into())).await.expect_status(201);
    let expected = json!({"keys": ["below", "count", "one", "swapped"], "one": "1", "swapped": "after",
        "count": 5, "below": -3});
    assert_eq!(call(&server, "reads").await.expect_status(200).json, expected);
}

#[tokio::test]
async fn containers_are_the_buckets_that_everybody_sees() {
    let (server, developer) = prepared().await;
    let dog = "/api/v1/buckets/pictures/objects/dog.txt";
    let put = server.client().put(server.url(dog)).bearer_auth(&developer).body("bark");
    server.reply(put).await.expect_status(200);
    let told = drafts(&server, "/objects?pictures").await.expect_status(200);
    assert_eq!(told.text, "kept=1 part=234 before=1 after=0");
    // It cleared the container in the end.
    server.get(dog, &developer).await.expect_status(404);
    assert_eq!(drafts(&server, "/objects?private").await.expect_status(403).text, "denied");
}

#[tokio::test]
async fn messages_reach_clients_of_the_bus_where_that_is_granted() {
    let (server, developer) = prepared().await;
    let mut messages = messages::subscribed(&server, developer, "orders.>").await;
    assert_eq!(drafts(&server, "/message?orders.created").await.expect_status(200).text, "sent");
    let message = tokio::time::timeout(Duration::from_mins(1), messages.next()).await.unwrap().unwrap();
    assert_eq!((message.subject.as_str(), &message.payload[..]), ("orders.created", &b"seven"[..]));
    for refused in ["mail.sent", "flagbase.flag.updated"] {
        assert_eq!(drafts(&server, &format!("/message?{refused}")).await.expect_status(200).text, "denied");
    }
}

#[tokio::test]
async fn configuration_is_the_variables_of_the_function() {
    let (server, developer) = prepared().await;
    assert_eq!(drafts(&server, "/config").await.expect_status(200).text, "hi missing=1 all=1");
    set(&server, &developer, "drafts", json!({"environment": {"GREETING": "hello"}})).await;
    assert_eq!(drafts(&server, "/config").await.expect_status(200).text, "hello missing=1 all=1");
}
