//! A driver in a place of its own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    buckets::Object,
    catalog::{Actor, DocumentId},
    environments::{EnvironmentKind, Environments},
    feed::Feed,
    functions::{
        Artifact, Body, Compute as _, Deployed, Fault, GuestObjects, GuestSecrets, Host, HostError,
        HostParts, Logs, LogsAsked, Settings,
    },
    gateway::AddressPolicy,
    metrics::{Bounds, Meters, Recorder},
    random::SystemRandom,
    tasks::Tasks,
};
use flagbase_functions::wasm::{CompileConfig, Wasm, WasmConfig};
use flagbase_testkit::{
    FixedClock, Memory, MemoryBlobs, SeededRandom,
    compute::{deployed, visit},
};
use tempfile::TempDir;

/// A driver with everything behind it.
pub(crate) struct Place {
    pub(crate) wasm: Arc<Wasm>,
    pub(crate) blobs: Arc<MemoryBlobs>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) cache: Arc<TempDir>,
}

/// How compilers are started in tests; they are slow, and so are the machines that test.
pub(crate) fn compile() -> CompileConfig {
    CompileConfig {
        program: Some(env!("CARGO_BIN_EXE_compile-function").into()),
        arguments: Vec::new(),
        timeout: Duration::from_mins(2),
        memory: 1 << 30,
    }
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(tempfile::tempdir().unwrap()), |_| {}).await
    }

    /// With what is in `cache`, and other settings.
    pub(crate) async fn with(cache: Arc<TempDir>, change: impl FnOnce(&mut WasmConfig)) -> Self {
        let (memory, clock) = (Memory::new(), Arc::new(FixedClock::default()));
        let random = Arc::new(SeededRandom::new(1));
        let feed = Feed::open(Arc::new(memory.clone()), clock.clone(), random).await.unwrap();
        let feed = Arc::new(feed);
        Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
        let (blobs, logs) = (Arc::new(MemoryBlobs::new()), Arc::new(Logs::new(clock.clone())));
        let recorder = Recorder::new(clock.clone(), Arc::new(Meters::default()), Bounds::default());
        let host = Host::new(HostParts {
            snapshots: Arc::clone(feed.snapshots()),
            recorder: Arc::new(recorder),
            logs: Arc::clone(&logs),
            blobs: Arc::clone(&blobs) as _,
            keyvalue: Arc::new(memory),
            objects: Arc::new(Nothing),
            secrets: Arc::new(Nothing),
            messages: None,
            outbound: AddressPolicy { loopback: false, private: false },
            clock,
        });
        let mut config = WasmConfig {
            cache: cache.path().join("functions"),
            loaded: 16,
            instances: 128,
            most_code: 64 << 20,
            compile: compile(),
        };
        change(&mut config);
        let wasm = Wasm::new(config, Arc::new(host), Tasks::new(), Arc::new(SystemRandom)).unwrap();
        Self { wasm: Arc::new(wasm), blobs, logs, cache }
    }

    /// Prepares code and says what was deployed.
    pub(crate) async fn deploy(&self, artifact: &Artifact, settings: Settings) -> Arc<Deployed> {
        let terms = (&settings.grants, &settings.limits);
        let prepared = self.wasm.prepare(artifact, terms, &|_| {}).await.unwrap();
        deployed(artifact, prepared.shape, settings)
    }

    /// The body of the answer to `GET /`.
    pub(crate) async fn get(&self, deployed: &Arc<Deployed>) -> Result<String, Fault> {
        let request = http::Request::get("/").body(Body::Empty).unwrap();
        let answer = self.wasm.serve(visit(deployed), request).await?;
        let body = answer.into_body().collect(1 << 20).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// What the function wrote.
    pub(crate) fn log(&self) -> Vec<String> {
        let lines = self.logs.read("default", "guest", LogsAsked::default(), 100);
        lines.iter().map(|line| line.message.clone()).collect()
    }

    /// Files of compiled code.
    pub(crate) fn compiled(&self) -> Vec<std::path::PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.cache.path().join("functions")) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect()
    }
}

struct Nothing;

#[async_trait]
impl GuestSecrets for Nothing {
    async fn open(&self, _: &DocumentId, _: &str) -> Result<Option<String>, HostError> {
        Ok(None)
    }
}

#[async_trait]
impl GuestObjects for Nothing {
    async fn get(&self, _: &DocumentId, _: &str, _: u64) -> Result<Option<Bytes>, HostError> {
        Ok(None)
    }
    async fn head(&self, _: &DocumentId, _: &str) -> Result<Option<Object>, HostError> {
        Ok(None)
    }
    async fn put(&self, _: Actor, _: &DocumentId, _: &str, _: (&str, Bytes)) -> Result<Object, HostError> {
        Err(HostError::Failed("there are no buckets".into()))
    }
    async fn delete(&self, _: Actor, _: &DocumentId, _: &str) -> Result<(), HostError> {
        Ok(())
    }
    async fn list(&self, _: &DocumentId, _: &str, _: &str, _: u32) -> Result<Vec<Object>, HostError> {
        Ok(Vec::new())
    }
}
