//! What else the embedded server listens on, when it is asked to.

use flagbase_testkit::server::free_port;

use super::*;

#[tokio::test]
async fn monitoring_and_websocket_are_where_they_were_asked_for_and_only_for_pages_that_are_named() {
    let (monitor, websocket) = (free_port(), free_port());
    let server = TestServer::start_with(
        PROGRAM,
        &[
            ("FLAGBASE_EVENTS__MONITOR", &format!("127.0.0.1:{monitor}")),
            ("FLAGBASE_EVENTS__WEBSOCKET", &format!("127.0.0.1:{websocket}")),
            ("FLAGBASE_SERVER__CORS_ORIGINS", "https://app.example.com"),
        ],
    )
    .await;
    let shown = server.client().get(format!("http://127.0.0.1:{monitor}/varz"));
    let shown = server.reply(shown).await.expect_status(200).json;
    assert_eq!(shown["server_name"], json!("flagbase"));

    let page = |origin: &'static str| {
        let request = server.client().get(format!("http://127.0.0.1:{websocket}/"));
        let request = request.header("connection", "upgrade").header("upgrade", "websocket");
        let request = request.header("sec-websocket-version", "13").header("origin", origin);
        request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").send()
    };
    assert_eq!(page("https://app.example.com").await.unwrap().status(), 101);
    assert_eq!(page("https://evil.example.com").await.unwrap().status(), 403);
}

#[tokio::test]
async fn what_cannot_be_listened_on_stops_the_start_with_a_reason() {
    let server = TestServer::start(PROGRAM).await;
    for (variables, parts) in [
        (
            &[("FLAGBASE_EVENTS__TLS_CERT", "none.pem"), ("FLAGBASE_EVENTS__TLS_KEY", "none.key")][..],
            &["none.pem", "events.tls_cert"][..],
        ),
        (&[("FLAGBASE_EVENTS__TLS_CERT", "none.pem")], &["events.tls_key", "counterpart"]),
        (&[("FLAGBASE_EVENTS__MONITOR", "here")], &["events.monitor", "127.0.0.1:8222"]),
    ] {
        let place = tempfile::tempdir().unwrap();
        let mut command = server.command(&["start"]);
        command
            .current_dir(place.path())
            .env("FLAGBASE_SERVER__PORT", "0")
            .env("FLAGBASE_EVENTS__NATS_PORT", "0");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[tokio::test]
async fn without_the_embedded_server_everything_else_is_as_before() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_EVENTS__EMBEDDED", "false")]).await;
    assert!(Connected::new(&server, None).await.is_err());
    let developer = server.join("dev@example.com", "developer").await;
    make_flag(&server, &developer, "a").await;
    let replayed = server.get("/api/v1/events?after=0&until=head&type=flagbase.flag.*", &developer).await;
    assert!(replayed.text.contains("flagbase.flag.created") && replayed.text.contains("flagbase.stream.end"));
    let sinks = server.get("/api/v1/events/sinks", &developer).await.expect_status(200).json;
    assert!(sinks.as_array().unwrap().iter().all(|sink| sink["name"] != "embedded"), "{sinks}");
    let sent = json!({"subject": "orders", "payload": "x"});
    let refused = server.post("/api/v1/events", &developer, &sent).await.expect_status(409);
    assert_eq!(refused.json["code"], json!("no_embedded_bus"));
}
