//! A function's life in microVMs: deployed, called, changed, behind a flag, and gone when the server is.

use super::*;

/// A bound for hopeless cases, not a measurement: so many looks, a tenth of a second apart.
const LOOKS: u32 = 1200;

/// Looks until there is something to see.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    for _ in 0..LOOKS {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    unreachable!("never happened: {what}")
}

/// A figure of the server.
async fn figure(server: &TestServer, token: &str, name: &str) -> String {
    let text = server.get("/metrics", token).await.expect_status(200).text;
    let line = text.lines().find(|line| line.contains(name) && !line.starts_with('#'));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

async fn set(server: &TestServer, token: &str, settings: Value) {
    server.patch("/api/v1/functions/hello", token, &settings).await.expect_status(200);
}

#[tokio::test]
async fn a_function_is_deployed_called_and_told_what_it_may_know() {
    let machine = Machine::new();
    let mut server = machine.server().await;
    let developer = server.join("dev@example.com", "developer").await;
    let made = deploy(&server, &developer, ("file=hello.wasm", command())).await.expect_status(201);
    assert_eq!((&made.json["number"], &made.json["shape"]), (&json!(1), &json!("command")), "{}", made.text);
    let answer = call(&server, "/").await.expect_status(200);
    assert_eq!((answer.text.as_str(), answer.header("x-flagbase-function")), ("hello", Some("hello@1")));

    set(&server, &developer, json!({"environment": {"GREETING": "hi"}, "grants": {"secrets": true}})).await;
    let secret = json!({"value": "k3y"});
    server.put("/api/v1/functions/hello/secrets/API_KEY", &developer, &secret).await.expect_status(204);
    let identity = call(&server, "/identity").await.expect_status(200).json;
    assert_eq!((&identity["function"], &identity["version"]), (&json!("hello"), &json!(1)), "{identity}");
    assert_eq!(
        (&identity["variables"]["GREETING"], &identity["secrets"]["API_KEY"]),
        (&json!("hi"), &json!("k3y"))
    );

    let url = server.url("/functions/hello/echo");
    let echo = server.reply(server.client().post(url).body("x".repeat(300 << 10))).await.expect_status(200);
    assert_eq!(echo.text.len(), 300 << 10);
    call(&server, "/status?code=418").await.expect_status(418);
    call(&server, "/log?stream=stderr&text=something-happened").await.expect_status(200);
    let line = until("the line is kept", async || {
        let lines = server.get("/api/v1/functions/hello/logs", &developer).await.expect_status(200).json;
        let lines = lines.as_array().unwrap().clone();
        lines.into_iter().find(|line| line["message"] == "something-happened")
    });
    assert_eq!(line.await["stream"], json!("stderr"));
    assert_ne!(figure(&server, &developer, "microvm_restores").await, "0");

    assert!(!machine.microvms().is_empty());
    server.terminate();
    assert!(server.wait().await.success(), "{}", server.output());
    assert!(machine.microvms().is_empty(), "no process outlives the server");
    assert_eq!(machine.places(), Vec::<PathBuf>::new(), "nor does what it had");
}

#[tokio::test]
async fn what_goes_wrong_in_a_microvm_is_told_as_it_is_elsewhere() {
    let machine = Machine::new();
    let server = machine.server().await;
    let developer = server.join("dev@example.com", "developer").await;
    let source = deploy(&server, &developer, ("file=hello.js", b"export default {}".to_vec())).await;
    let source = source.expect_status(422);
    assert!(source.text.contains("`compute.driver: wasm` runs JavaScript"), "{}", source.text);
    deploy(&server, &developer, ("file=hello.wasm", command())).await.expect_status(201);
    let died = call(&server, "/die").await.expect_status(502);
    assert!(died.json["code"].as_str().unwrap().starts_with("function_"), "{}", died.text);
    assert_eq!(
        call(&server, "/").await.expect_status(200).text,
        "hello",
        "the next call gets another microVM"
    );
    assert_eq!(figure(&server, &developer, "microvm_deaths").await, "1");
    set(&server, &developer, json!({"limits": {"timeout": "3s", "response_body": "64KiB"}})).await;
    let late = call(&server, "/hang").await.expect_status(504);
    assert_eq!(late.json["code"], json!("function_timeout"), "{}", late.text);
    call(&server, "/big?bytes=100000").await.expect_status(502);
    assert_eq!(call(&server, "/").await.expect_status(200).text, "hello");
}

#[tokio::test]
async fn a_flag_chooses_between_versions_in_microvms_of_their_own() {
    let machine = Machine::new();
    let server = machine.server().await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, ("file=hello.wasm", command())).await.expect_status(201);
    deploy(&server, &developer, ("file=hello.wasm&promote=false", command())).await.expect_status(201);
    let flag = json!({"key": "hello-version", "type": "string", "enabled": true,
        "variants": [{"name": "one", "value": "1"}, {"name": "two", "value": "2"}],
        "default_variant": "one", "off_variant": "one",
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": "two"}]});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    set(&server, &developer, json!({"flag_key": "hello-version"})).await;
    for _ in 0..2 {
        let mine = server.get("/functions/hello/identity", &developer).await.expect_status(200);
        assert_eq!(mine.json["version"], json!(2), "{}", mine.text);
        assert_eq!(call(&server, "/identity").await.expect_status(200).json["version"], json!(1));
    }
    server.post("/api/v1/flags/hello-version/disable", &developer, &json!({})).await.expect_status(200);
    let mine = server.get("/functions/hello/identity", &developer).await.expect_status(200);
    assert_eq!(mine.json["version"], json!(1), "one update takes it back");
}

#[tokio::test]
async fn microvms_that_outlive_a_crash_are_ended_by_the_next_start() {
    let machine = Machine::new();
    let mut server = machine.server().await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, ("file=hello.wasm", command())).await.expect_status(201);
    call(&server, "/").await.expect_status(200);
    let (orphans, places) = (machine.microvms(), machine.places());
    assert!(!orphans.is_empty() && !places.is_empty());
    server.kill();
    assert_eq!(machine.microvms(), orphans, "nobody ended them");
    server.restart().await;
    assert!(server.output().contains("cleaned up microVMs that outlived a crash"), "{}", server.output());
    until("they are gone", async || {
        let left = machine.microvms();
        orphans.iter().all(|pid| !left.contains(pid)).then_some(())
    })
    .await;
    assert!(machine.places().iter().all(|place| !places.contains(place)), "and so are their directories");
    assert_eq!(call(&server, "/").await.expect_status(200).text, "hello");
}
