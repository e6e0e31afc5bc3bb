//! Endpoints that fail, are slow, lead elsewhere, are gone, or want peace.

use super::*;

#[tokio::test]
async fn an_endpoint_that_fails_gets_it_again_and_a_dead_one_holds_up_no_other() {
    let (server, token) = server().await;
    let (failing, slow, good) = (Backend::start().await, Backend::start().await, Backend::start().await);
    failing.answer(500, "not now");
    slow.delay(Duration::from_mins(10));
    for (key, backend) in [("failing", &failing), ("slow", &slow), ("good", &good)] {
        webhook(&server, &token, key, &backend.url()).await;
    }
    for verb in ["disable", "enable", "disable", "enable", "disable"] {
        flip(&server, &token, verb).await;
    }
    received(&good, 5).await;
    let waiting = newest(&server, &token, "failing", "pending").await;
    failing.answer(200, "thanks");
    received(&failing, 10).await;
    let done = newest(&server, &token, "failing", "delivered").await;
    assert_eq!(done["id"], waiting["id"]);
    let told: Vec<_> =
        done["attempts"].as_array().unwrap().iter().map(|a| (&a["status"], &a["response"])).collect();
    assert_eq!(told, [(&json!(500), &json!("not now")), (&json!(200), &json!("thanks"))]);
    assert_eq!(newest(&server, &token, "slow", "pending").await["tries"], 0, "nothing else waited for it");
    let metrics = server.get("/metrics", &token).await.text;
    assert!(metrics.contains("flagbase_webhook_attempts_total{result=\"delivered\"}"), "{metrics}");
}

#[tokio::test]
async fn a_slow_endpoint_is_given_up_in_time() {
    let (mut server, token) = server().await;
    server.set_env("FLAGBASE_WEBHOOKS__TIMEOUT", "1s");
    server.restart().await;
    let slow = Backend::start().await;
    slow.delay(Duration::from_mins(10));
    webhook(&server, &token, "slow", &slow.url()).await;
    flip(&server, &token, "disable").await;
    let path = "/api/v1/webhooks/slow/deliveries";
    let tried = until("an attempt", async || {
        let found = server.get(path, &token).await.json[0].clone();
        Some(found).filter(|delivery| delivery["tries"].as_u64() > Some(0))
    })
    .await;
    assert_eq!(tried["error"], "no answer within 1 s");
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let (server, token) = server().await;
    let (leading, inside) = (Backend::start().await, Backend::start().await);
    leading.answer(307, "");
    leading.add_header("location", &inside.url());
    webhook(&server, &token, "w", &leading.url()).await;
    flip(&server, &token, "disable").await;
    received(&leading, 1).await;
    let path = "/api/v1/webhooks/w/deliveries";
    let error = until("an attempt", async || {
        server.get(path, &token).await.json[0]["error"].as_str().map(str::to_owned)
    })
    .await;
    assert!(error.contains("redirects are not followed"), "{error}");
    assert!(inside.received().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_by_a_change_with_a_reason() {
    let (server, token) = server().await;
    let gone = Backend::start().await;
    gone.answer(410, "");
    webhook(&server, &token, "w", &gone.url()).await;
    flip(&server, &token, "disable").await;
    let stored = until("it is disabled", async || {
        let stored = server.get("/api/v1/webhooks/w", &token).await.json;
        Some(stored).filter(|webhook| webhook["enabled"] == false)
    })
    .await;
    assert_eq!(stored["disabled_because"], "the endpoint answered 410 Gone");
    let events = server.get("/api/v1/changes?limit=1000", &token).await.text;
    assert!(events.contains("\"webhook\"") && events.contains("410 Gone"), "{events}");
    let refused = server.post("/api/v1/webhooks/w/test", &token, &json!({})).await.expect_status(409);
    assert_eq!(refused.json["code"], "webhook_disabled");
}

#[tokio::test]
async fn an_endpoint_that_wants_peace_gets_it_and_then_everything() {
    let (server, token) = server().await;
    let busy = Backend::start().await;
    busy.answer(429, "");
    busy.add_header("retry-after", "6");
    webhook(&server, &token, "w", &busy.url()).await;
    flip(&server, &token, "disable").await;
    received(&busy, 1).await;
    newest(&server, &token, "w", "pending").await;
    busy.answer(200, "");
    flip(&server, &token, "enable").await;
    let messages = received(&busy, 3).await;
    let at = |message: &Received| message.header("webhook-timestamp").unwrap().parse::<i64>().unwrap();
    for later in &messages[1..] {
        assert!(at(later) - at(&messages[0]) >= 5, "left alone for six seconds");
    }
}

#[tokio::test]
async fn nobody_is_led_inside_unless_the_operator_says_so() {
    let server = TestServer::start(PROGRAM).await;
    let token = server.administrator().await;
    let backend = Backend::start().await;
    for url in [backend.url(), backend.url().replace("127.0.0.1", "localhost"), "http://10.0.0.1/".to_owned()]
    {
        let body = json!({"key": "w", "url": url});
        let refused = server.post("/api/v1/webhooks", &token, &body).await.expect_status(422);
        assert_eq!(refused.json["errors"][0]["pointer"], "/url");
        assert!(refused.text.contains("webhooks.allow_"), "{}", refused.text);
    }
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn webhooks_are_for_those_who_may_manage_them_there() {
    let (server, token) = server().await;
    let (developer, user) =
        (server.join("dev@example.com", "developer").await, server.join("u@example.com", "user").await);
    let body = json!({"key": "mine", "url": "https://hooks.example.com"});
    drop(server.get("/api/v1/webhooks", &user).await.expect_status(403));
    drop(server.post("/api/v1/webhooks", &developer, &body).await.expect_status(201));
    drop(server.post("/api/v1/webhooks?environment=*", &developer, &body).await.expect_status(403));
    let everywhere = server.post("/api/v1/webhooks?environment=*", &token, &body).await.expect_status(201);
    assert_eq!(everywhere.json["environment"], "*");
    let stale = server.client().delete(server.url("/api/v1/webhooks/mine")).bearer_auth(&developer);
    let stale = server.reply(stale.header("if-match", "\"1\"")).await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    let document = server.get("/api/v1/webhooks/mine", &developer).await.expect_status(200);
    let seen = document.header("etag").unwrap().to_owned();
    let delete = server.client().delete(server.url("/api/v1/webhooks/mine")).bearer_auth(&developer);
    drop(server.reply(delete.header("if-match", seen)).await.expect_status(204));
}
