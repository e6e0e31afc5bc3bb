//! A server that is killed while code is deployed: the old version is whole, and the next deploy works.

use super::*;

/// Deploys until the server is gone; returns the number of the last version that was acknowledged.
async fn deploy_on(server: &TestServer, token: &str, round: usize) -> u64 {
    let mut last = 0;
    for number in 0.. {
        let url = server.url("/api/v1/functions/hello/versions");
        let code = guests::says(200, &format!("{round}/{number}"));
        let Ok(answer) = server.client().post(url).bearer_auth(token).body(code).send().await else { break };
        assert_eq!(answer.status(), 201);
        let Ok(version) = answer.json::<Value>().await else { break };
        last = version["number"].as_u64().unwrap();
    }
    last
}

#[tokio::test]
async fn killed_while_it_deploys_the_server_runs_a_whole_version() {
    let mut server = TestServer::start(PROGRAM).await;
    let mut developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::says(200, "0/first")).await.expect_status(201);
    for round in 1..=6 {
        let target = server.pid().to_string();
        let killer = async {
            tokio::time::sleep(Duration::from_millis(60 + 90 * (round as u64 % 4))).await;
            assert!(std::process::Command::new("kill").args(["-9", &target]).status().unwrap().success());
        };
        let ((), acknowledged) = tokio::join!(killer, deploy_on(&server, &developer, round));
        server.restart().await;
        developer = server.login("dev@example.com").await;
        let stored = server.get("/api/v1/functions/hello", &developer).await.expect_status(200).json;
        let current = stored["current"].as_u64().unwrap();
        assert!(current >= acknowledged, "version {acknowledged} was acknowledged: {stored}");
        let answer = call(&server, "hello").await.expect_status(200);
        assert_eq!(answer.header("x-flagbase-function"), Some(format!("hello@{current}").as_str()));
        let code = format!("/api/v1/functions/hello/versions/{current}/code");
        server.get(&code, &developer).await.expect_status(200);
        // Nothing half made stays: what is kept is what versions name.
        let named: BTreeSet<String> = stored["versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| version["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned())
            .collect();
        until("blobs that nothing names are swept", async || {
            let kept = kept_code(&server);
            assert!(named.is_subset(&kept), "all code is there: {named:?} {kept:?}");
            (kept == named).then_some(())
        })
        .await;
    }
    deploy(&server, &developer, "hello", guests::says(200, "last")).await.expect_status(201);
    assert_eq!(call(&server, "hello").await.text, "last");
}
