//! Who comes in, who sees what, and who has to leave.

use super::*;

#[tokio::test]
async fn tokens_are_those_of_the_product_and_permit_what_they_permit_there() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_EVENTS__ANONYMOUS", "off")]).await;
    let admin = server.administrator().await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    for refused in [None, Some("nonsense"), Some(&*customer), Some("fb_0123456789abcdef_00")] {
        assert!(Connected::new(&server, refused).await.is_err(), "{refused:?}");
    }
    let mut anywhere = Connected::new(&server, Some(&admin)).await.unwrap().subscribe("flagbase.>").await;
    let watcher = Connected::new(&server, Some(&developer)).await.unwrap();
    let mut development = watcher.subscribe("flagbase.*.*").await;
    server.register("somebody@example.com", None).await.expect_status(201);
    make_flag(&server, &developer, "a").await;
    assert_eq!(cloud_event(&mut anywhere).await.0, "flagbase.user.created");
    assert_eq!(
        cloud_event(&mut development).await.0,
        "flagbase.flag.created",
        "a developer hears nothing of people"
    );

    let password = ConnectOptions::new().user_and_password("anything".into(), developer);
    assert!(
        password.connect(server.bus()).await.is_ok(),
        "a token can stand where clients ask for a password"
    );
}

#[tokio::test]
async fn a_key_sees_its_environment_alone_and_nobody_speaks_for_flagbase() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let production = json!({"key": "live", "kind": "production"});
    server.post("/api/v1/environments", &admin, &production).await.expect_status(201);
    let key = make_key(&server, &admin, "live", &["event.read"]).await;
    let mut reader = Connected::new(&server, key["token"].as_str()).await.unwrap();
    let mut own = reader.subscribe("flagbase.env.live.>").await;
    for subject in ["flagbase.>", "flagbase.env.default.>", "flagbase.flag.*", ">", "orders"] {
        let _refused = reader.client.subscribe(subject).await.unwrap();
        let said = reader.refused().await;
        assert!(said.contains("ermissions") && said.contains(subject), "{subject}: {said}");
    }
    reader.client.publish("orders", "1".into()).await.unwrap();
    assert!(reader.refused().await.contains("orders"));

    make_flag(&server, &admin, "in-default").await;
    let flag = json!({"key": "in-live", "enabled": true, "default_value": true});
    server.post("/api/v1/flags?environment=live", &admin, &flag).await.expect_status(201);
    assert_eq!(cloud_event(&mut own).await.0, "flagbase.env.live.flag.in-live.created");

    let mut root = Connected::new(&server, Some(&admin)).await.unwrap();
    let mut everything = root.subscribe("flagbase.>").await;
    root.client.publish("flagbase.flag.disabled", "a lie".into()).await.unwrap();
    assert!(root.refused().await.contains("flagbase.flag.disabled"));
    make_flag(&server, &admin, "truth").await;
    assert_eq!(cloud_event(&mut everything).await.1["subject"], json!("truth"));
}

#[tokio::test]
async fn what_is_withdrawn_ends_the_connection_at_once() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let developer = server.join("dev@example.com", "developer").await;
    let elsewhere = server.login("dev@example.com").await;
    let key = make_key(&server, &admin, "default", &["event.read"]).await;
    let closed = |event: &Event| matches!(event, Event::Disconnected);

    let mut by_logout = Connected::new(&server, Some(&developer)).await.unwrap();
    let mut by_key = Connected::new(&server, key["token"].as_str()).await.unwrap();
    let mut by_role = Connected::new(&server, Some(&elsewhere)).await.unwrap();
    let mut stays = Connected::new(&server, Some(&admin)).await.unwrap().subscribe("flagbase.flag.*").await;

    server.send(reqwest::Method::POST, "/auth/logout", Some(&developer), None).await.expect_status(204);
    by_logout.until(closed).await;
    assert!(Connected::new(&server, Some(&developer)).await.is_err());

    server.delete(&format!("/api/v1/keys/{}", key["id"].as_str().unwrap()), &admin).await.expect_status(204);
    by_key.until(closed).await;
    assert!(Connected::new(&server, key["token"].as_str()).await.is_err());

    let users = server.get("/api/v1/users?search=dev@example.com", &admin).await.expect_status(200);
    let user = format!("/api/v1/users/{}", users.json[0]["id"].as_str().unwrap());
    server.patch(&user, &admin, &json!({"role": "user"})).await.expect_status(200);
    by_role.until(closed).await;
    assert!(Connected::new(&server, Some(&elsewhere)).await.is_err());

    make_flag(&server, &admin, "still-here").await;
    assert_eq!(cloud_event(&mut stays).await.1["subject"], json!("still-here"));
}

#[tokio::test]
async fn strangers_lose_sight_of_everything_at_once_when_there_is_a_production() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let mut stranger = Connected::new(&server, None).await.unwrap();
    let mut all = stranger.subscribe("flagbase.>").await;
    let mut development = stranger.subscribe("flagbase.env.default.>").await;
    let production = json!({"key": "live", "kind": "production"});
    server.post("/api/v1/environments", &admin, &production).await.expect_status(201);
    stranger.until(|event| matches!(event, Event::Disconnected)).await;
    stranger.until(|event| matches!(event, Event::Connected)).await;
    assert!(
        stranger.refused().await.contains("flagbase.>"),
        "the subscription that is not permitted any more"
    );
    stranger.client.flush().await.unwrap();

    let flag = json!({"key": "secret", "enabled": true, "default_value": true});
    server.post("/api/v1/flags?environment=live", &admin, &flag).await.expect_status(201);
    make_flag(&server, &admin, "open").await;
    assert_eq!(cloud_event(&mut development).await.1["subject"], json!("open"));
    assert!(futures_util::FutureExt::now_or_never(all.next()).flatten().is_none());
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let server = TestServer::start(PROGRAM).await;
    let start = |more: &[(&str, &str)]| {
        let place = tempfile::tempdir().unwrap();
        let mut command = server.command(&["start"]);
        command
            .current_dir(place.path())
            .env("FLAGBASE_SERVER__PORT", "0")
            .env("FLAGBASE_EVENTS__NATS_PORT", &port);
        let output = command.envs(more.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = start(&[]);
    assert_eq!(code, Some(1), "{said}");
    for part in [&*port, "FLAGBASE_EVENTS__NATS_PORT", "FLAGBASE_EVENTS__EMBEDDED=false", "stop it"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = start(&[("FLAGBASE_EVENTS__URL", "amqp://one")]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("events.url") && said.contains("nats://"), "{said}");
}
