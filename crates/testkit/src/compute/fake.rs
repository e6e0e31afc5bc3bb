//! A `Compute` whose code is a script of a few words.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    blobs::Blobs,
    functions::{
        Artifact, Body, Compute, Digest, Fault, Figure, Grants, Limits, Occasion, PrepareError, Prepared,
        Serves, Shape, Step, Visit,
    },
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Guest;

/// Runs scripts. The first word is `fake`; then come lines:
///
/// - `import NAME`: needs a grant, when NAME is one of `flags`, `keyvalue`, `buckets`, `publish`, `outbound`, `secrets`
/// - `serves events`, `serves schedules`: instead of requests
/// - what happens: `say TEXT` (the default: the name of nothing), `echo`, `status NUMBER`, `status` (as the target says),
///   `loop`, `trap`, `limit`, `flood BYTES`, `report`, `wait` (until [`FakeCompute::go_on`])
///
/// Everything else is text that tells one script from another.
pub struct FakeCompute {
    blobs: Arc<dyn Blobs>,
    loaded: Mutex<BTreeMap<Digest, Script>>,
    calls: AtomicUsize,
    prepared: AtomicUsize,
    running: Arc<AtomicUsize>,
    go_on: Notify,
}

#[derive(Debug, Clone)]
struct Script {
    imports: Vec<String>,
    serves: Serves,
    act: Act,
}

#[derive(Debug, Clone)]
enum Act {
    Say(String),
    Echo,
    Status(Option<u16>),
    Loop,
    Trap,
    Limit,
    Flood(usize),
    Report,
    Wait,
}

/// Counts what runs.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl FakeCompute {
    /// Reads code from `blobs`.
    pub fn new(blobs: Arc<dyn Blobs>) -> Self {
        Self {
            blobs,
            loaded: Mutex::default(),
            calls: AtomicUsize::new(0),
            prepared: AtomicUsize::new(0),
            running: Arc::default(),
            go_on: Notify::new(),
        }
    }

    /// A script, as it is uploaded.
    pub fn script(lines: &str) -> Artifact {
        Artifact::new("script.fake", Bytes::from(format!("fake\n{lines}")))
    }

    /// The script that behaves as a guest of the contract.
    pub fn guest(guest: Guest) -> Option<Artifact> {
        Some(Self::script(match guest {
            Guest::Echo => "echo",
            Guest::Status => "status",
            Guest::Loop => "loop",
            Guest::Trap => "trap",
            Guest::Flood => "flood 4194304",
            Guest::Memory => "limit",
            Guest::Count => "say 1",
            Guest::Events => "serves events\nreport",
            Guest::Ticks => "serves schedules\nsay done",
            Guest::Ungranted => "import buckets\nsay hello",
            Guest::Garbage => return Some(Artifact::new("garbage", Bytes::from_static(b"\0garbage"))),
        }))
    }

    /// Calls that came so far.
    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// How often code was prepared so far.
    pub fn prepared(&self) -> usize {
        self.prepared.load(SeqCst)
    }

    /// Calls under way.
    pub fn running(&self) -> usize {
        self.running.load(SeqCst)
    }

    /// Lets everything go on that waits now.
    pub fn go_on(&self) {
        self.go_on.notify_waiters();
    }

    /// Whether it keeps this code.
    pub fn keeps(&self, digest: &Digest) -> bool {
        self.loaded.lock().contains_key(digest)
    }

    async fn load(&self, digest: &Digest) -> Result<Script, Fault> {
        if let Some(script) = self.loaded.lock().get(digest) {
            return Ok(script.clone());
        }
        let gone = || Fault::Unstartable("its code is gone or altered".into());
        let bytes = self.blobs.whole(&format!("functions/{}", digest.hex()), 1 << 20).await;
        let bytes = bytes.ok().flatten().filter(|bytes| Digest::of(bytes) == *digest).ok_or_else(gone)?;
        let script = Script::read(&bytes).ok_or_else(gone)?;
        self.loaded.lock().insert(*digest, script.clone());
        Ok(script)
    }

    async fn act(
        &self,
        visit: &Visit,
        script: &Script,
        input: &str,
        said: String,
    ) -> Result<(u16, String), Fault> {
        self.calls.fetch_add(1, SeqCst);
        self.running.fetch_add(1, SeqCst);
        let _running = Running(Arc::clone(&self.running));
        let limits = &visit.deployed.settings.limits;
        match &script.act {
            Act::Say(text) => Ok((200, text.clone())),
            Act::Echo => Ok((200, said)),
            Act::Status(status) => {
                let asked = || input.trim_start_matches('/').parse().unwrap_or(200);
                Ok((status.unwrap_or_else(asked), String::new()))
            }
            Act::Loop => {
                tokio::time::sleep(limits.timeout).await;
                Err(Fault::TimedOut(limits.timeout))
            }
            Act::Trap => Err(Fault::Trapped("it was told to".into())),
            Act::Limit => Err(Fault::LimitReached("memory".into())),
            Act::Flood(bytes) if *bytes as u64 > limits.response_body => {
                Err(Fault::LimitReached(format!("the answer is larger than {} bytes", limits.response_body)))
            }
            Act::Flood(bytes) => Ok((200, "x".repeat(*bytes))),
            Act::Report if input == "ok" => Ok((200, String::new())),
            Act::Report => Err(Fault::Reported(input.to_owned())),
            Act::Wait => {
                let waited = tokio::time::timeout(limits.timeout, self.go_on.notified()).await;
                waited.map(|()| (200, "went on".into())).map_err(|_| Fault::TimedOut(limits.timeout))
            }
        }
    }
}

impl Script {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_prefix("fake")?;
        let mut script = Self { imports: Vec::new(), serves: Serves::Requests, act: Act::Say(String::new()) };
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, rest) {
                ("import", name) => script.imports.push(name.to_owned()),
                ("serves", "events") => script.serves = Serves::Events,
                ("serves", "schedules") => script.serves = Serves::Schedules,
                ("say", text) => script.act = Act::Say(text.to_owned()),
                ("echo", _) => script.act = Act::Echo,
                ("status", number) => script.act = Act::Status(number.parse().ok()),
                ("loop", _) => script.act = Act::Loop,
                ("trap", _) => script.act = Act::Trap,
                ("limit", _) => script.act = Act::Limit,
                ("flood", bytes) => script.act = Act::Flood(bytes.parse().ok()?),
                ("report", _) => script.act = Act::Report,
                ("wait", _) => script.act = Act::Wait,
                _ => {}
            }
        }
        script.imports.sort();
        Some(script)
    }

    fn serves(&self, visit: &Visit, wanted: Serves) -> Result<(), Fault> {
        let what = match wanted {
            Serves::Requests => "requests",
            Serves::Events => "events",
            Serves::Schedules => "schedules",
        };
        let version = visit.deployed.version;
        if self.serves == wanted { Ok(()) } else { Err(Fault::NotServed { version, what }) }
    }
}

fn granted(grants: &Grants, name: &str) -> bool {
    match name {
        "flags" => grants.flags,
        "keyvalue" => !grants.keyvalue.is_empty(),
        "buckets" => !grants.buckets.is_empty(),
        "publish" => !grants.publish.is_empty(),
        "outbound" => !grants.outbound.is_empty(),
        "secrets" => grants.secrets,
        _ => true,
    }
}

#[async_trait]
impl Compute for FakeCompute {
    fn driver(&self) -> &'static str {
        "fake"
    }

    async fn prepare(
        &self,
        artifact: &Artifact,
        (grants, _): (&Grants, &Limits),
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        self.prepared.fetch_add(1, SeqCst);
        tell(Step { doing: "compiling".into(), percent: Some(50) });
        let script = Script::read(&artifact.bytes)
            .ok_or_else(|| PrepareError::Rejected("this is no script; begin it with `fake`".into()))?;
        if let Some(import) = script.imports.iter().find(|import| !granted(grants, import)) {
            return Err(PrepareError::Rejected(format!("it imports `{import}`, which is not granted")));
        }
        let prepared = Prepared {
            shape: Shape::Command,
            serves: vec![script.serves],
            imports: script.imports.iter().map(|name| format!("fake:{name}")).collect(),
        };
        self.loaded.lock().insert(artifact.digest, script);
        Ok(prepared)
    }

    async fn serve(&self, visit: Visit, request: http::Request<Body>) -> Result<http::Response<Body>, Fault> {
        let script = self.load(&visit.deployed.digest).await?;
        script.serves(&visit, Serves::Requests)?;
        let (head, body) = request.into_parts();
        let body = body.collect(visit.deployed.settings.limits.request_body).await?;
        let echoed = format!("{} {}\n{}", head.method, head.uri, String::from_utf8_lossy(&body));
        let (status, said) = self.act(&visit, &script, head.uri.path(), echoed).await?;
        let response = http::Response::builder().status(status).header("x-guest", "echo");
        Ok(response.body(Body::Whole(said.into())).unwrap())
    }

    async fn deliver(&self, visit: Visit, occasion: Occasion) -> Result<(), Fault> {
        let script = self.load(&visit.deployed.digest).await?;
        let (wanted, input) = match &occasion {
            Occasion::Event(event) => (Serves::Events, String::from_utf8_lossy(&event.data).into_owned()),
            Occasion::Tick { schedule, .. } => (Serves::Schedules, schedule.to_string()),
        };
        script.serves(&visit, wanted)?;
        self.act(&visit, &script, &input, String::new()).await.map(drop)
    }

    async fn retain(&self, alive: &(dyn for<'d> Fn(&'d Digest) -> bool + Send + Sync)) {
        self.loaded.lock().retain(|digest, _| alive(digest));
    }

    async fn stop(&self) {
        self.loaded.lock().clear();
    }

    fn figures(&self) -> Vec<Figure> {
        let total = self.prepared.load(SeqCst) as u64;
        vec![Figure { name: "fake_builds", help: "Scripts that were built", total }]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::FakeCompute;
    use crate::{MemoryBlobs, compute::ComputeUnderTest};

    async fn fresh() -> ComputeUnderTest {
        let blobs = Arc::new(MemoryBlobs::new());
        let compute = Arc::new(FakeCompute::new(Arc::clone(&blobs) as _));
        std::future::ready(ComputeUnderTest::new(compute, blobs, FakeCompute::guest, ())).await
    }

    crate::compute_cases!(super::fresh);
}
