//! Code that means harm, or has none of what it needs: callers and developers are told, and everybody else is served.

use flagbase_testkit::Backend;

use super::*;

async fn deploy_source(server: &TestServer, token: &str, name: &str, source: &str) -> Reply {
    let query = format!("file={name}.js");
    deploy_with(server, token, name, (&query, source.into())).await
}

#[tokio::test]
async fn sources_that_misbehave_are_stopped_and_the_caller_is_told_why() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::says(200, "hi")).await.expect_status(201);
    for (name, work, status, codes) in [
        ("loops", "for (;;) {}", 504, "function_timeout"),
        ("sleeps", "await new Promise(() => setInterval(() => {}, 10))", 504, "function_timeout"),
        ("hoards", "const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(7))", 502, "function_"),
        ("fills", "new Uint8Array(1 << 30).fill(7)", 502, "function_"),
        ("recurses", "const deeper = () => deeper() + 1; deeper()", 502, "function_"),
        ("floods", "return new Response('x'.repeat(1 << 24))", 502, "function_"),
        ("throws", "throw new Error('it broke')", 502, "function_failed"),
        ("answers-nothing", "return 7", 502, "function_"),
    ] {
        let source = format!("export default {{ async fetch() {{ {work} }} }};");
        deploy_source(&server, &developer, name, &source).await.expect_status(201);
        let limits = json!({"limits": {"timeout": "1s", "memory": "32MiB", "response_body": "1MiB"}});
        set(&server, &developer, name, limits).await.expect_status(200);
        let answer = call(&server, name).await.expect_status(status);
        assert!(answer.json["code"].as_str().unwrap().starts_with(codes), "{name}: {}", answer.text);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
        assert_eq!(call(&server, "hello").await.expect_status(200).text, "hi");
    }
}

#[tokio::test]
async fn in_production_only_those_who_read_functions_learn_what_went_wrong_inside() {
    let settings = [("FLAGBASE_GATEWAY__ENVIRONMENT", "live")];
    let server = TestServer::start_with(PROGRAM, &settings).await;
    let administrator = server.administrator().await;
    let live = json!({"key": "live", "name": "Live", "kind": "production"});
    server.post("/api/v1/environments", &administrator, &live).await.expect_status(201);
    let customer = server.join("customer@example.com", "user").await;
    let source = "export default { fetch() { throw new Error('the password is 12345'); } };";
    let query = "file=throws.js&environment=live";
    deploy_with(&server, &administrator, "throws", (query, source.into())).await.expect_status(201);
    let told = server.get("/functions/throws", &administrator).await.expect_status(502);
    assert!(told.text.contains("12345"), "{}", told.text);
    assert_eq!(told.json["code"], json!("function_failed"));
    for answer in [server.get("/functions/throws", &customer).await, call(&server, "throws").await] {
        let answer = answer.expect_status(502);
        assert_eq!(answer.json["code"], json!("function_failed"), "{}", answer.text);
        assert!(!answer.text.contains("12345"), "{}", answer.text);
        assert!(answer.header("x-flagbase-function").is_none());
    }
}

#[tokio::test]
async fn a_function_that_never_reads_its_input_is_sent_no_more_and_answers() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::says(200, "hi")).await.expect_status(201);
    deploy_source(&server, &developer, "script", "export default { fetch: () => new Response('hi') };")
        .await
        .expect_status(201);
    for name in ["hello", "script"] {
        let url = server.url(&format!("/functions/{name}"));
        let answer = server.reply(server.client().post(url).body(vec![b'x'; 8 << 20])).await;
        assert_eq!(answer.expect_status(200).text, "hi");
    }
}

#[tokio::test]
async fn nothing_inside_is_reached_whatever_is_granted_unless_the_operator_allows_it() {
    const ASKS: &str = "export default { async fetch(request, env) {\n\
        const asked = await Promise.allSettled(JSON.parse(env.HOSTS).map((host) => fetch(`${host}/latest`)));\n\
        return Response.json(asked.map(({ status, reason }) => `${status}: ${reason?.message ?? ''}`));\n\
    } };";
    let inside = Backend::start().await;
    let port = inside.address().port();
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let hosts: Vec<String> = ["127.0.0.1", "localhost", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"]
        .iter()
        .map(|host| format!("http://{host}:{port}"))
        .chain(["http://169.254.169.254".to_owned(), "http://[fd00:ec2::254]".to_owned()])
        .collect();
    let settings = json!({"grants": {"outbound": hosts}, "environment": {"HOSTS": json!(hosts).to_string()}});
    server.put("/api/v1/functions/asks", &developer, &settings).await.expect_status(201);
    deploy_source(&server, &developer, "asks", ASKS).await.expect_status(201);
    let told = call(&server, "asks").await.expect_status(200).json;
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), hosts.len());
    for (host, told) in hosts.iter().zip(told) {
        assert!(told.as_str().unwrap().starts_with("rejected: "), "{host}: {told}");
    }
    assert!(inside.received().is_empty());
}

/// A module with one function of so many locals that all live over twice as many branches: small to write, and more
/// work to compile than anybody has time for.
fn bomb(locals: usize) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = "(module (func (export \"_start\") (param i32)".to_owned();
    text.push_str(&" (local i32)".repeat(locals));
    for at in 1..=locals {
        let _ = write!(text, " local.get 0 i32.const {at} i32.add local.set {at}");
    }
    for at in 1..=2 * locals {
        let local = 1 + at % locals;
        let _ =
            write!(text, " local.get {local} if local.get {local} local.get 0 i32.add local.set {local} end");
    }
    for at in 1..=locals {
        let _ = write!(text, " local.get {at} drop local.get {at} local.get 0 i32.add local.set 0");
    }
    text.push_str("))");
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn what_would_take_for_ever_to_build_is_given_up_while_others_are_served() {
    let settings = [("FLAGBASE_FUNCTIONS__COMPILE_TIMEOUT", "2s")];
    let server = TestServer::start_with(PROGRAM, &settings).await;
    let developer = server.join("dev@example.com", "developer").await;
    let large = deploy(&server, &developer, "large", vec![0; 100 << 20]).await.expect_status(413);
    assert_eq!(large.json["code"], json!("body_too_large"), "{}", large.text);
    deploy(&server, &developer, "hello", guests::says(200, "hi")).await.expect_status(201);
    let bombs = async {
        for code in [bomb(3000), b"for (;;) {}".to_vec()] {
            let file = if code.starts_with(b"\0asm") { "file=bomb.wasm" } else { "file=bomb.js" };
            let refused = deploy_with(&server, &developer, "bomb", (file, code)).await.expect_status(422);
            assert!(refused.json["detail"].as_str().unwrap().len() > 20, "{}", refused.text);
        }
    };
    let others = async {
        for _ in 0..20 {
            assert_eq!(call(&server, "hello").await.expect_status(200).text, "hi");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(bombs, others);
    server.get("/api/v1/functions/bomb", &developer).await.expect_status(404);
    let children = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter(|entry| {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{}", server.pid()))
    });
    assert_eq!(children.count(), 0, "no compiler is left behind");
}
