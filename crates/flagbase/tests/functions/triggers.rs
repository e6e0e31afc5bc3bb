//! What starts functions besides requests: schedules, messages of programs, objects.

use async_nats::{ConnectOptions, HeaderMap};

use super::*;

/// Takes an event at the third attempt, and tells of it.
const RELUCTANT: &str = r"
import { kv } from 'flagbase';
export async function event(event) {
  const tries = await kv.increment('tries');
  if (tries <= 2) throw new Error(`not yet: ${tries}`);
  await kv.set('taken', `${event.subject} at attempt ${event.attempt}: ${event.json().id}`);
}
export default { async fetch() {
  return Response.json({ tries: await kv.increment('tries', 0), taken: await kv.get('taken') });
} };
";

const NEVER: &str = "export const event = (event) => { throw new Error(`cannot take ${event.subject}`); };";

const TAKES: &str = r"
import { kv } from 'flagbase';
export const event = async (event) => kv.set('taken', `${event.subject}: ${event.json().id}`);
export default { fetch: async () => new Response((await kv.get('taken')) ?? 'nothing') };
";

async fn deploy_source(server: &TestServer, token: &str, name: &str, source: &str) -> Value {
    let query = format!("file={name}.js");
    deploy_with(server, token, name, (&query, source.into())).await.expect_status(201).json
}

/// Says `payload` on `subject`, as a program connected to the bus, until `heard`; the message has one id.
async fn say<F: Future<Output = bool>>(
    server: &TestServer,
    token: &str,
    (subject, payload): (&'static str, &'static str),
    heard: impl Fn() -> F,
) {
    let client = ConnectOptions::new().token(token.to_owned()).connect(server.bus()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "the-only-one");
    until("the message is heard", async || {
        client.publish_with_headers(subject, headers.clone(), payload.into()).await.unwrap();
        client.flush().await.unwrap();
        heard().await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_message_is_offered_again_until_it_is_taken() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy_source(&server, &developer, "reluctant", RELUCTANT).await;
    let triggers = json!({"triggers": [{"name": "orders", "subject": "orders.*", "attempts": 5}]});
    set(&server, &developer, "reluctant", triggers).await.expect_status(200);
    let told = async || call(&server, "reluctant").await.expect_status(200).json;
    let message = ("orders.created", r#"{"id": 7}"#);
    say(&server, &developer, message, async || told().await["tries"] != 0).await;
    let taken = until("it is taken", async || Some(told().await).filter(|told| told["taken"].is_string()));
    let taken = taken.await;
    assert_eq!(
        taken,
        json!({"tries": 3, "taken": "orders.created at attempt 3: 7"}),
        "twice in vain, then once"
    );
    let letters = server.get("/api/v1/functions/reluctant/dead-letters", &developer).await;
    assert_eq!(letters.expect_status(200).json, json!([]));
    let logs = server.get("/api/v1/functions/reluctant/logs", &developer).await.expect_status(200).text;
    assert!(logs.contains("not yet: 1") && logs.contains("not yet: 2"), "{logs}");
}

#[tokio::test]
async fn what_no_attempt_takes_is_laid_aside_until_a_better_version_takes_it() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy_source(&server, &developer, "orders", NEVER).await;
    let triggers = json!({"triggers": [{"name": "orders", "subject": "orders.>", "attempts": 2}]});
    set(&server, &developer, "orders", triggers).await.expect_status(200);
    let path = "/api/v1/functions/orders/dead-letters";
    let letters = async || server.get(path, &developer).await.expect_status(200).json;
    let dead = async || letters().await != json!([]);
    say(&server, &developer, ("orders.paid", r#"{"id": 8}"#), dead).await;
    let letter = letters().await[0].clone();
    assert_eq!((&letter["tries"], &letter["trigger"]), (&json!(2), &json!("orders")), "{letter}");
    assert!(letter["fault"].as_str().unwrap().contains("cannot take orders.paid"), "{letter}");

    let query = "file=orders.js&promote=false";
    let better = deploy_with(&server, &developer, "orders", (query, TAKES.into())).await.expect_status(201);
    let promote = json!({"version": better.json["number"]});
    server.post("/api/v1/functions/orders/promote", &developer, &promote).await.expect_status(200);
    assert_eq!(call(&server, "orders").await.expect_status(200).text, "nothing", "it waits to be asked for");
    let replay = format!("{path}/{}/replay", letter["id"]);
    server.post(&replay, &developer, &json!({})).await.expect_status(202);
    let taken = until("it is taken", async || {
        Some(call(&server, "orders").await.text).filter(|text| text != "nothing")
    });
    assert_eq!(taken.await, "orders.paid: 8");
    until("the letter is gone", async || (letters().await == json!([])).then_some(())).await;
}

#[tokio::test]
async fn what_one_function_puts_into_a_bucket_another_one_hears_of() {
    const PUTS: &str = r"
import { buckets } from 'flagbase';
export default { async fetch(request) {
  const key = new URL(request.url).pathname.slice(1);
  if (request.method === 'DELETE') await buckets.delete('uploads', key);
  else await buckets.put('uploads', key, await request.text());
  return new Response(null, { status: 204 });
} };
";
    const HEARS: &str = r"
import { kv } from 'flagbase';
export const event = async (event) => {
  const { key, size } = event.json().data.detail;
  await kv.set(`heard:${event.type}:${key}`, `${size}`);
};
export default { fetch: async () => Response.json((await kv.list({ prefix: 'heard:' })).keys) };
";
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.put("/api/v1/buckets/uploads", &developer, &json!({})).await.expect_status(201);
    deploy_source(&server, &developer, "puts", PUTS).await;
    deploy_source(&server, &developer, "hears", HEARS).await;
    set(&server, &developer, "puts", json!({"grants": {"buckets": ["uploads"]}})).await.expect_status(200);
    let on = json!({"name": "images", "bucket": "uploads", "prefix": "img/", "events": ["created"]});
    set(&server, &developer, "hears", json!({"triggers": [on]})).await.expect_status(200);
    for (method, key) in [
        (Method::PUT, "other/first"),
        (Method::PUT, "img/cat"),
        (Method::DELETE, "img/cat"),
        (Method::PUT, "img/dog"),
    ] {
        server.send(method, &format!("/functions/puts/{key}"), None, None).await.expect_status(204);
    }
    let heard = until("the last one is heard of", async || {
        let heard = call(&server, "hears").await.expect_status(200).json;
        heard.to_string().contains("img/dog").then_some(heard)
    });
    let created = |key: &str| format!("heard:flagbase.bucket.object_created:{key}");
    assert_eq!(heard.await, json!([created("img/cat"), created("img/dog")]), "only what was asked for");
}

#[tokio::test]
async fn a_schedule_runs_its_function_once_for_each_moment() {
    const CLOCK: &str = r"
import { kv } from 'flagbase';
export async function scheduled(tick) {
  await kv.set(`at:${tick.time.toISOString()}`, `${await kv.increment('ticks')}`);
}
export default { async fetch() {
  return Response.json({ ticks: await kv.increment('ticks', 0), keys: (await kv.list({ prefix: 'at:' })).keys });
} };
";
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy_source(&server, &developer, "clock", CLOCK).await;
    let finer = json!({"triggers": [{"name": "often", "schedule": "* * * * * *"}]});
    set(&server, &developer, "clock", finer).await.expect_status(422);
    let often = json!({"triggers": [{"name": "often", "schedule": "* * * * *"}]});
    set(&server, &developer, "clock", often).await.expect_status(200);
    let ticked = until("a minute begins", async || {
        let told = call(&server, "clock").await.expect_status(200).json;
        (told["ticks"] != 0).then_some(told)
    });
    let ticked = ticked.await;
    let keys = ticked["keys"].as_array().unwrap();
    assert_eq!(ticked["ticks"], json!(keys.len()), "one run for each moment: {ticked}");
    assert!(keys[0].as_str().unwrap().ends_with(":00.000Z"), "at the full minute: {ticked}");
}
