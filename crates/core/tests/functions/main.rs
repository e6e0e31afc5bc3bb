//! Functions through their use cases, on the fakes.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod alias;
mod guarding;
mod life;
mod reach;
mod running;
mod settings;

use std::sync::Arc;

use flagbase_core::{
    blobs::Blobs as _,
    caller::{Caller, Principal},
    catalog::Document,
    environments::{EnvironmentKind, Environments},
    feed::Feed,
    flags::{Asked, Flags},
    functions::{
        Body, Deployed, Deployment, Functions, FunctionsParts, Logs, Runner, RunnerParts, Upload, Visit,
    },
    gateway::{AddressPolicy, Routes},
    metrics::Meters,
    refusal::{Precondition, Refusal},
};
use flagbase_testkit::{FakeCompute, FixedClock, Memory, MemoryBlobs, SeededRandom};
use serde_json::{Value, json};

const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };

struct Product {
    memory: Memory,
    blobs: Arc<MemoryBlobs>,
    compute: Arc<FakeCompute>,
    clock: FixedClock,
    meters: Arc<Meters>,
    feed: Arc<Feed>,
    flags: Arc<Flags>,
    routes: Routes,
    runner: Arc<Runner>,
    functions: Arc<Functions>,
}

async fn product() -> Product {
    let (memory, clock) = (Memory::new(), FixedClock::default());
    let (time, random) = (Arc::new(clock.clone()), Arc::new(SeededRandom::new(1)));
    let feed = Feed::open(Arc::new(memory.clone()), time.clone(), random.clone()).await.unwrap();
    let feed = Arc::new(feed);
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let blobs = Arc::new(MemoryBlobs::new());
    let compute = Arc::new(FakeCompute::new(Arc::clone(&blobs) as _));
    let meters = Arc::new(Meters::default());
    let runner = Arc::new(Runner::new(RunnerParts {
        compute: Arc::clone(&compute) as _,
        logs: Arc::new(Logs::new(time.clone())),
        meters: Arc::clone(&meters),
        ledger: Arc::new(memory.clone()),
        clock: time,
        random,
    }));
    let functions = Functions::new(FunctionsParts {
        feed: Arc::clone(&feed),
        blobs: Arc::clone(&blobs) as _,
        runner: Arc::clone(&runner),
        most_code: 1 << 20,
    });
    Product {
        flags: Arc::new(Flags::new(Arc::clone(&feed))),
        routes: Routes::new(Arc::clone(&feed), OPEN),
        functions: Arc::new(functions),
        memory,
        blobs,
        compute,
        clock,
        meters,
        feed,
        runner,
    }
}

fn caller(role: &str) -> Arc<Caller> {
    Arc::new(Caller {
        principal: Principal::User,
        id: format!("id-of-{role}").as_str().into(),
        email: format!("{role}@example.com").as_str().into(),
        role: role.into(),
        ..Caller::clone(&Caller::nobody())
    })
}

fn asks(caller: &Caller) -> Asked<'_> {
    Asked { caller, environment: "default", reason: "because" }
}

impl Product {
    /// Deploys a script as `hello`.
    async fn deploy(&self, script: &str, promote: bool) -> Result<Deployment, Refusal> {
        self.deploy_as("hello", script, promote).await
    }

    async fn deploy_as(&self, name: &str, script: &str, promote: bool) -> Result<Deployment, Refusal> {
        let code = Body::Whole(FakeCompute::script(script).bytes);
        let upload = Upload { file: "script.fake", code, promote, note: "" };
        self.functions.deploy(asks(&caller("developer")), name, upload, &|_| {}).await
    }

    async fn promote(&self, number: u32) -> Result<Document, Refusal> {
        let developer = caller("developer");
        self.functions.promote(asks(&developer), ("hello", number), Precondition::None).await
    }

    async fn patch(&self, patch: Value) -> Result<Document, Refusal> {
        let developer = caller("developer");
        self.functions.patch(asks(&developer), "hello", &patch, Precondition::None).await
    }

    async fn hello(&self) -> Value {
        self.functions.get(&caller("developer"), "default", "hello").await.unwrap().body
    }

    /// The flag `next`, which gives developers version 2 and everybody else version 1.
    async fn put_behind_flag(&self) {
        let flag = json!({"key": "next", "enabled": true, "type": "string", "default_variant": "one",
            "off_variant": "one", "variants": [{"name": "one", "value": "1"}, {"name": "two", "value": "2"}],
            "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": "two"}]});
        self.flags.create(asks(&caller("developer")), &flag).await.unwrap();
        self.patch(json!({"flag_key": "next"})).await.unwrap();
    }

    fn deployed(&self, number: u32) -> Arc<Deployed> {
        let snapshot = self.feed.snapshots().get();
        let environment = snapshot.environment("default").unwrap();
        Arc::clone(environment.functions.get("hello").unwrap().version(number).unwrap())
    }

    async fn stored_code(&self) -> usize {
        self.blobs.list("functions/", "", 1000).await.unwrap().len()
    }
}

fn visit(deployed: Arc<Deployed>, role: &str) -> Visit {
    Visit { deployed, caller: caller(role), id: "call-1".into(), trace: None, attributes: Arc::default() }
}

fn get() -> http::Request<Body> {
    http::Request::get("/").body(Body::Empty).unwrap()
}
