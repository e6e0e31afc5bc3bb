//! What each shape of guest writes is kept with the trace of its request, however it is written.

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Asks for `path` as part of a trace.
async fn traced(server: &TestServer, path: &str) -> Reply {
    let request = server.client().get(server.url(path));
    server.reply(request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))).await
}

/// The lines that `name` wrote, as soon as there are so many.
async fn lines(server: &TestServer, token: &str, (name, count): (&str, usize)) -> Vec<Value> {
    let path = format!("/api/v1/functions/{name}/logs");
    until("the lines are there", async || {
        let lines = server.get(&path, token).await.expect_status(200).json.as_array().unwrap().clone();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn lines_of_commands_and_components_carry_the_trace_of_their_request() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let all = json!({"grants": {"flags": true, "keyvalue": ["default"], "buckets": ["uploads"], "publish": ["a.>"],
        "outbound": ["https://api.example.com"], "secrets": true}});
    for (name, path, stream, said) in [
        ("command", "/stderr", "stderr", &["one line", "another line"][..]),
        ("native", "/log", "log", &["something happened"][..]),
        ("drafts", "/log", "log", &["a line"][..]),
    ] {
        server.put(&format!("/api/v1/functions/{name}"), &developer, &all).await.expect_status(201);
        let query = format!("file={name}.wasm");
        deploy_with(&server, &developer, name, (&query, shapes::guest(name))).await.expect_status(201);
        traced(&server, &format!("/functions/{name}{path}")).await.expect_status(204);
        let written = lines(&server, &developer, (name, said.len())).await;
        assert_eq!(written.len(), said.len(), "{written:?}");
        for (line, said) in written.iter().zip(said) {
            assert_eq!((&line["message"], &line["stream"]), (&json!(said), &json!(stream)), "{line}");
            let parts: Vec<_> = line["traceparent"].as_str().unwrap().split('-').collect();
            assert_eq!(parts[1], TRACE, "{line}");
        }
        // One call, one id; the next call is another, and begins a trace of its own.
        assert!(written.iter().all(|line| line["call"] == written[0]["call"]), "{written:?}");
        call(&server, &format!("{name}{path}")).await.expect_status(204);
        let more = lines(&server, &developer, (name, 2 * said.len())).await;
        let last = more.iter().find(|line| line["call"] != written[0]["call"]).unwrap();
        assert!(!last.to_string().contains(TRACE), "{last}");
    }
}

#[tokio::test]
async fn what_a_command_prints_while_it_takes_an_event_is_its_log() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "prints", guests::says(200, "on stdout")).await.expect_status(201);
    let url = server.url("/api/v1/functions/prints/invoke");
    let tick = server.client().post(url).bearer_auth(&developer).json(&json!({"tick": {}}));
    let tick = tick.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let told = server.reply(tick).await.expect_status(200);
    assert!(told.json["fault"].is_null(), "{}", told.text);
    let written = lines(&server, &developer, ("prints", 1)).await;
    let line = written.iter().find(|line| line["message"] == "on stdout").unwrap();
    assert_eq!(line["stream"], json!("stdout"), "{line}");
    assert!(line.to_string().contains(TRACE), "{line}");
}
