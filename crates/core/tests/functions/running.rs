//! The runner: places, queues, counts.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    functions::{
        Artifact, Body, BodyFault, Compute, Digest, Fault, Grants, Limits, Logs, LogsAsked, Occasion,
        PrepareError, Prepared, Runner, RunnerParts, Step, Visit,
    },
    metrics::{Bounds, Meters, Metrics, Recorder, Settings},
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom, blobs};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Product, get, product, visit};

fn outcomes(product: &Product) -> Vec<(&'static str, u64)> {
    let calls = product.runner.calls().of("default", "hello");
    calls.into_iter().flat_map(|version| version.outcomes).collect()
}

/// Lets spawned calls come to where they wait.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_function_takes_its_share_and_its_queue_and_no_more() {
    let product = product().await;
    product.deploy("wait", true).await.unwrap();
    product.patch(json!({"limits": {"concurrency": 2, "queue": 3}})).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let (runner, visit) = (Arc::clone(&product.runner), visit(product.deployed(1), "user"));
        calls.spawn(async move { runner.serve(visit, Vec::new(), get()).await.map(drop) });
    }
    settle().await;
    assert_eq!(product.runner.load("default", "hello"), (2, 3));
    assert_eq!(product.compute.running(), 2);
    let refused = product.runner.serve(visit(product.deployed(1), "user"), Vec::new(), get()).await;
    assert_eq!(refused.map(drop), Err(Fault::Busy { running: 2, waiting: 3 }));
    while product.compute.calls() < 5 || product.compute.running() > 0 {
        product.compute.go_on();
        tokio::task::yield_now().await;
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(product.runner.load("default", "hello"), (0, 0));
    assert_eq!(outcomes(&product), [("busy", 1), ("ok", 5)]);
}

#[tokio::test]
async fn whoever_goes_away_gives_back_his_place_and_is_counted() {
    let product = product().await;
    product.deploy("wait", true).await.unwrap();
    product.patch(json!({"limits": {"concurrency": 1, "queue": 1}})).await.unwrap();
    let mut calls = JoinSet::new();
    let mut start = || {
        let (runner, visit) = (Arc::clone(&product.runner), visit(product.deployed(1), "user"));
        calls.spawn(async move { runner.serve(visit, Vec::new(), get()).await.map(drop) })
    };
    let (running, waiting) = (start(), start());
    settle().await;
    assert_eq!(product.runner.load("default", "hello"), (1, 1));
    waiting.abort();
    settle().await;
    assert_eq!(product.runner.load("default", "hello"), (1, 0));
    running.abort();
    settle().await;
    assert_eq!((product.runner.load("default", "hello"), product.compute.running()), ((0, 0), 0));
    assert_eq!(outcomes(&product), [("gone", 1)]);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_takes_a_place() {
    let product = product().await;
    product.deploy("echo", true).await.unwrap();
    product.patch(json!({"limits": {"request_body": "10B"}})).await.unwrap();
    let body = Body::Stream(blobs::whole(vec![0; 11]), Some(11));
    let request = http::Request::post("/").body(body).unwrap();
    let refused = product.runner.serve(visit(product.deployed(1), "user"), Vec::new(), request).await;
    assert_eq!(refused.map(drop), Err(Fault::Body(BodyFault::TooLarge(10))));
    assert_eq!(product.compute.calls(), 0);
}

#[tokio::test]
async fn every_fault_is_counted_by_its_kind_and_those_of_the_code_are_in_its_log() {
    let product = product().await;
    for script in ["status 500", "trap", "limit", "serves events\nreport", "status 404"] {
        product.deploy(script, true).await.unwrap();
    }
    for version in 1..=5 {
        let served = product.runner.serve(visit(product.deployed(version), "user"), Vec::new(), get()).await;
        assert_eq!(served.is_ok(), matches!(version, 1 | 5), "{version}");
    }
    let all = product.runner.calls().of("default", "hello");
    let first: Vec<_> = all.iter().flat_map(|version| version.outcomes.keys().copied()).collect();
    assert_eq!(first, ["error", "trapped", "limit", "not_served", "ok"]);
    let lines = product.runner.logs().read("default", "hello", LogsAsked::default(), 9);
    assert_eq!(lines.len(), 3, "what the code is to blame for");
    assert!(lines[0].message.contains("the function failed"), "{lines:?}");
}

/// Answers with two parts, the second of which may never come to its end.
struct Streaming {
    breaks: bool,
}

#[async_trait]
impl Compute for Streaming {
    fn driver(&self) -> &'static str {
        "streaming"
    }

    async fn prepare(
        &self,
        _: &Artifact,
        _: (&Grants, &Limits),
        _: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        Err(PrepareError::Rejected("not here".into()))
    }

    async fn serve(&self, _: Visit, _: http::Request<Body>) -> Result<http::Response<Body>, Fault> {
        let parts = if self.breaks { blobs::broken_off("one") } else { blobs::parts(&["one", "two"]) };
        Ok(http::Response::new(Body::Stream(parts, None)))
    }

    async fn deliver(&self, _: Visit, _: Occasion) -> Result<(), Fault> {
        Ok(())
    }

    async fn retain(&self, _: &(dyn for<'d> Fn(&'d Digest) -> bool + Send + Sync)) {}

    async fn stop(&self) {}
}

fn streaming(breaks: bool) -> (Runner, Arc<Meters>) {
    let clock = Arc::new(FixedClock::default());
    let meters = Arc::new(Meters::default());
    let runner = Runner::new(RunnerParts {
        compute: Arc::new(Streaming { breaks }),
        logs: Arc::new(Logs::new(clock.clone())),
        meters: Arc::clone(&meters),
        ledger: Arc::new(Memory::new()),
        clock,
        random: Arc::new(SeededRandom::new(1)),
    });
    (runner, meters)
}

#[tokio::test]
async fn an_answer_in_parts_holds_its_place_until_its_end() {
    let product = product().await;
    product.deploy("say for its settings", true).await.unwrap();
    for (breaks, whole, outcome) in [(false, true, "ok"), (true, true, "bad_answer"), (false, false, "gone")]
    {
        let (runner, meters) = streaming(breaks);
        let response = runner.serve(visit(product.deployed(1), "user"), Vec::new(), get()).await.unwrap();
        let Body::Stream(mut parts, _) = response.into_body() else { panic!("no parts") };
        assert_eq!(parts.next().await, Some(Ok(Bytes::from_static(b"one"))));
        assert_eq!(runner.load("default", "hello"), (1, 0), "{outcome}");
        if whole {
            while parts.next().await.is_some() {}
        }
        drop(parts);
        assert_eq!(runner.load("default", "hello"), (0, 0), "{outcome}");
        let calls = meters.functions().of("default", "hello");
        assert_eq!(calls[0].outcomes.keys().copied().collect::<Vec<_>>(), [outcome]);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_behind_calls_that_do_not_end() {
    let product = product().await;
    product.deploy("wait", true).await.unwrap();
    let limits = json!({"limits": {"concurrency": 1, "timeout": "2s"}});
    product.patch(limits).await.unwrap();
    let slow = product.runner.serve(visit(product.deployed(1), "user"), Vec::new(), get());
    let behind = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        product.runner.serve(visit(product.deployed(1), "user"), Vec::new(), get()).await
    };
    let (slow, behind) = tokio::join!(slow, behind);
    assert_eq!(slow.map(drop), Err(Fault::TimedOut(Duration::from_secs(2))));
    assert!(behind.is_err());
}

#[tokio::test]
async fn prometheus_sees_calls_by_version_and_outcome_and_what_the_driver_did() {
    let product = product().await;
    product.deploy("say one", true).await.unwrap();
    product.runner.serve(visit(product.deployed(1), "user"), Vec::new(), get()).await.unwrap();
    let clock = Arc::new(product.clock.clone());
    let recorder = Arc::new(Recorder::new(clock, Arc::clone(&product.meters), Bounds::default()));
    let ledger = Arc::new(product.memory.clone());
    let metrics = Metrics::new(Arc::clone(&product.feed), ledger, recorder, Settings::default());
    let text = metrics.prometheus();
    for line in [
        r#"flagbase_function_calls_total{environment="default",function="hello",version="1",outcome="ok"} 1"#,
        r#"flagbase_function_duration_seconds_count{environment="default",function="hello",version="1"} 1"#,
        "flagbase_fake_builds_total 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
