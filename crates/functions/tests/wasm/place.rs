//! A driver in a place of its own.

use std::{sync::Arc, time::Duration};

use flagbase_core::{
    functions::{Artifact, Body, Compute as _, Deployed, Fault, Logs, LogsAsked, Settings},
    random::SystemRandom,
    tasks::Tasks,
};
use flagbase_functions::wasm::{CompileConfig, Wasm, WasmConfig};
use flagbase_testkit::{
    MemoryBlobs,
    compute::{deployed, visit},
};
use tempfile::TempDir;

use super::host::{Behind, behind};

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
        let Behind { host, blobs, logs, .. } = behind().await;
        let mut config = WasmConfig {
            cache: cache.path().join("functions"),
            loaded: 16,
            instances: 128,
            most_code: 64 << 20,
            compile: compile(),
        };
        change(&mut config);
        let wasm = Wasm::new(config, host, Tasks::new(), Arc::new(SystemRandom)).unwrap();
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
