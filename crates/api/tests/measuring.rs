//! Measurements, guards and events over HTTP, on the fakes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/functions.rs"]
mod functions;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::{HeaderMap, Method, Request, StatusCode},
};
use flagbase_api::{ApiSettings, Services, router};
use flagbase_core::{
    clock::Clock,
    environments::{EnvironmentKind, Environments},
    events::Events,
    feed::Feed,
    flags::Flags,
    gateway::{AddressPolicy, Routes},
    guards::{Guards, Watcher},
    identity::{Credentials, Identity, IdentityConfig, Registration, Secret},
    metrics::{Bounds, Meters, Metrics, Recorder, Settings},
    overrides::Overrides,
    random::Random,
    segments::Segments,
    tasks::Tasks,
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

struct Product {
    identity: Arc<Identity>,
    router: Router,
    watcher: Watcher,
    clock: FixedClock,
    tasks: Tasks,
}

fn identity(feed: &Arc<Feed>, memory: &Memory, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) -> Identity {
    let config = IdentityConfig {
        secret: Secret::new([7; 32]),
        token_ttl: Duration::from_hours(24),
        registration: Registration::Open,
        default_role: "user".into(),
        self_assignable_roles: vec!["developer".into(), "user".into()],
        hash_concurrency: 1,
        hash_queue: 10,
        login_attempts: 10,
        login_window: Duration::from_mins(15),
        setup_token_ttl: Duration::from_mins(15),
    };
    let accounts = Arc::new(memory.clone());
    Identity::new(config, accounts, Arc::clone(feed), Arc::clone(clock), Arc::clone(random)).unwrap()
}

async fn product() -> Product {
    let (memory, fixed, tasks) = (Memory::new(), FixedClock::default(), Tasks::new());
    let clock: Arc<dyn Clock> = Arc::new(fixed.clone());
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
    let opened = Feed::open(Arc::new(memory.clone()), Arc::clone(&clock), Arc::clone(&random)).await;
    let feed = Arc::new(opened.unwrap());
    let environments = Environments::new(Arc::clone(&feed));
    environments.ensure_default(EnvironmentKind::Development).await.unwrap();
    let meters = Arc::new(Meters::default());
    let recorder = Arc::new(Recorder::new(Arc::clone(&clock), Arc::clone(&meters), Bounds::default()));
    let ledger = Arc::new(memory.clone());
    let metrics = Metrics::new(Arc::clone(&feed), ledger.clone(), Arc::clone(&recorder), Settings::default());
    let flags = Arc::new(Flags::new(Arc::clone(&feed)));
    let identity = Arc::new(identity(&feed, &memory, &clock, &random));
    let (functions, secrets, triggers, buckets) = functions::functions(&memory, &feed, &recorder);
    let services = Services {
        identity: Arc::clone(&identity),
        functions,
        secrets,
        triggers,
        buckets,
        flags: Arc::clone(&flags),
        segments: Arc::new(Segments::new(Arc::clone(&feed))),
        environments: Arc::new(environments),
        overrides: Arc::new(Overrides::new(Arc::clone(&feed), Arc::new(memory.clone()))),
        routes: Arc::new(Routes::new(Arc::clone(&feed), AddressPolicy { loopback: true, private: true })),
        metrics: Arc::new(metrics),
        guards: Arc::new(Guards::new(Arc::clone(&feed))),
        events: Arc::new(Events::new(Arc::clone(&feed), Arc::clone(&meters), tasks.clone())),
        webhooks: Arc::new(flagbase_core::webhooks::Webhooks::new(
            Arc::clone(&feed),
            Arc::new(memory.clone()),
            flagbase_core::webhooks::Settings::default(),
        )),
        settings: ApiSettings {
            max_body: 1 << 20,
            max_code: functions::MOST_CODE,
            body_timeout: Duration::from_secs(30),
            s3: None,
            cors_origins: Vec::new(),
        },
        tasks: tasks.clone(),
        feed: Arc::clone(&feed),
        recorder,
    };
    let watcher = Watcher::new(feed, flags, ledger, meters);
    Product { identity, router: router(services), watcher, clock: fixed, tasks }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    json: Value,
}

impl Product {
    async fn send(&self, token: &str, (method, path): (Method, &str), body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, text, json }
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(token, (Method::GET, path), Value::Null).await
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.send(token, (Method::POST, path), body).await
    }

    async fn login(&self, name: &str, role: &str) -> String {
        let email = format!("{name}@example.com");
        let body = json!({"email": email, "password": "correct horse battery", "role": role});
        let made = self.post("", "/auth/register", body.clone()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let body = json!({"email": email, "password": "correct horse battery"});
        self.post("", "/auth/login", body).await.json["token"].as_str().unwrap().to_owned()
    }

    async fn administrator(&self) -> String {
        let (email, password) = ("root@example.com", "correct horse battery");
        let credentials = Credentials { email: email.into(), password: password.into() };
        self.identity.create_admin(credentials).await.unwrap();
        let body = json!({"email": email, "password": password});
        self.post("", "/auth/login", body).await.json["token"].as_str().unwrap().to_owned()
    }

    async fn flag(&self, token: &str, key: &str) {
        let body = json!({"key": key, "name": key, "enabled": true, "default_value": true});
        assert_eq!(self.post(token, "/api/v1/flags", body).await.status, StatusCode::CREATED);
    }

    async fn stream(&self, token: &str, path: &str, resume: Option<&str>) -> Frames {
        let mut request = Request::builder().uri(path).header("authorization", format!("Bearer {token}"));
        if let Some(id) = resume {
            request = request.header("last-event-id", id);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Frames { body: response.into_body().into_data_stream(), text: String::new() }
    }
}

struct Frames {
    body: BodyDataStream,
    text: String,
}

impl Frames {
    /// The next frame's fields; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Vec<(String, String)>> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let field = |line: &str| {
                    let (name, value) = line.split_once(':').unwrap();
                    (name.to_owned(), value.trim().to_owned())
                };
                let fields = frame.lines().map(field).collect();
                let after = rest.to_owned();
                self.text = after;
                return Some(fields);
            }
            let chunk = self.body.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The id and the data of the next event.
    async fn event(&mut self) -> (String, Value) {
        loop {
            let frame = self.next().await.unwrap();
            let field = |name: &str| frame.iter().find(|(field, _)| field == name).map(|(_, value)| value);
            if let Some(data) = field("data") {
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(field("event").unwrap(), data["type"].as_str().unwrap());
                return (field("id").unwrap().clone(), data);
            }
        }
    }
}

#[tokio::test]
async fn eleven_errors_turn_a_flag_off_and_the_event_arrives() {
    let product = product().await;
    let token = product.login("alice", "developer").await;
    product.flag(&token, "checkout").await;
    let mut stream = product.stream(&token, "/api/v1/events?type=flagbase.flag.disabled", None).await;
    let error = json!({"flag_key": "checkout", "variant": "true", "event_type": "error", "value": 1});
    for _ in 0..11 {
        let answer = product.post(&token, "/api/v1/metrics", error.clone()).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
    }
    product.watcher.look(product.clock.now()).await;
    let flag = product.get(&token, "/api/v1/flags/checkout").await;
    assert_eq!(flag.json["enabled"], false);
    let (_, event) = stream.event().await;
    assert_eq!((&event["type"], &event["subject"]), (&json!("flagbase.flag.disabled"), &json!("checkout")));
    assert_eq!(event["data"]["actor"]["kind"], "guard");
    assert_eq!(event["data"]["detail"]["count"], 11);
    let shown = product.get(&token, "/api/v1/flags/checkout/metrics").await;
    let on = shown.json["variants"].as_array().unwrap().iter().find(|v| v["variant"] == "true").unwrap();
    assert_eq!(on["events"]["error"]["count"], 11);
}

#[tokio::test]
async fn a_stream_that_breaks_anywhere_goes_on_without_gap_or_repetition() {
    let product = product().await;
    let token = product.login("alice", "developer").await;
    let mut begun = product.stream(&token, "/api/v1/events?environment=default", None).await;
    let first = begun.next().await.unwrap();
    let (_, start) = first.iter().find(|(name, _)| name == "id").unwrap().clone();
    drop(begun);
    for n in 0..40 {
        product.flag(&token, &format!("flag-{n}")).await;
    }
    let (mut place, mut seen) = (start, Vec::new());
    for cut in [1, 7, 16, 16] {
        let mut stream = product.stream(&token, "/api/v1/events?after=0", Some(&place)).await;
        for _ in 0..cut {
            let (id, event) = stream.event().await;
            seen.push(event["subject"].as_str().unwrap().to_owned());
            place = id;
        }
    }
    assert_eq!(seen, (0..40).map(|n| format!("flag-{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_resumed_from_beyond_the_end_says_so_and_goes_on_from_the_head() {
    let product = product().await;
    let token = product.login("alice", "developer").await;
    product.flag(&token, "checkout").await;
    let mut head = 0;
    for (path, resume) in [("/api/v1/events", Some("9999")), ("/api/v1/events?after=9999", None)] {
        let mut stream = product.stream(&token, path, resume).await;
        let reset: std::collections::BTreeMap<_, _> = stream.next().await.unwrap().into_iter().collect();
        assert_eq!(reset["event"], "flagbase.stream.reset");
        let data: Value = serde_json::from_str(&reset["data"]).unwrap();
        assert_eq!((&data["after"], data["head"].to_string()), (&json!(9999), reset["id"].clone()));
        head = data["head"].as_u64().unwrap();
        let key = format!("after-{}", resume.is_some());
        product.flag(&token, &key).await;
        assert_eq!(stream.event().await.1["subject"], *key, "what comes next is new");
    }
    let mut stream = product.stream(&token, &format!("/api/v1/events?after={head}"), None).await;
    let names: Vec<String> = stream.next().await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert!(!names.contains(&"event".to_owned()), "a place in the log is no reset: {names:?}");
}

#[tokio::test]
async fn questions_that_can_have_no_answer_are_refused_with_what_is_near() {
    let product = product().await;
    let token = product.login("alice", "developer").await;
    for (asked, word) in [
        ("events?type=flagbase.flags.*", "did you mean `flag`?"),
        ("changes?type=orders.*", "begin with `flagbase`"),
        ("events?after=40&until=20", "`until=20` is before `after=40`"),
    ] {
        let refused = product.get(&token, &format!("/api/v1/{asked}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{asked}");
        assert!(refused.json["detail"].as_str().unwrap().contains(word), "{}", refused.json);
    }
}

#[tokio::test]
async fn a_stream_ends_at_logout_and_at_shutdown() {
    let product = product().await;
    let alice = product.login("alice", "developer").await;
    let bob = product.login("bob", "developer").await;
    let mut of_alice = product.stream(&alice, "/api/v1/events", None).await;
    let mut of_bob = product.stream(&bob, "/api/v1/events", None).await;
    assert!(of_alice.next().await.is_some() && of_bob.next().await.is_some());
    assert_eq!(product.post(&alice, "/auth/logout", Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(of_alice.next().await, None);
    product.flag(&bob, "checkout").await;
    assert_eq!(of_bob.event().await.1["subject"], "checkout");
    product.tasks.stopping().cancel();
    assert_eq!(of_bob.next().await, None);
}

#[tokio::test]
async fn nonsense_and_the_wrong_people_get_the_right_status() {
    let product = product().await;
    let developer = product.login("alice", "developer").await;
    let user = product.login("bob", "user").await;
    product.flag(&developer, "checkout").await;
    for (token, path, status, code) in [
        ("", "/api/v1/events", 401, "unauthenticated"),
        (user.as_str(), "/api/v1/events", 403, "forbidden"),
        (user.as_str(), "/api/v1/changes", 403, "forbidden"),
        (user.as_str(), "/api/v1/metrics/flags", 403, "forbidden"),
        (&developer, "/api/v1/events?type=a..b", 400, "bad_query"),
        (&developer, "/api/v1/events?after=x", 400, "bad_query"),
        (&developer, "/api/v1/events?environment=nowhere", 404, "environment_not_found"),
        (&developer, "/api/v1/flags/checkout/metrics?from=noon", 400, "bad_query"),
        (&developer, "/api/v1/flags/chekout/metrics", 404, "flag_not_found"),
        (&developer, "/api/v1/metrics/events", 400, "bad_query"),
        (&developer, "/api/v1/guards/none", 404, "guard_not_found"),
    ] {
        let answer = product.get(token, path).await;
        assert_eq!((answer.status.as_u16(), answer.json["code"].as_str()), (status, Some(code)), "{path}");
    }
    let event = json!({"flag_key": "checkout", "variant": "true", "event_type": "error"});
    assert_eq!(product.post(&user, "/api/v1/metrics", event.clone()).await.status, StatusCode::FORBIDDEN);
    let batch =
        json!({"events": [event.clone(), {"flag_key": "checkout", "variant": "x", "event_type": "error"}]});
    let refused = product.post(&developer, "/api/v1/metrics", batch).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json["errors"][0]["pointer"], "/events/1/variant");
    let taken = product.post(&developer, "/api/v1/metrics", json!([event])).await;
    assert_eq!((taken.status, taken.json), (StatusCode::OK, json!({"accepted": 1, "duplicates": 0})));
}

#[tokio::test]
async fn guards_are_read_written_and_removed_with_their_revision() {
    let product = product().await;
    let token = product.administrator().await;
    let listed = product.get(&token, "/api/v1/guards").await;
    assert_eq!(
        (&listed.json[0]["key"], &listed.json[0]["rule"]["more_than"]),
        (&json!("errors"), &json!(10))
    );
    let put = (Method::PUT, "/api/v1/guards/mine");
    let body = json!({"rule": {"type": "absolute_count", "more_than": 3, "window_seconds": 60}});
    let made = product.send(&token, put.clone(), body.clone()).await;
    assert_eq!((made.status, &made.json["environment"]), (StatusCode::CREATED, &json!("default")));
    assert!(made.headers.contains_key("etag"));
    let again = product.send(&token, put.clone(), made.json.clone()).await;
    assert_eq!(again.status, StatusCode::OK, "what was read can be sent back: {}", again.text);
    let wrong = json!({"rule": {"type": "absolute_count", "window_seconds": 1}});
    let refused = product.send(&token, put, wrong).await;
    assert_eq!(refused.json["errors"][0]["pointer"], "/rule/window_seconds");
    let gone = product.send(&token, (Method::DELETE, "/api/v1/guards/mine"), Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_change_log_comes_in_pages_with_a_link_to_the_next() {
    let product = product().await;
    let token = product.login("alice", "developer").await;
    for n in 0..5 {
        product.flag(&token, &format!("flag-{n}")).await;
    }
    let mut path = "/api/v1/changes?type=flagbase.flag.*&limit=2".to_owned();
    let mut keys = Vec::new();
    loop {
        let page = product.get(&token, &path).await;
        let rows = page.json.as_array().unwrap();
        keys.extend(rows.iter().map(|row| row["key"].as_str().unwrap().to_owned()));
        let Some(link) = page.headers.get("link") else {
            break;
        };
        path = link.to_str().unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert_eq!(keys, ["flag-0", "flag-1", "flag-2", "flag-3", "flag-4"]);
}

#[tokio::test]
async fn whoever_fetches_all_flags_at_once_has_not_been_shown_any_of_them() {
    let product = product().await;
    let token = product.login("alice", "developer").await;
    product.flag(&token, "checkout").await;
    let all = product.get(&token, "/api/v1/evaluate").await;
    assert_eq!(all.json["flags"]["checkout"]["variant"], json!("true"), "{}", all.text);
    let counted = product.get("", "/metrics").await.text;
    assert!(!counted.contains("flagbase_flag_evaluations_total{"), "{counted}");
    product.get(&token, "/api/v1/flags/checkout/evaluate").await;
    assert!(product.get("", "/metrics").await.text.contains("flagbase_flag_evaluations_total{"));
}

#[tokio::test]
async fn prometheus_needs_no_token_and_sees_what_was_evaluated() {
    let product = product().await;
    let token = product.login("alice", "developer").await;
    product.flag(&token, "checkout").await;
    product.get(&token, "/api/v1/flags/checkout/evaluate").await;
    product.get("forged", "/api/v1/flags").await;
    let wrong = json!({"email": "alice@example.com", "password": "a wrong one"});
    product.post("", "/auth/login", wrong).await;
    let answer = product.get("", "/metrics").await;
    for code in ["token_invalid", "invalid_credentials"] {
        let line = format!("flagbase_auth_failures_total{{reason=\"{code}\"}} 1");
        assert!(answer.text.contains(&line), "{line} is not in {}", answer.text);
    }
    assert!(answer.text.contains("flagbase_flag_evaluation_duration_seconds_count 1"));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let line = "flagbase_flag_evaluations_total{environment=\"default\",flag=\"checkout\",variant=\"true\"";
    assert!(answer.text.contains(line), "{}", answer.text);
    assert!(!answer.text.contains("alice"), "no person is named");
}
