//! `flagbase events …` against a running server.

use std::process::Output;

use super::*;

fn run(server: &TestServer, token: &str, arguments: &[&str]) -> Output {
    let mut command = server.command(arguments);
    command.env("FLAGBASE_TOKEN", token).env("FLAGBASE_SERVER", server.url("")).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_replay_prints_what_happened_between_two_revisions_and_ends() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    for key in ["a", "b", "c"] {
        make_flag(&server, &developer, key).await;
    }
    let replay = |more: &[&str]| {
        let arguments = [&["events", "replay", "--after", "0", "-o", "json", "-q"][..], more].concat();
        let printed = printed(&run(&server, &developer, &arguments));
        let events = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events
            .map(|event| (event["flagbaseseq"].as_u64().unwrap(), event["subject"].clone()))
            .collect::<Vec<_>>()
    };
    let all = replay(&["--type", "flagbase.flag.created"]);
    let subjects: Vec<_> = all.iter().map(|(_, subject)| subject.clone()).collect();
    assert_eq!(subjects, [json!("a"), json!("b"), json!("c")]);
    let until = all[1].0.to_string();
    assert_eq!(replay(&["--until", &until, "flagbase.env.default.flag.>"]), all[..2]);
    assert_eq!(replay(&["flagbase.flag.deleted"]), []);
}

#[tokio::test]
async fn messages_of_programs_go_out_by_command_and_stay_out_of_the_log() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    let program = Connected::new(&server, Some(&developer)).await.unwrap();
    let mut orders = program.subscribe("orders.*").await;
    printed(&run(&server, &developer, &["events", "pub", "orders.created", "{\"n\": 1}"]));
    let message = next(&mut orders).await;
    assert_eq!((message.subject.as_str(), &*message.payload), ("orders.created", &b"{\"n\": 1}"[..]));
    let sent = json!({"subject": "orders.paid", "payload": {"n": 2}});
    server.post("/api/v1/events", &developer, &sent).await.expect_status(204);
    assert_eq!(&*next(&mut orders).await.payload, b"{\"n\":2}");

    for (token, subject, code) in
        [(&developer, "flagbase.flag.disabled", 4), (&customer, "orders.created", 4), (&developer, "a b", 1)]
    {
        let refused = run(&server, token, &["events", "pub", subject, "x"]);
        assert_eq!(refused.status.code(), Some(code), "{}", String::from_utf8_lossy(&refused.stderr));
    }
    let reply = program.client.request("nobody.home", "anybody?".into()).await;
    assert!(reply.is_err(), "who asks and finds nobody is told");
}

#[tokio::test]
async fn the_lag_of_each_sink_is_shown_to_people_and_to_prometheus() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    make_flag(&server, &developer, "a").await;
    let embedded = loop {
        let sinks = server.get("/api/v1/events/sinks", &developer).await.expect_status(200).json;
        let embedded =
            sinks.as_array().unwrap().iter().find(|sink| sink["name"] == "embedded").unwrap().clone();
        if embedded["behind"] == json!(0) {
            break embedded;
        }
    };
    assert_eq!((&embedded["revision"], &embedded["error"]), (&embedded["head"], &Value::Null));
    let shown = printed(&run(&server, &developer, &["events", "lag"]));
    assert!(shown.contains("SINK") && shown.contains("embedded"), "{shown}");
    let measured = server.send(reqwest::Method::GET, "/metrics", None, None).await.expect_status(200).text;
    for line in
        ["flagbase_events_behind{sink=\"embedded\"} 0", "flagbase_events_behind_seconds{sink=\"embedded\"} 0"]
    {
        assert!(measured.contains(line), "{line}");
    }
    let customer = server.join("customer@example.com", "user").await;
    server.get("/api/v1/events/sinks", &customer).await.expect_status(403);
}
