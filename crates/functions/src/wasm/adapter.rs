//! The adapter: [`Compute`] on Wasmtime.

mod serving;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use flagbase_core::{
    functions::{
        Artifact, Body, Compute, Digest, Fault, Grants, Host, Limits, Occasion, PrepareError, Prepared,
        Shape, Step, Visit,
    },
    random::Random,
    tasks::Tasks,
};
use http::{Request, Response};
use parking_lot::Mutex;

use super::{
    cache::Cache,
    calls::Driver,
    compile::{CompileConfig, Compiler},
    engine::{self, Machine},
    load::{self, Key, Loaded, Loader, Shelf},
    outbound::Outside,
    recognise,
    warm::Warm,
};

/// How often idle instances are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// How WebAssembly runs here.
#[derive(Debug, Clone)]
pub struct WasmConfig {
    /// Where compiled code is kept.
    pub cache: PathBuf,
    /// Versions whose code stays loaded; the least recently used goes.
    pub loaded: usize,
    /// Instances at once.
    pub instances: u32,
    /// What is uploaded may have so many bytes.
    pub most_code: u64,
    /// How code is compiled.
    pub compile: CompileConfig,
}

/// Runs WebAssembly and JavaScript in this process. Nothing is reserved before the first function is deployed or called.
pub struct Wasm {
    config: WasmConfig,
    host: Arc<Host>,
    outside: Arc<Outside>,
    tasks: Tasks,
    random: Arc<dyn Random>,
    ready: Mutex<Option<Arc<Ready>>>,
}

/// Everything there is once the first function is there.
struct Ready {
    machine: Machine,
    driver: Driver,
    loader: Arc<Loader>,
    shelf: Arc<Shelf>,
    warm: Arc<Warm>,
}

impl Wasm {
    /// With what its guests reach, whose tasks it uses, and where its keys come from. Called within the scheduler that
    /// requests to the outside shall run on.
    ///
    /// # Errors
    /// When requests to the outside cannot be made at all, because there is no TLS.
    pub fn new(
        config: WasmConfig,
        host: Arc<Host>,
        tasks: Tasks,
        random: Arc<dyn Random>,
    ) -> Result<Self, flagbase_core::catalog::BoxError> {
        let here = tokio::runtime::Handle::current();
        let outside = Arc::new(Outside::new(host.outbound(), tasks.clone(), here)?);
        Ok(Self { config, host, outside, tasks, random, ready: Mutex::new(None) })
    }

    fn ready(&self) -> Result<Arc<Ready>, flagbase_core::catalog::BoxError> {
        let mut ready = self.ready.lock();
        if let Some(ready) = &*ready {
            return Ok(Arc::clone(ready));
        }
        let made = Arc::new(self.make()?);
        self.sweep(&made.warm);
        Ok(Arc::clone(ready.insert(made)))
    }

    fn make(&self) -> Result<Ready, flagbase_core::catalog::BoxError> {
        let config = &self.config;
        let machine = Machine::new(config.instances).map_err(|error| error.to_string())?;
        let cache = Cache::open(&config.cache, &*self.random).map_err(|error| {
            format!("`{}` cannot be used for compiled code: {error}", config.cache.display())
        })?;
        let loader = Arc::new(Loader::new(load::Parts {
            engine: machine.engine.clone(),
            cache,
            compiler: Compiler::new(config.compile.clone(), machine.room),
            host: Arc::clone(&self.host),
            most_code: config.most_code,
        }));
        let threads = engine::processors();
        Ok(Ready {
            driver: Driver::new(Arc::clone(&machine.epochs), self.tasks.clone(), threads),
            shelf: Arc::new(Shelf::new(Arc::clone(&loader), self.tasks.clone(), config.loaded)),
            warm: Arc::new(Warm::new(config.instances as usize / 2)),
            loader,
            machine,
        })
    }

    fn sweep(&self, warm: &Arc<Warm>) {
        let (warm, stopping) = (Arc::downgrade(warm), self.tasks.stopping());
        self.tasks.spawn("function-sweep", async move {
            while stopping.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
                let Some(warm) = warm.upgrade() else { return };
                warm.sweep();
            }
        });
    }

    fn existing(&self) -> Option<Arc<Ready>> {
        self.ready.lock().clone()
    }
}

#[async_trait]
impl Compute for Wasm {
    fn driver(&self) -> &'static str {
        "wasm"
    }

    async fn prepare(
        &self,
        artifact: &Artifact,
        (grants, limits): (&Grants, &Limits),
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        let most = self.config.most_code;
        if artifact.bytes.len() as u64 > most {
            let message = format!(
                "the code is larger than {most} bytes, which is what `functions.max_code` lets through"
            );
            return Err(PrepareError::TooMuch(message));
        }
        tell(Step { doing: "looking at the code".to_owned(), percent: Some(0) });
        let seen = artifact.clone();
        let found = tokio::task::spawn_blocking(move || recognise::recognise(&seen)).await;
        let found = found.map_err(|error| PrepareError::Unavailable(error.into()))??;
        recognise::check(&found.imports, grants)?;
        recognise::fits(found.memory, limits)?;
        let ready = self.ready().map_err(PrepareError::Unavailable)?;
        let key = Key::new(artifact.digest, found.shape, grants.into());
        let loaded = ready.prepare(key, artifact, tell).await?;
        tell(Step { doing: "ready".to_owned(), percent: Some(100) });
        let serves = match found.shape {
            Shape::Component => found.serves,
            Shape::JavaScript => ready.loader.said(key).unwrap_or_else(|| loaded.serves()),
            _ => loaded.serves(),
        };
        Ok(Prepared { shape: found.shape, serves, imports: found.imports })
    }

    async fn serve(&self, visit: Visit, request: Request<Body>) -> Result<Response<Body>, Fault> {
        let ready = self.ready().map_err(|error| Fault::Unstartable(error.to_string()))?;
        let loaded = ready.shelf.get(Key::from(&*visit.deployed)).await?;
        ready.serve(loaded, self.call(visit), request).await
    }

    async fn deliver(&self, visit: Visit, occasion: Occasion) -> Result<(), Fault> {
        let ready = self.ready().map_err(|error| Fault::Unstartable(error.to_string()))?;
        let loaded = ready.shelf.get(Key::from(&*visit.deployed)).await?;
        ready.deliver(loaded, self.call(visit), occasion).await
    }

    async fn retain(&self, alive: &(dyn for<'d> Fn(&'d Digest) -> bool + Send + Sync)) {
        // Without an engine there is nothing in memory; the directory waits until there is one.
        if let Some(ready) = self.existing() {
            ready.shelf.retain(alive);
            ready.loader.retain(alive);
        }
    }

    async fn stop(&self) {
        let ready = self.ready.lock().take();
        if let Some(ready) = ready {
            ready.warm.clear();
            ready.shelf.clear();
            ready.driver.stop();
        }
    }
}

impl Ready {
    async fn prepare(
        &self,
        key: Key,
        artifact: &Artifact,
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Arc<Loaded>, PrepareError> {
        self.loader.before(key, tell).await?;
        let loaded = match self.loader.from_disk(key).await? {
            Some(loaded) => loaded,
            None => self.loader.build(key, (&artifact.name, artifact.bytes.clone()), tell).await?,
        };
        Ok(self.shelf.put(key, loaded))
    }
}
