//! Webhooks on the fakes: what is told, how it is signed, and when it is tried again.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use flagbase_core::{
    caller::{Caller, Principal},
    catalog::{Change, DocumentId, Kind},
    clock::Clock as _,
    environments::{EnvironmentKind, Environments},
    feed::Feed,
    flags::{Asked, Flags},
    metrics::Meters,
    refusal::Precondition,
    relay::Relay,
    webhooks::{
        Answered, Deliveries as _, Delivery, DeliveryState, Made, Outgoing, Selection, SendError, Sender,
        Settings, Webhooks, Worker,
    },
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};

mod endpoints;
mod sending;
mod signing;

/// An endpoint that answers as told, then with 200, and remembers what it got.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<Answered, SendError>>>,
    received: Mutex<Vec<Outgoing>>,
}

#[async_trait]
impl Sender for Script {
    async fn send(&self, message: Outgoing) -> Result<Answered, SendError> {
        self.received.lock().push(message);
        let next = self.answers.lock().pop_front();
        next.unwrap_or_else(|| Ok(Answered { status: 200, ..Answered::default() }))
    }
}

struct Product {
    memory: Memory,
    feed: Arc<Feed>,
    flags: Flags,
    webhooks: Arc<Webhooks>,
    relay: Relay,
    worker: Arc<Worker>,
    script: Arc<Script>,
    clock: FixedClock,
}

async fn product() -> Product {
    product_at(FixedClock::default()).await
}

async fn product_at(clock: FixedClock) -> Product {
    let memory = Memory::new();
    let (time, random) = (Arc::new(clock.clone()), Arc::new(SeededRandom::new(1)));
    let feed = Arc::new(Feed::open(Arc::new(memory.clone()), time, random).await.unwrap());
    let environments = Environments::new(Arc::clone(&feed));
    environments.ensure_default(EnvironmentKind::Development).await.unwrap();
    let meters = Arc::new(Meters::default());
    let settings = Settings::default();
    let webhooks = Arc::new(Webhooks::new(Arc::clone(&feed), Arc::new(memory.clone()), settings));
    let script = Arc::new(Script::default());
    let worker = Worker::new(Arc::clone(&webhooks), Arc::clone(&script) as _, Arc::clone(&meters));
    let ledger = Arc::new(memory.clone());
    let relay = Relay::new(Arc::clone(&feed), ledger, ("webhooks", Arc::new(webhooks.sink())), meters);
    let product = Product {
        flags: Flags::new(Arc::clone(&feed)),
        worker: Arc::new(worker),
        memory,
        feed,
        webhooks,
        relay,
        script,
        clock,
    };
    product.create_flag("checkout").await;
    product
}

impl Product {
    async fn create_flag(&self, key: &str) {
        let body = json!({"key": key, "name": key, "enabled": true, "default_value": true});
        self.flags.create(asks(&developer()), &body).await.unwrap();
    }

    async fn endpoint(&self, body: Value) -> Made {
        self.webhooks.create(asks(&developer()), &body).await.unwrap()
    }

    /// An endpoint called `w` that is told of everything.
    async fn usual(&self) -> Made {
        self.endpoint(json!({"key": "w", "url": "https://hooks.example.com/in"})).await
    }

    /// Turns the flag on or off, which is one event, and relays it.
    async fn flip(&self, enabled: bool) {
        self.flags.set_enabled(asks(&developer()), "checkout", enabled).await.unwrap();
        self.relay.drain().await.unwrap();
    }

    async fn round(&self) -> usize {
        self.worker.round().await.unwrap()
    }

    fn answers(&self, status: u16) {
        self.script.answers.lock().push_back(Ok(Answered { status, ..Answered::default() }));
    }

    fn received(&self) -> Vec<Outgoing> {
        std::mem::take(&mut self.script.received.lock())
    }

    fn later(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Deliveries of `w`, newest first.
    async fn deliveries(&self) -> Vec<Delivery> {
        let newest = Selection::of("", 100);
        self.webhooks.deliveries(&developer(), ("default", "w"), newest).await.unwrap()
    }

    async fn stored(&self) -> Value {
        self.webhooks.get(&developer(), "default", "w").await.unwrap().0.body
    }

    async fn history(&self) -> Vec<Change> {
        use flagbase_core::catalog::Catalog as _;
        self.memory.history(&DocumentId::new(Kind::Webhook, "default", "w"), None, 100).await.unwrap()
    }

    /// Seconds until the only pending delivery is due.
    async fn wait(&self) -> i64 {
        let pending =
            self.deliveries().await.into_iter().find(|d| d.state == DeliveryState::Pending).unwrap();
        pending.due_at.duration_since(self.clock.now()).as_secs()
    }
}

fn developer() -> Caller {
    Caller {
        principal: Principal::User,
        id: "id".into(),
        email: "alice@example.com".into(),
        role: "developer".into(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn administrator() -> Caller {
    Caller { role: "admin".into(), ..developer() }
}

fn asks(caller: &Caller) -> Asked<'_> {
    Asked { caller, environment: "default", reason: "because" }
}

fn header<'m>(message: &'m Outgoing, name: &str) -> &'m str {
    &message.headers.iter().find(|(known, _)| *known == name).unwrap().1
}

const ANY: Precondition = Precondition::None;
