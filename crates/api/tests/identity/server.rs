//! The API on the fakes.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use flagbase_api::{ApiSettings, Services, router};
use flagbase_core::{
    catalog::{Catalog as _, Change, Kind},
    clock::Clock,
    environments::{EnvironmentKind, Environments},
    events::Events,
    feed::Feed,
    flags::Flags,
    gateway::{AddressPolicy, Routes},
    guards::Guards,
    identity::{Credentials, Identity, IdentityConfig, Registration, Secret},
    metrics::{Bounds, Meters, Metrics, Recorder, Settings},
    overrides::Overrides,
    random::Random,
    segments::Segments,
    tasks::Tasks,
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[path = "../support/functions.rs"]
mod functions;
use functions::{MOST_CODE, functions};

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Server {
    router: Router,
    memory: Memory,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: FixedClock,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

fn config() -> IdentityConfig {
    IdentityConfig {
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
    }
}

pub(crate) async fn server() -> Server {
    let (memory, fixed) = (Memory::new(), FixedClock::default());
    let clock: Arc<dyn Clock> = Arc::new(fixed.clone());
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
    let opened = Feed::open(Arc::new(memory.clone()), Arc::clone(&clock), Arc::clone(&random));
    let feed = Arc::new(opened.await.unwrap());
    let accounts = Arc::new(memory.clone());
    let identity = Identity::new(config(), accounts, Arc::clone(&feed), clock, random).unwrap();
    let identity = Arc::new(identity);
    let router = router(services(&memory, feed, Arc::clone(&identity)).await);
    Server { router, memory, identity, clock: fixed }
}

async fn services(memory: &Memory, feed: Arc<Feed>, identity: Arc<Identity>) -> Services {
    let environments = Environments::new(Arc::clone(&feed));
    environments.ensure_default(EnvironmentKind::Development).await.unwrap();
    let (meters, tasks) = (Arc::new(Meters::default()), Tasks::new());
    let clock = Arc::new(FixedClock::default());
    let recorder = Arc::new(Recorder::new(clock, Arc::clone(&meters), Bounds::default()));
    let policy = AddressPolicy { loopback: true, private: true };
    let (functions, secrets, triggers, buckets) = functions(memory, &feed, &recorder);
    Services {
        identity,
        flags: Arc::new(Flags::new(Arc::clone(&feed))),
        segments: Arc::new(Segments::new(Arc::clone(&feed))),
        environments: Arc::new(environments),
        overrides: Arc::new(Overrides::new(Arc::clone(&feed), Arc::new(memory.clone()))),
        routes: Arc::new(Routes::new(Arc::clone(&feed), policy)),
        metrics: Arc::new(Metrics::new(
            Arc::clone(&feed),
            Arc::new(memory.clone()),
            Arc::clone(&recorder),
            Settings::default(),
        )),
        guards: Arc::new(Guards::new(Arc::clone(&feed))),
        events: Arc::new(Events::new(Arc::clone(&feed), meters, tasks.clone())),
        webhooks: Arc::new(flagbase_core::webhooks::Webhooks::new(
            Arc::clone(&feed),
            Arc::new(memory.clone()),
            flagbase_core::webhooks::Settings::default(),
        )),
        functions,
        secrets,
        triggers,
        buckets,
        settings: ApiSettings {
            max_body: 1 << 20,
            max_code: MOST_CODE,
            body_timeout: Duration::from_secs(30),
            s3: None,
            cors_origins: Vec::new(),
        },
        tasks,
        feed,
        recorder,
    }
}

impl Server {
    async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, text, json }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, token: &str, body: String) -> Answer {
        self.with((method, path), token, &[], body).await
    }

    /// The same with more headers.
    pub(crate) async fn with(
        &self,
        (method, path): (&str, &str),
        token: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.ask(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send("GET", path, token, String::new()).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Answer {
        self.send("DELETE", path, token, String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.send("POST", path, token, body.to_string()).await
    }

    /// A change with one more header.
    pub(crate) async fn change(
        &self,
        (method, path): (&str, &str),
        token: &str,
        (name, value): (&str, &str),
        body: &Value,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header(name, value);
        self.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> String {
        let body = json!({"email": email, "password": password});
        let answer = self.post("/auth/login", "", &body).await;
        let token = answer.json.get("token").and_then(Value::as_str);
        token.unwrap().to_owned()
    }

    pub(crate) async fn join(&self, email: &str, role: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD, "role": role});
        let made = self.post("/auth/register", "", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        self.login(email, PASSWORD).await
    }

    pub(crate) async fn administrator(&self) -> String {
        let email = "admin@example.com";
        let credentials = Credentials { email: email.into(), password: PASSWORD.into() };
        self.identity.create_admin(credentials).await.unwrap();
        self.login(email, PASSWORD).await
    }

    /// What was logged about users.
    pub(crate) async fn changes_of_users(&self) -> Vec<Change> {
        let mut changes = self.memory.changes(0, 1000).await.unwrap();
        changes.retain(|change| change.id.kind == Kind::User);
        changes
    }
}
