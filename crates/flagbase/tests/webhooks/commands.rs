//! `flagbase webhook …`, as people type it.

use std::process::Output;

use super::*;

/// Runs `flagbase webhook …` beside the server.
fn run(server: &TestServer, token: &str, arguments: &[&str]) -> Output {
    let mut command = server.command(&["webhook"]);
    command.args(arguments).env("FLAGBASE_SERVER", server.url("")).env("FLAGBASE_TOKEN", token);
    command.output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_made_tried_and_removed_on_the_command_line() {
    let (server, token) = server().await;
    let backend = Backend::start().await;
    let webhook = |arguments: &[&str]| run(&server, &token, arguments);
    let secret = done(&webhook(&["create", "w", "--url", &backend.url(), "--event", "flagbase.flag.*"]));
    assert!(secret.starts_with("whsec_") && secret.trim().len() >= 38, "the secret alone: {secret}");
    assert!(done(&webhook(&["list"])).contains(&backend.url()));

    let tried = webhook(&["test", "w"]);
    done(&tried);
    assert!(String::from_utf8_lossy(&tried.stderr).contains("took the test event"));
    assert!(verifies(secret.trim(), &backend.take()[0]));

    backend.answer(500, "broken");
    let failed = webhook(&["test", "w"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("answered 500"));

    let listed: Value = serde_json::from_str(&done(&webhook(&["deliveries", "w", "-o", "json"]))).unwrap();
    assert_eq!(
        (listed[0]["state"].as_str(), listed[1]["state"].as_str()),
        (Some("failed"), Some("delivered"))
    );
    let id = listed[0]["id"].to_string();
    let one = done(&webhook(&["deliveries", "w", &id, "-o", "yaml"]));
    assert!(one.contains("response: broken") && one.contains("flagbase.webhook.test"), "{one}");

    backend.answer(200, "");
    done(&webhook(&["replay", "w", &id]));
    newest(&server, &token, "w", "delivered").await;
    let replayed = webhook(&["replay", "w", "--state", "delivered"]);
    assert!(String::from_utf8_lossy(&replayed.stderr).contains("2 deliveries are sent again"));

    let updated =
        done(&webhook(&["update", "w", "--description", "for the on-call", "--disabled", "-o", "json"]));
    let updated: Value = serde_json::from_str(&updated).unwrap();
    assert_eq!((&updated["description"], &updated["enabled"]), (&json!("for the on-call"), &json!(false)));
    assert!(updated.get("secret").is_none());
    assert_eq!(webhook(&["update", "w"]).status.code(), Some(2), "nothing to change");
    let rotated = done(&webhook(&["rotate", "w", "--overlap", "0s"]));
    assert!(rotated.starts_with("whsec_") && rotated != secret);
    done(&webhook(&["delete", "w", "--yes"]));
    assert_eq!(webhook(&["get", "w"]).status.code(), Some(3), "it is gone");
}
