//! What a newcomer does first.

use super::*;

#[tokio::test]
async fn a_newcomer_watches_with_any_client_and_sees_a_flag_flipped_in_another_terminal() {
    let server = TestServer::start(PROGRAM).await;
    let newcomer = Connected::new(&server, None).await.unwrap();
    let mut all = newcomer.subscribe("flagbase.>").await;

    let run = |arguments: &[&str], token: &str| {
        let output = server
            .command(arguments)
            .env("FLAGBASE_TOKEN", token)
            .env("FLAGBASE_SERVER", server.url(""))
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let developer = server.join("dev@example.com", "developer").await;
    run(&["flag", "create", "new-checkout", "--enabled"], &developer);
    run(&["flag", "disable", "new-checkout"], &developer);

    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(cloud_event(&mut all).await);
    }
    let subjects: Vec<_> = seen.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "flagbase.flag.created",
            "flagbase.env.default.flag.new-checkout.created",
            "flagbase.flag.disabled",
            "flagbase.env.default.flag.new-checkout.disabled",
        ],
        "and nothing of the account that was made between"
    );
    let (_, event) = &seen[2];
    assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("flagbase.flag.disabled")));
    assert_eq!(event["subject"], json!("new-checkout"));
    assert_eq!(event["data"]["after"]["enabled"], json!(false));
    assert_eq!(event["id"], seen[3].1["id"], "the same event on both subjects");
    let changes =
        server.get("/api/v1/changes?type=flagbase.flag.disabled", &developer).await.expect_status(200);
    assert_eq!(event["id"], changes.json[0]["event"], "and in the change log");
}

#[tokio::test]
async fn the_trace_of_a_request_and_the_id_of_the_event_reach_the_subscriber() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let server = TestServer::start(PROGRAM).await;
    let watcher = Connected::new(&server, None).await.unwrap();
    let mut flags = watcher.subscribe("flagbase.env.default.flag.a%2Eb.*").await;
    let developer = server.join("dev@example.com", "developer").await;
    let flag = json!({"key": "a.b", "enabled": true, "default_value": true});
    let request = server.client().post(server.url("/api/v1/flags")).bearer_auth(&developer).json(&flag);
    server.reply(request.header("traceparent", TRACE)).await.expect_status(201);
    let message = next(&mut flags).await;
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((&event["traceparent"], &event["data"]["detail"]), (&json!(TRACE), &Value::Null));
    let headers = message.headers.unwrap();
    assert_eq!(json!(headers.get("Nats-Msg-Id").unwrap().as_str()), event["id"]);
    assert_eq!(headers.get("Content-Type").unwrap().as_str(), "application/cloudevents+json");
    let shown = server.get("/api/v1/changes?type=flagbase.flag.created", &developer).await.expect_status(200);
    assert_eq!(shown.json[0]["traceparent"], json!(TRACE));
}

#[tokio::test]
async fn subscribers_find_the_bus_again_after_a_restart_and_the_rest_in_the_log() {
    let mut server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let mut watcher = Connected::new(&server, Some(&developer)).await.unwrap();
    let mut all = watcher.subscribe("flagbase.*.*").await;
    make_flag(&server, &developer, "before").await;
    let last = cloud_event(&mut all).await.1["flagbaseseq"].as_u64().unwrap();
    server.restart().await;
    make_flag(&server, &developer, "between").await;
    watcher.until(|event| matches!(event, Event::Connected)).await;
    watcher.client.flush().await.unwrap();
    make_flag(&server, &developer, "after").await;
    let replayed = server.get(&format!("/api/v1/events?after={last}&until=head"), &developer).await;
    let subjects: Vec<_> = replayed.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(subjects, ["flagbase.flag.created", "flagbase.flag.created", "flagbase.stream.end"]);
    loop {
        if cloud_event(&mut all).await.1["subject"] == json!("after") {
            break;
        }
    }
}
