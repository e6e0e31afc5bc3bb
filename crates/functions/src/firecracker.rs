//! Runs functions in Firecracker microVMs.
//!
//! The code of a version becomes a read-only drive. One microVM is booted with it, and a snapshot is taken *before* it
//! has an identity or a secret. Every microVM that takes calls is restored from that snapshot, and then told who it is
//! over vsock: environment, variables, secrets, a seed for random numbers, the time. A microVM serves one version of
//! one function, one call at a time unless the function is `warm`, and ends after so many calls or so much idle time.
//!
//! ```text
//! Firecracker ─► Pool (per version) ─► Forge ─► Works ─► Machine: jailer ─► firecracker ─► guest
//!                  Lease, Member        │          └ Records: a note per microVM, for after a crash
//!                                       └ Shelf: drives and snapshots on disk
//! ```

mod agent;
pub mod api;
mod call;
pub(crate) mod checks;
mod config;
mod figures;
mod fleet;
mod forge;
mod home;
pub mod image;
mod jail;
mod machine;
mod notes;
mod pool;
mod process;
mod programs;
mod records;
mod shelf;
mod version;
mod wire;

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use flagbase_core::{
    clock::Clock,
    functions::{
        Artifact, Body, Compute, Digest, Fault, Figure, Grants, Limits, Occasion, PrepareError, Prepared,
        Serves, Step, Visit,
    },
    random::Random,
    tasks::Tasks,
};
use tokio::runtime::Handle;

pub use self::{
    config::Config,
    figures::Figures,
    home::{Home, Product},
    records::Swept,
    shelf::{Build, ImageError},
    version::{OLDEST, Version},
    wire::WireError,
};
use self::{
    fleet::Fleet,
    forge::{Forge, StartError, Wanted, chain},
    machine::{MachineError, Works},
    records::Records,
    shelf::Shelf,
};

/// How long microVMs may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(20);

/// Runs functions in microVMs.
pub struct Firecracker {
    forge: Arc<Forge>,
    fleet: Arc<Fleet>,
    tasks: Tasks,
    swept: Swept,
}

/// Why microVMs cannot be used here.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A program is missing, or of a version that is not supported; the sentence says what to do.
    #[error("{0}")]
    Program(String),
    /// A file or directory cannot be used.
    #[error("files of microVMs cannot be used: {0}")]
    Files(#[from] io::Error),
}

impl Firecracker {
    /// Checks the programs, cleans up after a crash, and gets ready. `build` makes drives.
    pub async fn open(
        config: Config,
        home: Arc<dyn Home>,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
        build: Build,
    ) -> Result<Self, OpenError> {
        let config = config.located()?;
        let version = versions(&config).await?;
        if config.jailer.is_none() {
            tracing::warn!(
                "microVMs run without a jailer: nothing but KVM stands between a guest and this machine; \
                 set `compute.firecracker.jailer`"
            );
        }
        let config = Arc::new(config);
        let opened = Arc::clone(&config);
        let open = move || {
            let records = Records::open(opened.state.clone())?;
            let swept = records.sweep()?;
            Ok::<_, io::Error>((records, swept, Shelf::open(&opened, version, build)?))
        };
        let (records, swept, shelf) = tokio::task::spawn_blocking(open).await.map_err(io::Error::other)??;
        if swept != Swept::default() {
            let Swept { orphans, killed, left } = swept;
            tracing::warn!(orphans, killed, left, "cleaned up microVMs that outlived a crash");
        }
        let tasks = Tasks::new();
        let figures = Arc::new(Figures::default());
        let scheduler = Handle::current();
        let works =
            Works { config, version, records, tasks: tasks.clone(), scheduler, clock, random, figures };
        let forge = Arc::new(Forge::new(works, shelf, Arc::clone(&home)));
        let fleet = Arc::new(Fleet::new(Arc::clone(&forge), home));
        tasks.spawn("microVMs", Arc::clone(&fleet).tend());
        Ok(Self { forge, fleet, tasks, swept })
    }

    /// What it did so far.
    pub fn figures(&self) -> &Figures {
        &self.forge.works.figures
    }

    /// What was cleaned up when it was opened.
    pub fn swept(&self) -> Swept {
        self.swept
    }

    async fn within<T>(
        &self,
        limits: &Limits,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        tokio::time::timeout(limits.timeout, work).await.unwrap_or(Err(Fault::TimedOut(limits.timeout)))
    }
}

#[async_trait]
impl Compute for Firecracker {
    fn driver(&self) -> &'static str {
        "firecracker"
    }

    async fn prepare(
        &self,
        artifact: &Artifact,
        (_, limits): (&Grants, &Limits),
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        let step = |doing: &str, percent| tell(Step { doing: doing.to_owned(), percent: Some(percent) });
        step("making the drive", 10);
        let shape = self.forge.build(artifact).await.map_err(|error| match error {
            ImageError::Rejected(sentence) => PrepareError::Rejected(sentence),
            error @ ImageError::Io(_) => PrepareError::Unavailable(Box::new(error)),
        })?;
        step("booting a microVM for its snapshot", 40);
        let wanted = Wanted::new(artifact.digest, limits, &self.forge.works.config);
        self.forge.ready(wanted).await.map_err(|error| match error {
            StartError::Machine(MachineError::NoFunction) => PrepareError::Rejected(chain(&error)),
            error => PrepareError::Unavailable(Box::new(error)),
        })?;
        step("ready", 100);
        let serves = vec![Serves::Requests, Serves::Events, Serves::Schedules];
        Ok(Prepared { shape, serves, imports: Vec::new() })
    }

    async fn serve(&self, visit: Visit, request: http::Request<Body>) -> Result<http::Response<Body>, Fault> {
        let settings = Arc::clone(&visit.deployed.settings);
        let limits = &settings.limits;
        let call = async {
            let (head, body) = request.into_parts();
            // Before a microVM is taken: whoever sends slowly holds up nobody else.
            let body = body.collect(limits.request_body).await?;
            let request = call::of_request(&visit, http::Request::from_parts(head, ()), body)?;
            let lease = self.fleet.lease(&visit).await?;
            call::exchange(lease, request, &visit).await.map(call::to_response)
        };
        self.within(limits, call).await
    }

    async fn deliver(&self, visit: Visit, occasion: Occasion) -> Result<(), Fault> {
        let settings = Arc::clone(&visit.deployed.settings);
        let limits = &settings.limits;
        let call = async {
            let request = call::of_occasion(&visit, occasion)?;
            let lease = self.fleet.lease(&visit).await?;
            call::to_outcome(&call::exchange(lease, request, &visit).await?)
        };
        self.within(limits, call).await
    }

    async fn retain(&self, alive: &(dyn for<'d> Fn(&'d Digest) -> bool + Send + Sync)) {
        self.fleet.retain(alive);
        if let Err(error) = self.forge.retain(alive) {
            tracing::warn!(%error, "drives and snapshots of code that is gone cannot be removed");
        }
    }

    async fn stop(&self) {
        self.fleet.stop();
        if !self.tasks.shutdown(FAREWELL).await {
            tracing::warn!("microVMs did not end in time; what is left is cleaned up at the next start");
        }
    }

    fn figures(&self) -> Vec<Figure> {
        self.forge.works.figures.all()
    }
}

/// The version of Firecracker, when it is one that we know, and the jailer's is the same.
async fn versions(config: &Config) -> Result<Version, OpenError> {
    let version = Version::of(&config.binary).await.map_err(OpenError::Program)?;
    if !version.is_supported() {
        let shown = config.binary.display();
        return Err(OpenError::Program(format!(
            "`{shown}` is version {version}; use {OLDEST} or a later 1.x"
        )));
    }
    if let Some(jailer) = &config.jailer {
        let other = Version::of(jailer).await.map_err(OpenError::Program)?;
        if other != version {
            let shown = jailer.display();
            return Err(OpenError::Program(format!(
                "`{shown}` is version {other}, and firecracker {version}; use both of the same release"
            )));
        }
    }
    Ok(version)
}

#[cfg(test)]
mod tests;
