//! What a function is told of a request, and what a client gets of its answer; logs, figures, and calls by hand.

use super::*;

#[tokio::test]
async fn a_function_sees_the_request_below_its_name_and_who_is_asking() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "env", guests::environment()).await.expect_status(201);
    set(&server, &developer, "env", json!({"environment": {"GREETING": "hi"}})).await.expect_status(200);
    let request = server.client().get(server.url("/functions/env/a/../b//c?q=%2F")).bearer_auth(&developer);
    let answer = server.reply(request.header("x-flagbase-role", "admin").header("x-custom", "1")).await;
    let told: Vec<&str> = answer.expect_status(200).text.leak().split('\0').collect();
    for line in [
        "PATH_INFO=/b/c",
        "QUERY_STRING=q=%2F",
        "GREETING=hi",
        "HTTP_X_CUSTOM=1",
        "HTTP_X_FLAGBASE_ROLE=developer",
    ] {
        assert!(told.contains(&line), "{line}: {told:?}");
    }
    assert!(!told.iter().any(|line| line.starts_with("HTTP_AUTHORIZATION")), "{told:?}");
    set(&server, &developer, "env", json!({"forward_token": true})).await.expect_status(200);
    let answer = server.get("/functions/env", &developer).await.expect_status(200);
    assert!(answer.text.contains("HTTP_AUTHORIZATION=Bearer "), "{}", answer.text);
    assert!(answer.text.contains("PATH_INFO=/\0"), "{}", answer.text);
}

#[tokio::test]
async fn who_may_call_is_asked_before_anything_runs() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    deploy(&server, &developer, "hello", guests::says(200, "hi")).await.expect_status(201);
    set(&server, &developer, "hello", json!({"require": "authenticated"})).await.expect_status(200);
    call(&server, "hello").await.expect_status(401);
    server.get("/functions/hello", &customer).await.expect_status(200);
    set(&server, &developer, "hello", json!({"require": {"roles": ["developer"]}})).await.expect_status(200);
    server.get("/functions/hello", &customer).await.expect_status(403);
    server.get("/functions/hello", &developer).await.expect_status(200);
}

#[tokio::test]
async fn heads_and_odd_requests_are_answered_as_http_wants_it() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::says(200, "12345")).await.expect_status(201);
    let head = server.send(Method::HEAD, "/functions/hello", None, None).await.expect_status(200);
    assert_eq!((head.header("content-length"), head.text.as_str()), (Some("5"), ""));
    let handshake = server.client().get(server.url("/functions/hello"));
    let handshake = handshake
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let refused = server.reply(handshake).await.expect_status(501);
    assert_eq!(refused.json["code"], json!("function_no_websocket"));
    call(&server, "hello%2f..").await.expect_status(400);
    server.send(Method::GET, "/functions", None, None).await.expect_status(404);
}

#[tokio::test]
async fn what_a_function_says_is_read_and_followed() {
    use futures_util::StreamExt as _;
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "logs", guests::logs("something happened")).await.expect_status(201);
    call(&server, "logs").await.expect_status(204);
    let lines = until("the line is there", async || {
        let page = server.get("/api/v1/functions/logs/logs?version=1", &developer).await.expect_status(200);
        Some(page.json).filter(|lines| lines.as_array().is_some_and(|lines| !lines.is_empty()))
    })
    .await;
    let line = &lines[0];
    assert_eq!((&line["message"], &line["stream"]), (&json!("something happened"), &json!("stderr")));
    assert_eq!((&line["function"], &line["version"]), (&json!("logs"), &json!(1)));

    let url = server.url("/api/v1/functions/logs/logs?follow=true");
    let mut stream = server.client().get(url).bearer_auth(&developer).send().await.unwrap().bytes_stream();
    let mut text = String::new();
    let followed = async {
        while text.matches("something happened").count() < 2 {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
            if text.matches("something happened").count() == 1 {
                call(&server, "logs").await.expect_status(204);
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), followed).await.unwrap();
    let metrics = server.get("/api/v1/functions/logs/metrics", &developer).await.expect_status(200);
    assert_eq!(metrics.json["versions"][0]["version"], json!(1), "{}", metrics.text);
    let exposed = server.get("/metrics", &developer).await.expect_status(200).text;
    assert!(exposed.contains("flagbase_function_calls_total{"), "{exposed}");
}

#[tokio::test]
async fn a_version_is_called_by_hand_and_its_faults_are_told() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    deploy(&server, &developer, "echo", guests::echoes()).await.expect_status(201);
    let unpromoted = ("promote=false", guests::traps());
    deploy_with(&server, &developer, "echo", unpromoted).await.expect_status(201);
    let path = "/api/v1/functions/echo/invoke";
    let ask = json!({"request": {"method": "POST", "target": "/x", "headers": {"a": "b"}, "body": "hello"}});
    let answer = server.post(path, &developer, &ask).await.expect_status(200);
    assert_eq!(
        (&answer.json["status"], &answer.json["body"], &answer.json["version"]),
        (&json!(200), &json!("hello"), &json!(1))
    );
    let binary = json!({"request": {"method": "POST", "target": "/", "body_base64": "/wD+"}});
    let answer = server.post(path, &developer, &binary).await.expect_status(200);
    assert_eq!(answer.json["body_base64"], json!("/wD+"), "{}", answer.text);
    let broken = json!({"version": 2, "request": {"method": "GET", "target": "/"}});
    let answer = server.post(path, &developer, &broken).await.expect_status(200);
    assert_eq!(answer.json["fault"]["code"], json!("function_failed"), "{}", answer.text);
    let tick = json!({"tick": {"schedule": "0 3 * * *"}});
    let answer = server.post(path, &developer, &tick).await.expect_status(200);
    assert!(answer.json["fault"].is_null() && answer.json["status"].is_null(), "{}", answer.text);
    for bad in [json!({}), json!({"request": {"method": "GET", "target": "x"}}), json!({"requst": {}})] {
        let refused = server.post(path, &developer, &bad).await;
        assert!([400, 422].contains(&refused.status), "{bad}: {}", refused.text);
    }
    server.post(path, &customer, &ask).await.expect_status(403);
}

#[tokio::test]
async fn what_a_function_does_not_take_is_a_dead_letter_and_can_be_offered_again() {
    const FUSSY: &str = "import { kv } from 'flagbase';\n\
        export async function event(event) {\n\
          if (!(await kv.get('ready'))) throw new Error('not ready');\n\
          await kv.set('got', event.subject);\n\
        }\n\
        export default { async fetch(request) {\n\
          if (request.method === 'POST') await kv.set('ready', 'yes');\n\
          return new Response((await kv.get('got')) ?? 'nothing');\n\
        } };";
    let server = TestServer::start(PROGRAM).await;
    let developer = server.administrator().await;
    deploy_with(&server, &developer, "fussy", ("file=fussy.js", FUSSY.into())).await.expect_status(201);
    let triggers = json!({"triggers": [{"name": "orders", "subject": "orders.>", "attempts": 1}]});
    set(&server, &developer, "fussy", triggers).await.expect_status(200);
    let message = json!({"subject": "orders.created", "payload": {"id": 1}});
    let letters = "/api/v1/functions/fussy/dead-letters";
    let letter = until("the letter is dead", async || {
        server.post("/api/v1/events", &developer, &message).await.expect_status(204);
        let letters = server.get(letters, &developer).await.expect_status(200);
        letters.json.as_array().and_then(|letters| letters.first().cloned())
    })
    .await;
    assert_eq!(letter["event"]["subject"], json!("orders.created"), "{letter}");
    server.send(Method::POST, "/functions/fussy", None, None).await.expect_status(200);
    let replay = format!("{letters}/{}/replay", letter["id"]);
    server.post(&replay, &developer, &json!({})).await.expect_status(202);
    let taken = until("it is taken", async || {
        Some(call(&server, "fussy").await.text).filter(|text| text != "nothing")
    });
    assert_eq!(taken.await, "orders.created");
    server.delete(letters, &developer).await.expect_status(204);
    server.delete(&format!("{letters}/1"), &developer).await.expect_status(404);
}
