//! Triggers on the fakes: what starts a function, how often, and what becomes of what it does not take.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    buckets::{Buckets, BucketsParts, Signer},
    caller::{Caller, Principal},
    catalog::{Actor, Catalog as _, Change, DocumentId, Draft, Expect, Kind, Write},
    environments::{EnvironmentKind, Environments},
    events::{Hear, Heard, Listening, MessageError, Messages},
    feed::Feed,
    flags::{Asked, Flags},
    functions::{
        Artifact, Body, Compute, Definition, Digest, Fault, Grants, Limits, Logs, Occasion, PrepareError,
        Prepared, Runner, RunnerParts, Serves, Shape, Step, Version, Visit,
        triggers::{Queued, Triggers},
    },
    metrics::Meters,
    relay::Relay,
};
use flagbase_testkit::{FixedClock, Memory, MemoryBlobs, SeededRandom};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

mod dead;
mod events;
mod messages;
mod schedules;

/// Code that answers as told, then takes everything, and remembers what it got.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Fault>>,
    received: Mutex<Vec<(u32, Occasion)>>,
    /// Whether calls wait for `go_on`.
    waits: AtomicBool,
    go_on: Notify,
}

#[async_trait]
impl Compute for Script {
    fn driver(&self) -> &'static str {
        "script"
    }

    async fn prepare(
        &self,
        _: &Artifact,
        _: (&Grants, &Limits),
        _: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        unreachable!("nothing is deployed here")
    }

    async fn serve(&self, _: Visit, _: http::Request<Body>) -> Result<http::Response<Body>, Fault> {
        unreachable!("nobody asks for anything here")
    }

    async fn deliver(&self, visit: Visit, occasion: Occasion) -> Result<(), Fault> {
        assert!(visit.caller.is_nobody());
        self.received.lock().push((visit.deployed.version, occasion));
        if self.waits.load(SeqCst) {
            self.go_on.notified().await;
        }
        self.answers.lock().pop_front().map_or(Ok(()), Err)
    }

    async fn retain(&self, _: &(dyn for<'d> Fn(&'d Digest) -> bool + Send + Sync)) {}

    async fn stop(&self) {}
}

/// A bus on which a test is the only one who speaks.
#[derive(Default)]
struct Line {
    ears: Arc<Mutex<Vec<(String, Hear)>>>,
}

struct Ear(String, Arc<Mutex<Vec<(String, Hear)>>>);

impl Drop for Ear {
    fn drop(&mut self) {
        self.1.lock().retain(|(pattern, _)| *pattern != self.0);
    }
}

impl Messages for Line {
    fn send(&self, _: &str, _: Vec<u8>) -> Result<(), MessageError> {
        Ok(())
    }

    fn listen(&self, pattern: &str, hear: Hear) -> Result<Listening, MessageError> {
        self.ears.lock().push((pattern.to_owned(), hear));
        Ok(Box::new(Ear(pattern.to_owned(), Arc::clone(&self.ears))))
    }
}

struct Product {
    memory: Memory,
    feed: Arc<Feed>,
    clock: FixedClock,
    script: Arc<Script>,
    line: Arc<Line>,
    triggers: Arc<Triggers>,
    relay: Relay,
    buckets: Buckets,
    flags: Flags,
}

async fn product() -> Product {
    product_on(Memory::new(), FixedClock::default()).await
}

/// The product on what is stored in `memory`, as after a restart.
async fn product_on(memory: Memory, clock: FixedClock) -> Product {
    let random = || Arc::new(SeededRandom::new(u64::try_from(clock_seconds(&clock)).unwrap()));
    let time = || Arc::new(clock.clone());
    let feed = Arc::new(Feed::open(Arc::new(memory.clone()), time(), random()).await.unwrap());
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let (script, line) = (Arc::new(Script::default()), Arc::new(Line::default()));
    let meters = Arc::new(Meters::default());
    let parts = RunnerParts {
        compute: Arc::clone(&script) as _,
        logs: Arc::new(Logs::new(time())),
        meters: Arc::clone(&meters),
        ledger: Arc::new(memory.clone()),
        clock: time(),
        random: random(),
    };
    let bus: Arc<dyn Messages> = line.clone();
    let runner = Arc::new(Runner::new(parts));
    let triggers = Triggers::new(Arc::clone(&feed), Arc::new(memory.clone()), runner, Some(bus));
    let ledger = Arc::new(memory.clone());
    let sink = Arc::new(triggers.sink());
    let relay = Relay::new(Arc::clone(&feed), ledger, ("functions", sink), meters).from_now();
    let blobs = Arc::new(MemoryBlobs::new());
    let buckets = Buckets::new(BucketsParts {
        feed: Arc::clone(&feed),
        index: Arc::new(memory.clone()),
        uploads: Arc::new(memory.clone()),
        blobs,
        signer: Signer::new(b"a secret of tests"),
    });
    let flags = Flags::new(Arc::clone(&feed));
    // Its place in the log, before anything happens.
    relay.drain().await.unwrap();
    Product { memory, feed, clock, script, line, triggers, relay, buckets, flags }
}

fn clock_seconds(clock: &FixedClock) -> i64 {
    use flagbase_core::clock::Clock as _;
    clock.now().as_second()
}

impl Product {
    /// A function with two versions, of which the second one is current, and these triggers.
    async fn function(&self, name: &str, triggers: Value) {
        let mut body =
            Definition::named(name).with_settings(&json!({ "name": name, "triggers": triggers })).unwrap();
        body.versions = [1, 2].map(version).to_vec();
        (body.current, body.last_number) = (Some(2), 2);
        self.write(name, Write::Put(body.to_json())).await;
    }

    async fn write(&self, name: &str, write: Write) {
        let verb = if matches!(write, Write::Delete) { "deleted" } else { "updated" };
        let draft = Draft { id: function(name), verb, expect: Expect::Any, write, detail: Value::Null };
        self.feed.edit().await.commit(Actor::system(), "", vec![draft]).await.unwrap();
        self.relay.drain().await.unwrap();
    }

    async fn flag(&self, key: &str) {
        let body = json!({"key": key, "name": key, "enabled": true, "default_value": true});
        self.flags.create(asked(&admin()), &body).await.unwrap();
        self.relay.drain().await.unwrap();
    }

    async fn round(&self) -> usize {
        self.triggers.round().await.unwrap()
    }

    fn fails(&self, times: usize) {
        self.script.answers.lock().extend((0..times).map(|_| Fault::Trapped("on purpose".into())));
    }

    /// What was delivered since it was last asked, one line each.
    fn received(&self) -> Vec<String> {
        let received = std::mem::take(&mut *self.script.received.lock());
        let line = |(version, occasion): (u32, Occasion)| match occasion {
            Occasion::Event(event) => format!("v{version} {} #{}", event.subject, event.attempt),
            Occasion::Tick { at, .. } => format!("v{version} {at}"),
        };
        received.into_iter().map(line).collect()
    }

    fn later(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    async fn letters(&self, name: &str) -> Vec<Queued> {
        self.triggers.dead_letters(&admin(), "default", name, (None, 99)).await.unwrap()
    }

    /// Changes of a function that say so, oldest first.
    async fn announced(&self, name: &str) -> Vec<Change> {
        let mut changes = self.memory.history(&function(name), None, 99).await.unwrap();
        changes.retain(|change| change.verb == "dead_lettered");
        changes.reverse();
        changes
    }
}

fn version(number: u32) -> Version {
    Version {
        number,
        digest: Digest::of(&number.to_be_bytes()),
        shape: Shape::Component,
        file: String::new(),
        size: 1,
        serves: vec![Serves::Events, Serves::Schedules],
        imports: Vec::new(),
        created_at: Timestamp::UNIX_EPOCH,
        created_by: String::new(),
        note: String::new(),
    }
}

fn function(name: &str) -> DocumentId {
    DocumentId::new(Kind::Function, "default", name)
}

fn admin() -> Caller {
    Caller {
        principal: Principal::User,
        id: "u1".into(),
        email: "alice@example.com".into(),
        role: "admin".into(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn asked(caller: &Caller) -> Asked<'_> {
    Asked { caller, environment: "default", reason: "" }
}
