//! What goes wrong under a flag takes the flag back, and the next call runs the old version.

use std::sync::Arc;

use flagbase_core::{
    catalog::{Catalog as _, DocumentId, Kind},
    functions::{Body, Fault, Under},
    gateway::{Chosen, FunctionDecision, Head, Said, decide_function},
    guards::Watcher,
    ledger::{EventCount, Ledger as _},
    tasks::Tasks,
};
use http::{HeaderMap, Method};
use serde_json::json;

use super::{Product, caller, get, product, visit};

impl Product {
    /// What the gateway would run for somebody of this role.
    fn decide(&self, role: &str) -> Chosen {
        let snapshot = self.feed.snapshots().get();
        let headers = HeaderMap::new();
        let head = Head { method: &Method::GET, host: "", path: "/", headers: &headers, client_ip: "" };
        let environment = snapshot.environment("default").unwrap();
        let decision = decide_function(environment, &head, &caller(role), "hello");
        let chosen = match decision {
            FunctionDecision::Run(chosen) => Some(chosen),
            _ => None,
        };
        chosen.unwrap()
    }

    /// Calls what the gateway would run; returns the version and what became of it.
    async fn call(&self, role: &str) -> (u32, Result<String, Fault>) {
        let chosen = self.decide(role);
        let under: Vec<Under> = chosen.said.as_ref().and_then(Said::under).into_iter().collect();
        let served = self.runner.serve(visit(Arc::clone(&chosen.deployed), role), under, get()).await;
        let answer = match served {
            Ok(response) => {
                let body = response.into_body().collect(1000).await.unwrap();
                Ok(String::from_utf8_lossy(&body).into_owned())
            }
            Err(fault) => Err(fault),
        };
        (chosen.deployed.version, answer)
    }

    async fn errors(&self) -> u64 {
        let since = jiff::Timestamp::MIN;
        let counts = self.memory.count_events("default", "error", since, Some("next")).await.unwrap();
        counts.iter().map(EventCount::total).sum()
    }

    /// Waits until so many faults were told.
    async fn told(&self, faults: u64) {
        for _ in 0..10_000 {
            if self.errors().await >= faults {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(self.errors().await >= faults);
    }
}

#[tokio::test]
async fn a_version_that_breaks_behind_its_flag_is_taken_back() {
    let product = product().await;
    product.deploy("say the old one", true).await.unwrap();
    product.deploy("trap", false).await.unwrap();
    product.put_behind_flag().await;
    let tasks = Tasks::new();
    product.runner.start(&tasks);
    let watcher = Watcher::new(
        Arc::clone(&product.feed),
        Arc::clone(&product.flags),
        Arc::new(product.memory.clone()),
        Arc::clone(&product.meters),
    );
    for _ in 0..11 {
        assert_eq!(product.call("developer").await, (2, Err(Fault::Trapped("it was told to".into()))));
    }
    assert_eq!(product.call("user").await, (1, Ok("the old one".into())), "nobody else noticed");
    product.told(11).await;
    let look = watcher.look(flagbase_core::clock::Clock::now(&product.clock)).await;
    assert_eq!(look.trips.len(), 1, "{look:?}");
    assert_eq!(look.trips[0].evidence["events_without_unit"], json!(11));
    assert_eq!(product.call("developer").await, (1, Ok("the old one".into())), "and the next call is fine");
    let flag = DocumentId::new(Kind::Flag, "default", "next");
    let history = product.memory.history(&flag, None, 9).await.unwrap();
    let verbs: Vec<_> = history.iter().map(|change| change.verb.as_str()).collect();
    assert_eq!(verbs, ["disabled", "created"], "one update of the flag");
    let function = DocumentId::new(Kind::Function, "default", "hello");
    let changes = product.memory.history(&function, None, 9).await.unwrap();
    assert_eq!(changes.len(), 3, "and none of the function");
    assert_eq!(product.hello().await["versions"].as_array().unwrap().len(), 2, "both are still there");
}

#[tokio::test]
async fn an_answer_of_500_counts_and_one_of_404_does_not() {
    let product = product().await;
    product.deploy("say fine", true).await.unwrap();
    product.deploy("status 503", false).await.unwrap();
    product.put_behind_flag().await;
    let tasks = Tasks::new();
    product.runner.start(&tasks);
    product.call("developer").await.1.unwrap();
    product.told(1).await;
    let under = vec![Under { flag: "next".into(), variant: "two".into() }];
    product.deploy("status 404", false).await.unwrap();
    product.runner.serve(visit(product.deployed(3), "user"), under, get()).await.unwrap();
    let busy = Body::Stream(flagbase_testkit::blobs::broken_off("half"), None);
    let request = http::Request::post("/").body(busy).unwrap();
    let under = vec![Under { flag: "next".into(), variant: "two".into() }];
    product.runner.serve(visit(product.deployed(3), "user"), under, request).await.unwrap_err();
    assert!(tasks.shutdown(std::time::Duration::from_secs(10)).await, "what waits is written at the end");
    assert_eq!(product.errors().await, 1, "what the client did is not the code's fault");
}

#[tokio::test]
async fn faults_of_the_current_version_are_not_held_against_the_flag() {
    let product = product().await;
    product.deploy("trap", true).await.unwrap();
    product.deploy("say the new one", false).await.unwrap();
    product.put_behind_flag().await;
    let tasks = Tasks::new();
    product.runner.start(&tasks);
    for _ in 0..20 {
        product.call("user").await.1.unwrap_err();
    }
    assert!(tasks.shutdown(std::time::Duration::from_secs(10)).await);
    assert_eq!(product.errors().await, 0);
}

#[tokio::test]
async fn more_faults_than_can_be_told_are_counted_and_hold_nobody_up() {
    let product = product().await;
    product.deploy("trap", true).await.unwrap();
    let under = || vec![Under { flag: "next".into(), variant: "two".into() }];
    // Nobody writes them: the task was not started.
    for _ in 0..4200 {
        product.runner.serve(visit(product.deployed(1), "user"), under(), get()).await.unwrap_err();
    }
    assert_eq!(product.errors().await, 0);
    let tasks = Tasks::new();
    product.runner.start(&tasks);
    product.told(4096).await;
    assert_eq!(product.errors().await, 4096, "the rest was dropped");
}

#[tokio::test]
async fn a_flag_that_both_route_and_function_ask_has_one_fault_for_each() {
    let product = product().await;
    product.deploy("trap", true).await.unwrap();
    let tasks = Tasks::new();
    product.runner.start(&tasks);
    let under = Under { flag: "next".into(), variant: "two".into() };
    let twice = vec![under.clone(), under];
    product.runner.serve(visit(product.deployed(1), "user"), twice, get()).await.unwrap_err();
    assert!(tasks.shutdown(std::time::Duration::from_secs(10)).await);
    assert_eq!(product.errors().await, 1);
}
