//! An adapter with everything round it, and functions deployed to it.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::{
    blobs::Blobs as _,
    caller::Caller,
    functions::{
        Artifact, Body, BodyFault, Compute as _, Deployed, Fault, Grants, Limits, LogsAsked, Occasion,
        PrepareError, Prepared, Settings, Visit,
    },
    gateway::AddressPolicy,
    tasks::Tasks,
};
use flagbase_functions::wasm::{CompileConfig, Wasm, WasmConfig};
use flagbase_testkit::SeededRandom;
use http::{Request, Response};
use tempfile::TempDir;

use crate::reach::Reach;

/// Nothing inside.
pub(crate) const CLOSED: AddressPolicy = AddressPolicy { loopback: false, private: false };
/// Everything but metadata.
pub(crate) const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };

/// An adapter with everything round it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) compute: Arc<Wasm>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) home: Arc<TempDir>,
}

/// A function that was deployed.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) world: World,
    pub(crate) deployed: Arc<Deployed>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Everything that guests here ask for, small limits.
pub(crate) fn settings() -> Settings {
    Settings {
        limits: Limits {
            timeout: Duration::from_secs(20),
            memory: 64 << 20,
            request_body: 2 << 20,
            response_body: 4 << 20,
            ..Limits::default()
        },
        grants: Grants {
            flags: true,
            keyvalue: vec!["default".to_owned()],
            buckets: vec!["pictures".to_owned()],
            publish: vec!["orders.>".to_owned()],
            outbound: vec!["http://127.0.0.1:1".to_owned()],
            secrets: true,
        },
        variables: BTreeMap::from([("GREETING".to_owned(), "hi".to_owned())]),
        warm: false,
    }
}

/// The same with a short time for each call.
pub(crate) fn hasty() -> Settings {
    let mut settings = settings();
    settings.limits.timeout = Duration::from_millis(400);
    settings
}

/// One of the guests of this crate.
pub(crate) fn guest(name: &str) -> Artifact {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/built").join(format!("{name}.wasm"));
    Artifact::new(&format!("{name}.wasm"), std::fs::read(path).unwrap().into())
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(CLOSED, 64, Duration::from_mins(1))
    }

    /// With so many instances, and so long to compile.
    pub(crate) fn with(outbound: AddressPolicy, instances: u32, compile: Duration) -> Self {
        let (reach, home) = (Arc::new(Reach::new(outbound)), Arc::new(TempDir::new().unwrap()));
        let config = WasmConfig {
            cache: home.path().join("cache"),
            loaded: 32,
            instances,
            most_code: 64 << 20,
            compile: CompileConfig {
                program: Some(env!("CARGO_BIN_EXE_compile-function").into()),
                arguments: vec![],
                timeout: compile,
                memory: 1 << 30,
            },
        };
        let random = Arc::new(SeededRandom::new(7));
        let compute = Wasm::new(config, Arc::clone(&reach.host), Tasks::new(), random).unwrap();
        Self { compute: Arc::new(compute), reach, home }
    }

    pub(crate) async fn prepare(
        &self,
        artifact: &Artifact,
        settings: &Settings,
    ) -> Result<Prepared, PrepareError> {
        let name = format!("functions/{}", artifact.digest.hex());
        let bytes = flagbase_testkit::blobs::whole(artifact.bytes.clone());
        self.reach.blobs.put(&name, bytes).await.unwrap();
        self.compute.prepare(artifact, (&settings.grants, &settings.limits), &|_| {}).await
    }

    /// Deploys one of our guests under a name of its own.
    pub(crate) async fn deploy(&self, name: &str, settings: Settings) -> Function {
        self.install(name, &guest(name), settings).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Deploys `artifact` as the function `name`.
    pub(crate) async fn install(
        &self,
        name: &str,
        artifact: &Artifact,
        settings: Settings,
    ) -> Result<Function, PrepareError> {
        let prepared = self.prepare(artifact, &settings).await?;
        let deployed = Arc::new(Deployed {
            environment: "production".into(),
            function: name.into(),
            version: 1,
            digest: artifact.digest,
            shape: prepared.shape,
            settings: Arc::new(settings),
        });
        Ok(Function { world: self.clone(), deployed })
    }
}

impl Function {
    pub(crate) fn visit(&self) -> Visit {
        Visit {
            deployed: Arc::clone(&self.deployed),
            caller: Caller::nobody(),
            id: "call-1".into(),
            trace: None,
            attributes: [].into(),
        }
    }

    pub(crate) async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, Fault> {
        self.world.compute.serve(self.visit(), request).await
    }

    /// What a request is answered, all of it; a body that breaks off is a fault, too.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Result<Answered, Fault> {
        let (parts, body) = self.serve(request).await?.into_parts();
        let body = body.collect(u64::MAX).await.map_err(Fault::Body)?;
        Ok(Answered { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    pub(crate) async fn get(&self, target: &str) -> Result<Answered, Fault> {
        self.ask(Request::get(target).header("host", "example.com").body(Body::Empty).unwrap()).await
    }

    pub(crate) async fn post(&self, target: &str, body: Body) -> Result<Answered, Fault> {
        let request =
            Request::post(target).header("host", "example.com").header("content-type", "text/plain");
        self.ask(request.body(body).unwrap()).await
    }

    pub(crate) async fn deliver(&self, occasion: Occasion) -> Result<(), Fault> {
        self.world.compute.deliver(self.visit(), occasion).await
    }

    /// Lines of its log.
    pub(crate) fn lines(&self) -> Vec<String> {
        let asked = LogsAsked { version: None, call: None, after: None };
        let lines = self.world.reach.logs.read("production", &self.deployed.function, asked, 1000);
        lines.iter().map(|line| line.message.clone()).collect()
    }
}

/// A body in parts.
pub(crate) fn parts(parts: Vec<Result<Bytes, BodyFault>>) -> Body {
    Body::Stream(Box::pin(futures_util::stream::iter(parts)), None)
}
