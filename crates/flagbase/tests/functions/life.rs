//! Versions on the command line, and what is left of a function that was deleted: nothing.

use std::process::Output;

use super::*;

const NUMBERED: &str = "export default { fetch: () => new Response(`version ${flagbase.context.version}`) };";

/// `flagbase fn …` as the holder of a token.
fn function(server: &TestServer, token: &str, arguments: &[&str]) -> Output {
    let mut command = server.command(&["fn"]);
    command.args(arguments).env("FLAGBASE_SERVER", server.url("")).env("FLAGBASE_TOKEN", token);
    command.output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_promoted_and_taken_back_on_the_command_line() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    std::fs::write(server.directory().join("hello.js"), NUMBERED).unwrap();
    let run = |arguments: &[&str]| function(&server, &developer, arguments);
    for _ in 0..3 {
        done(&run(&["deploy", "hello.js"]));
    }
    let says = async || call(&server, "hello").await.expect_status(200).text;
    assert_eq!(says().await, "version 3");
    done(&run(&["rollback", "hello"]));
    assert_eq!(says().await, "version 2");
    done(&run(&["rollback", "hello"]));
    assert_eq!(says().await, "version 1", "back once more is further back");
    let refused = run(&["rollback", "hello"]);
    assert!(!refused.status.success(), "there is nothing before the first one");
    done(&run(&["promote", "hello", "3"]));
    assert_eq!(says().await, "version 3");
    done(&run(&["rollback", "hello", "2"]));
    assert_eq!(says().await, "version 2", "a version can be named");
    let listed = done(&run(&["versions", "hello"]));
    assert!(listed.lines().count() >= 3 && listed.contains("current"), "{listed}");
    for bad in [["promote", "hello", "9"], ["promote", "nothing", "1"]] {
        assert!(!run(&bad).status.success(), "{bad:?}");
    }
    done(&run(&["delete", "hello", "--yes"]));
    call(&server, "hello").await.expect_status(404);
}

#[tokio::test]
async fn of_a_deleted_function_nothing_is_left_and_nothing_starts_it() {
    const HEARS: &str = r"
import { kv, secrets } from 'flagbase';
export const event = async (event) => kv.increment(event.subject);
export default { fetch: async () => Response.json({
  heard: await kv.increment('orders.created', 0), last: await kv.increment('last', 0), secret: secrets.get('API_KEY') }) };
";
    let mut server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let settings = json!({"grants": {"secrets": true, "keyvalue": ["default"]},
        "triggers": [{"name": "orders", "subject": "orders.>", "attempts": 1}]});
    let make = async |settings: &Value| {
        server.put("/api/v1/functions/hears", &developer, settings).await.expect_status(201);
        deploy_with(&server, &developer, "hears", ("file=hears.js", HEARS.into())).await.expect_status(201)
    };
    make(&settings).await;
    let secret = json!({"value": "s3cret"});
    server.put("/api/v1/functions/hears/secrets/API_KEY", &developer, &secret).await.expect_status(204);
    let told = async || call(&server, "hears").await.expect_status(200).json;
    let say = async || {
        let message = json!({"subject": "orders.created", "payload": {}});
        server.post("/api/v1/events", &developer, &message).await.expect_status(204);
    };
    until("it hears", async || {
        say().await;
        (told().await["heard"] != 0).then_some(())
    })
    .await;
    assert_eq!(told().await["secret"], json!("s3cret"));
    assert_eq!(kept_code(&server).len(), 1);

    server.delete("/api/v1/functions/hears", &developer).await.expect_status(204);
    call(&server, "hears").await.expect_status(404);
    // Another one of the same name is another one.
    make(&json!({"grants": {"secrets": true, "keyvalue": ["default"]}})).await;
    let before = told().await["heard"].clone();
    assert_eq!(told().await["secret"], json!(null), "secrets go with their function");
    let secrets = server.get("/api/v1/functions/hears/secrets", &developer).await.expect_status(200);
    assert_eq!(secrets.json, json!([]));
    for _ in 0..5 {
        say().await;
    }
    // What is said later is heard later: when the last word is, the others would have been.
    let other = json!({"triggers": [{"name": "last", "subject": "last", "attempts": 1}]});
    set(&server, &developer, "hears", other).await.expect_status(200);
    let last = json!({"subject": "last", "payload": {}});
    let after = until("the last word is heard", async || {
        server.post("/api/v1/events", &developer, &last).await.expect_status(204);
        Some(told().await).filter(|told| told["last"] != 0)
    })
    .await;
    assert_eq!(after["heard"], before, "nothing that began to listen then listens still");

    server.delete("/api/v1/functions/hears", &developer).await.expect_status(204);
    server.restart().await;
    until("its code is swept", async || kept_code(&server).is_empty().then_some(())).await;
}

#[tokio::test]
async fn blobs_that_hold_no_object_are_swept_and_objects_stay() {
    const KEEPS: &str = r"
import { buckets } from 'flagbase';
export default { async fetch(request) {
  if (request.method === 'PUT') await buckets.put('uploads', 'one', 'kept');
  return new Response(await buckets.get('uploads', 'one', 'text'));
} };
";
    let mut server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.put("/api/v1/buckets/uploads", &developer, &json!({})).await.expect_status(201);
    let granted = json!({"grants": {"buckets": ["uploads"]}});
    server.put("/api/v1/functions/keeps", &developer, &granted).await.expect_status(201);
    deploy_with(&server, &developer, "keeps", ("file=keeps.js", KEEPS.into())).await.expect_status(201);
    server.send(Method::PUT, "/functions/keeps", None, None).await.expect_status(200);
    // As a crash leaves it: a blob of long ago that no bucket knows.
    let stray = server.directory().join("data/storage/objects/ab/018c0000000070008000000000000bab.blob");
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, "half of something").unwrap();
    server.restart().await;
    until("the stray blob is swept", async || (!stray.exists()).then_some(())).await;
    assert_eq!(call(&server, "keeps").await.expect_status(200).text, "kept");
    server.delete("/api/v1/buckets/uploads", &server.login("dev@example.com").await).await.expect_status(409);
}
