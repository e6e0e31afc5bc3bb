//! Code that is loaded and ready to be instantiated: the least recently used goes when there is too much of it.

mod shelf;
mod tag;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use flagbase_core::functions::{Deployed, Digest, Fault, Host, PrepareError, Serves, Shape, Step};
use hashbrown::HashMap;
use parking_lot::Mutex;
use wasmtime::{
    Engine, Module,
    component::{Component, InstancePre, Linker},
};

use super::{
    cache::Cache,
    command,
    compile::{Compiler, Kind},
    guest::Guest,
    http, javascript,
    linker::{self, Terms},
    own,
};
pub(crate) use shelf::Shelf;

/// The name under which the module that runs JavaScript is told about.
const RUNTIME: &str = "javascript.wasm";

/// One version's code, by its shape.
pub(crate) enum Loaded {
    /// A component of our own interfaces.
    Own(own::Program),
    /// A component of `wasi:http`.
    Http(http::Program),
    /// A WASI command.
    Command(command::Program),
}

impl Loaded {
    /// What it can be called for, as far as that is seen from outside.
    pub(crate) fn serves(&self) -> Vec<Serves> {
        match self {
            Self::Own(program) => program.serves(),
            Self::Http(_) => vec![Serves::Requests],
            Self::Command(_) => vec![Serves::Requests, Serves::Events, Serves::Schedules],
        }
    }
}

/// What identifies loaded code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Of what was uploaded.
    pub(crate) digest: Digest,
    /// Its shape.
    pub(crate) shape: Shape,
    /// What it may import.
    pub(crate) terms: Terms,
}

impl Key {
    /// For code of this shape. Sources import everything: what is not granted is refused when it is called.
    pub(crate) fn new(digest: Digest, shape: Shape, terms: Terms) -> Self {
        let terms = if shape == Shape::JavaScript { Terms::ALL } else { terms };
        Self { digest, shape, terms }
    }
}

impl From<&Deployed> for Key {
    fn from(deployed: &Deployed) -> Self {
        Self::new(deployed.digest, deployed.shape, (&deployed.settings.grants).into())
    }
}

/// Loads code: from disk, or from what was uploaded when the disk has it no more.
pub(crate) struct Loader {
    engine: Engine,
    tag: String,
    cache: Cache,
    compiler: Compiler,
    host: Arc<Host>,
    most_code: u64,
    linkers: Mutex<Linkers>,
    commands: OnceLock<Arc<wasmtime::Linker<Guest>>>,
    runtime: tokio::sync::OnceCell<Module>,
}

/// By what is granted, and whether they are for sources.
type Linkers = HashMap<(Terms, bool), Arc<Linker<Guest>>>;

/// What a loader is made of.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) cache: Cache,
    pub(crate) compiler: Compiler,
    pub(crate) host: Arc<Host>,
    pub(crate) most_code: u64,
}

type Tell<'a> = &'a (dyn Fn(Step) + Send + Sync);

impl Loader {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            tag: tag::of(&parts.engine),
            engine: parts.engine,
            cache: parts.cache,
            compiler: parts.compiler,
            host: parts.host,
            most_code: parts.most_code,
            linkers: Mutex::default(),
            commands: OnceLock::new(),
            runtime: tokio::sync::OnceCell::new(),
        }
    }

    /// Loads what was deployed.
    pub(crate) async fn load(self: &Arc<Self>, key: Key) -> Result<Loaded, Fault> {
        let unstartable = |error: PrepareError| Fault::Unstartable(because(&error));
        self.before(key, &|_| ()).await.map_err(unstartable)?;
        if let Some(loaded) = self.from_disk(key).await.map_err(unstartable)? {
            return Ok(loaded);
        }
        tracing::info!(digest = %key.digest, "compiled code is not there any more; it is built again");
        let code = self.host.code(&key.digest, self.most_code).await;
        let code = code.map_err(|error| Fault::Unstartable(error.to_string()))?;
        let code = code.ok_or_else(|| Fault::Unstartable("its code is gone; deploy it again".to_owned()))?;
        // Types are taken out of a source that has none without a change.
        self.build(key, ("function.ts", code), &|_| ()).await.map_err(unstartable)
    }

    /// What has to be there before code of this shape is loaded: for sources, the module that runs them.
    pub(crate) async fn before(self: &Arc<Self>, key: Key, tell: Tell<'_>) -> Result<(), PrepareError> {
        if key.shape == Shape::JavaScript {
            self.runtime(tell).await?;
        }
        Ok(())
    }

    /// Loads what was compiled before; `None` when there is nothing that can be used.
    pub(crate) async fn from_disk(self: &Arc<Self>, key: Key) -> Result<Option<Loaded>, PrepareError> {
        let this = Arc::clone(self);
        let work = move || {
            let name = this.name(&key.digest, key.shape);
            let path = this.cache.find(&name)?;
            match this.open(key, &path) {
                Ok(loaded) => Some(loaded),
                Err(error) => {
                    tracing::warn!(%error, name, "compiled code cannot be loaded; it is built again");
                    this.cache.forget(&name);
                    None
                }
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(unavailable)
    }

    /// Compiles code and loads it.
    pub(crate) async fn build(
        self: &Arc<Self>,
        key: Key,
        (name, code): (&str, Bytes),
        tell: Tell<'_>,
    ) -> Result<Loaded, PrepareError> {
        let kind = match key.shape {
            Shape::Component | Shape::Http => Kind::Component,
            Shape::Command => Kind::Module,
            Shape::JavaScript => {
                self.runtime(tell).await?;
                let name = self.name(&runtime_digest()?, Shape::Command);
                let path =
                    self.cache.find(&name).ok_or_else(|| unavailable("the JavaScript runtime is gone"))?;
                Kind::JavaScript(path)
            }
            Shape::Binary => {
                return Err(PrepareError::Rejected(
                    "executables need `compute.driver: firecracker`".to_owned(),
                ));
            }
        };
        let compiled = self.compiler.compile(kind, (name, code), tell).await?;
        let this = Arc::clone(self);
        let work = move || {
            let name = this.name(&key.digest, key.shape);
            if let Some(serves) = &compiled.serves {
                let serves = serde_json::to_vec(serves).map_err(unavailable)?;
                this.cache.keep(&beside(&name), &serves).map_err(unavailable)?;
            }
            let path = this.cache.keep(&name, &compiled.code).map_err(unavailable)?;
            this.open(key, &path).map_err(|error| PrepareError::Rejected(import_of(&error)))
        };
        tokio::task::spawn_blocking(work).await.map_err(unavailable)?
    }

    /// What a source said that it serves, when it was built; the component round it exports everything.
    pub(crate) fn said(&self, key: Key) -> Option<Vec<Serves>> {
        let bytes = self.cache.read(&beside(&self.name(&key.digest, key.shape)))?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Removes compiled code that is not `alive` any more.
    pub(crate) fn retain(&self, alive: &(dyn Fn(&Digest) -> bool + Send + Sync)) {
        let runtime = runtime_digest().ok();
        let kept = self.cache.retain(&|digest| alive(digest) || runtime == Some(*digest));
        if let Err(error) = kept {
            tracing::warn!(%error, "old compiled code cannot be removed");
        }
    }

    fn name(&self, digest: &Digest, shape: Shape) -> String {
        // How code becomes what is compiled is part of what it is called: another way, another file.
        let way = match shape {
            Shape::JavaScript => runtime_digest().map(|digest| digest.hex()).unwrap_or_default(),
            _ => String::new(),
        };
        format!("{}-{}{}", digest.hex(), self.tag, way.get(..16).unwrap_or_default())
    }

    /// The module that runs JavaScript: ours, one for all functions.
    async fn runtime(self: &Arc<Self>, tell: Tell<'_>) -> Result<&Module, PrepareError> {
        self.runtime.get_or_try_init(|| self.make_runtime(tell)).await
    }

    async fn make_runtime(self: &Arc<Self>, tell: Tell<'_>) -> Result<Module, PrepareError> {
        let name = self.name(&runtime_digest()?, Shape::Command);
        let path = if let Some(path) = self.cache.find(&name) {
            path
        } else {
            let code = Bytes::from_static(javascript::code()?);
            let compiled = self.compiler.compile(Kind::Module, (RUNTIME, code), tell).await?;
            self.cache.keep(&name, &compiled.code).map_err(unavailable)?
        };
        self.module(&path).map_err(|error| unavailable(error.to_string()))
    }

    /// Loads compiled code.
    fn open(&self, key: Key, path: &Path) -> wasmtime::Result<Loaded> {
        match key.shape {
            Shape::Component | Shape::JavaScript => {
                Ok(Loaded::Own(own::Program::new(self.ready(key, path)?)?))
            }
            Shape::Http => Ok(Loaded::Http(http::Program::new(self.ready(key, path)?)?)),
            Shape::Command | Shape::Binary => {
                let linker = self.commands()?;
                Ok(Loaded::Command(command::Program::new(&linker, &self.module(path)?)?))
            }
        }
    }

    fn ready(&self, key: Key, path: &Path) -> wasmtime::Result<InstancePre<Guest>> {
        self.linker(key)?.instantiate_pre(&self.component(path)?)
    }

    #[expect(
        unsafe_code,
        reason = "machine code that this server wrote, and whose authentication was just verified"
    )]
    fn component(&self, path: &Path) -> wasmtime::Result<Component> {
        unsafe { Component::deserialize_file(&self.engine, path) }
    }

    #[expect(
        unsafe_code,
        reason = "machine code that this server wrote, and whose authentication was just verified"
    )]
    fn module(&self, path: &Path) -> wasmtime::Result<Module> {
        unsafe { Module::deserialize_file(&self.engine, path) }
    }

    fn linker(&self, key: Key) -> wasmtime::Result<Arc<Linker<Guest>>> {
        let script = key.shape == Shape::JavaScript;
        if let Some(linker) = self.linkers.lock().get(&(key.terms, script)) {
            return Ok(Arc::clone(linker));
        }
        let mut linker = linker::build(&self.engine, key.terms)?;
        if script && let Some(runtime) = self.runtime.get() {
            linker.root().module(javascript::IMPORT, runtime)?;
        }
        let linker = Arc::new(linker);
        self.linkers.lock().insert((key.terms, script), Arc::clone(&linker));
        Ok(linker)
    }

    fn commands(&self) -> wasmtime::Result<Arc<wasmtime::Linker<Guest>>> {
        if let Some(linker) = self.commands.get() {
            return Ok(Arc::clone(linker));
        }
        let linker = Arc::new(command::linker(&self.engine)?);
        Ok(Arc::clone(self.commands.get_or_init(|| linker)))
    }
}

/// Of the module that runs JavaScript.
fn runtime_digest() -> Result<Digest, PrepareError> {
    static DIGEST: OnceLock<Digest> = OnceLock::new();
    if let Some(digest) = DIGEST.get() {
        return Ok(*digest);
    }
    Ok(*DIGEST.get_or_init({
        let code = javascript::code()?;
        move || Digest::of(code)
    }))
}

/// Where it is kept what a source serves.
fn beside(name: &str) -> String {
    format!("{name}-serves")
}

fn because(error: &PrepareError) -> String {
    match error {
        PrepareError::Unavailable(cause) => format!("its code cannot be built now: {cause}"),
        other => other.to_string(),
    }
}

fn import_of(error: &wasmtime::Error) -> String {
    format!("the code does not fit what is here: {error:#}")
}

fn unavailable(error: impl Into<flagbase_core::catalog::BoxError>) -> PrepareError {
    PrepareError::Unavailable(error.into())
}
