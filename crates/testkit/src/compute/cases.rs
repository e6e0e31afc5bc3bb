//! What is as it should be.

use flagbase_core::functions::{Body, Fault, Grants, Occasion, PrepareError, Serves, Settings};
use tokio::task::JoinSet;

use super::{ComputeUnderTest, Guest, common, deployed, event, visit};
use crate::blobs::{parts, whole};

pub async fn what_is_no_code_is_rejected_in_a_sentence(test: &ComputeUnderTest) {
    let Some(artifact) = test.artifact(Guest::Garbage) else { return };
    let error = test.prepare(&artifact, &common()).await.unwrap_err();
    assert!(matches!(error, PrepareError::Rejected(_)), "{error:?}");
    assert!(error.to_string().len() > 10, "{error}");
}

pub async fn what_is_imported_and_not_granted_is_rejected_by_name(test: &ComputeUnderTest) {
    let Some(artifact) = test.artifact(Guest::Ungranted) else { return };
    let error = test.prepare(&artifact, &common()).await.unwrap_err();
    assert!(matches!(&error, PrepareError::Rejected(message) if message.contains("buckets")), "{error:?}");
}

pub async fn what_is_granted_may_be_imported(test: &ComputeUnderTest) {
    let Some(artifact) = test.artifact(Guest::Ungranted) else { return };
    let grants = Grants { buckets: vec!["uploads".into()], ..common().grants };
    let prepared = test.prepare(&artifact, &Settings { grants, ..common() }).await.unwrap();
    assert!(prepared.imports.iter().any(|import| import.contains("buckets")), "{prepared:?}");
}

pub async fn preparing_says_what_code_serves(test: &ComputeUnderTest) {
    for (guest, serves) in
        [(Guest::Echo, Serves::Requests), (Guest::Events, Serves::Events), (Guest::Ticks, Serves::Schedules)]
    {
        let Some(artifact) = test.artifact(guest) else { continue };
        let prepared = test.prepare(&artifact, &common()).await.unwrap();
        assert!(prepared.serves.contains(&serves), "{guest:?}: {prepared:?}");
        assert!(prepared.imports.is_sorted(), "{prepared:?}");
    }
}

pub async fn preparing_again_gives_the_same(test: &ComputeUnderTest) {
    let Some(artifact) = test.artifact(Guest::Echo) else { return };
    let first = test.prepare(&artifact, &common()).await.unwrap();
    assert_eq!(test.prepare(&artifact, &common()).await.unwrap(), first);
}

pub async fn a_request_is_answered(test: &ComputeUnderTest) {
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    let body = Body::Whole("hello".into());
    let request = http::Request::builder().method("POST").uri("/a%20b?c=d&e").body(body).unwrap();
    let response = test.compute.serve(visit(&echo), request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-guest"], "echo");
    let body = response.into_body().collect(1000).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&body), "POST /a%20b?c=d&e\nhello");
    assert_eq!(test.get(&echo).await.unwrap(), "GET /\n");
}

pub async fn a_body_in_parts_arrives_whole(test: &ComputeUnderTest) {
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    let body = Body::Stream(parts(&["he", "", "llo"]), None);
    let (_, answer) = test.ask(&echo, ("PUT", "/x"), body).await.unwrap();
    assert_eq!(answer, "PUT /x\nhello");
    let large = vec![b'x'; 300_000];
    let body = Body::Stream(whole(large.clone()), Some(300_000));
    let (_, answer) = test.ask(&echo, ("PUT", "/x"), body).await.unwrap();
    assert!(answer.ends_with(&large) && answer.len() == 300_007, "{}", answer.len());
}

pub async fn the_status_is_that_of_the_function(test: &ComputeUnderTest) {
    let Some(status) = test.deploy(Guest::Status, common()).await else { return };
    for code in [200, 201, 404, 503] {
        let target = format!("/{code}");
        let (answered, _) = test.ask(&status, ("GET", &target), Body::Empty).await.unwrap();
        assert_eq!(answered, code);
    }
}

pub async fn nothing_is_left_for_the_next_instance(test: &ComputeUnderTest) {
    let Some(count) = test.deploy(Guest::Count, common()).await else { return };
    for _ in 0..5 {
        assert_eq!(test.get(&count).await.unwrap().trim(), "1");
    }
}

pub async fn events_are_taken_or_what_is_wrong_is_reported(test: &ComputeUnderTest) {
    let Some(events) = test.deploy(Guest::Events, common()).await else { return };
    let deliver = |data: &str| test.compute.deliver(visit(&events), Occasion::Event(event(data)));
    deliver("ok").await.unwrap();
    let fault = deliver("no such order").await.unwrap_err();
    assert!(matches!(&fault, Fault::Reported(why) if why.contains("no such order")), "{fault:?}");
    deliver("ok").await.unwrap();
}

pub async fn moments_of_a_schedule_are_run(test: &ComputeUnderTest) {
    let Some(ticks) = test.deploy(Guest::Ticks, common()).await else { return };
    let tick = Occasion::Tick { schedule: "0 3 * * *".into(), at: jiff::Timestamp::UNIX_EPOCH };
    test.compute.deliver(visit(&ticks), tick).await.unwrap();
}

pub async fn what_is_not_served_is_said(test: &ComputeUnderTest) {
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    let fault = test.compute.deliver(visit(&echo), Occasion::Event(event("ok"))).await.unwrap_err();
    assert_eq!(fault, Fault::NotServed { version: 1, what: "events" });
    let Some(events) = test.deploy(Guest::Events, common()).await else { return };
    let fault = test.get(&events).await.unwrap_err();
    assert_eq!(fault, Fault::NotServed { version: 1, what: "requests" });
}

pub async fn what_was_forgotten_is_loaded_again(test: &ComputeUnderTest) {
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    test.compute.retain(&|_| false).await;
    assert_eq!(test.get(&echo).await.unwrap(), "GET /\n");
    test.compute.retain(&|digest| *digest == echo.digest).await;
    assert_eq!(test.get(&echo).await.unwrap(), "GET /\n");
}

pub async fn code_that_is_gone_or_altered_is_never_run(test: &ComputeUnderTest) {
    let Some(artifact) = test.artifact(Guest::Echo) else { return };
    let prepared = test.prepare(&artifact, &common()).await.unwrap();
    let echo = deployed(&artifact, prepared.shape, common());
    test.compute.retain(&|_| false).await;
    let mut altered = artifact.bytes.to_vec();
    altered.push(0);
    test.store(&artifact.digest.hex(), altered.into()).await;
    assert!(matches!(test.get(&echo).await, Err(Fault::Unstartable(_))), "altered");
    test.blobs.delete(&format!("functions/{}", artifact.digest.hex())).await.unwrap();
    assert!(matches!(test.get(&echo).await, Err(Fault::Unstartable(_))), "gone");
    test.store(&artifact.digest.hex(), artifact.bytes).await;
    assert_eq!(test.get(&echo).await.unwrap(), "GET /\n", "and back");
}

pub async fn many_are_answered_at_once(test: &ComputeUnderTest) {
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    let mut calls = JoinSet::new();
    for number in 0..100 {
        let compute = std::sync::Arc::clone(&test.compute);
        let visit = visit(&echo);
        calls.spawn(async move {
            let request = http::Request::get(format!("/{number}")).body(Body::Empty).unwrap();
            let response = compute.serve(visit, request).await.unwrap();
            let body = response.into_body().collect(1000).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&body), format!("GET /{number}\n"));
        });
    }
    assert_eq!(calls.join_all().await.len(), 100);
}
