//! Starts microVMs: restored from a snapshot, or booted where there is none, or none that works.

use std::{sync::Arc, time::Duration};

use flagbase_core::functions::{Artifact, Digest, Limits, Shape};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    Config,
    home::Home,
    machine::{Machine, MachineError, Parts, Works},
    shelf::{ImageError, Shelf},
};

/// Starts microVMs for any function.
pub(super) struct Forge {
    pub(super) works: Works,
    shelf: Shelf,
    home: Arc<dyn Home>,
    rooms: Arc<Semaphore>,
}

/// Why none could be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error("its code is not stored any more; deploy it again")]
    NoCode,
    #[error("its code cannot be read: {0}")]
    Code(String),
    #[error("there is no room for another microVM")]
    NoRoom,
}

/// What is wanted: which code, with how much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    pub(super) memory_mib: u64,
}

impl Wanted {
    /// The memory of a function's limit, or what every microVM has.
    pub(super) fn new(digest: Digest, limits: &Limits, config: &Config) -> Self {
        Self { digest, memory_mib: limits.memory.max(config.memory).div_ceil(1 << 20) }
    }
}

impl Forge {
    pub(super) fn new(works: Works, shelf: Shelf, home: Arc<dyn Home>) -> Self {
        let rooms = Arc::new(Semaphore::new(works.config.machines));
        Self { works, shelf, home, rooms }
    }

    /// Room for one microVM, when there is some now.
    pub(super) fn try_room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.rooms).try_acquire_owned().ok()
    }

    /// Room for one microVM, as soon as another one is gone.
    pub(super) async fn room(&self) -> Result<OwnedSemaphorePermit, StartError> {
        self.room_within(self.works.config.api_timeout).await
    }

    /// The same for whoever waits at most `limit`.
    pub(super) async fn room_within(&self, limit: Duration) -> Result<OwnedSemaphorePermit, StartError> {
        let room = tokio::time::timeout(limit, Arc::clone(&self.rooms).acquire_owned());
        room.await.ok().and_then(Result::ok).ok_or(StartError::NoRoom)
    }

    /// Makes the drive for `artifact`.
    pub(super) async fn build(&self, artifact: &Artifact) -> Result<Shape, ImageError> {
        let _turn = self.shelf.turn(artifact.digest).await;
        self.shelf.drive(artifact).await
    }

    /// Starts a microVM that waits for its identity.
    pub(super) async fn start(
        self: &Arc<Self>,
        wanted: Wanted,
        room: OwnedSemaphorePermit,
    ) -> Result<Machine, StartError> {
        let parts = self.parts(wanted).await?;
        let Some(snapshot) = self.shelf.snapshot(&wanted.digest, wanted.memory_mib) else {
            drop(room);
            self.ready(wanted).await?;
            return self.start_ready(wanted, &parts).await;
        };
        match self.works.restore(&parts, &snapshot, room).await {
            Ok(machine) => Ok(machine),
            Err(error) => {
                self.failed(wanted, &error);
                Ok(self.works.boot(&parts, self.room().await?).await?)
            }
        }
    }

    /// Sees to it that there is a snapshot. Goes on when whoever asked gives up, so that the next one finds it.
    pub(super) async fn ready(self: &Arc<Self>, wanted: Wanted) -> Result<(), StartError> {
        let (done, hears) = oneshot::channel();
        let forge = Arc::clone(self);
        self.works.tasks.spawn("snapshot of a microVM", async move {
            // Nobody may be waiting any more.
            let _ = done.send(forge.make_snapshot(wanted).await);
        });
        hears.await.unwrap_or(Err(StartError::NoRoom))
    }

    /// Forgets what is not `alive`.
    pub(super) fn retain(&self, alive: &dyn Fn(&Digest) -> bool) -> std::io::Result<()> {
        self.shelf.retain(alive)
    }

    async fn start_ready(&self, wanted: Wanted, parts: &Parts) -> Result<Machine, StartError> {
        if let Some(snapshot) = self.shelf.snapshot(&wanted.digest, wanted.memory_mib) {
            match self.works.restore(parts, &snapshot, self.room().await?).await {
                Ok(machine) => return Ok(machine),
                Err(error) => self.failed(wanted, &error),
            }
        }
        Ok(self.works.boot(parts, self.room().await?).await?)
    }

    /// Boots one, and takes its snapshot before it has an identity or a secret. Where snapshots do not work, microVMs
    /// are booted each time.
    async fn make_snapshot(&self, wanted: Wanted) -> Result<(), StartError> {
        let parts = self.parts(wanted).await?;
        let _turn = self.shelf.turn(wanted.digest).await;
        if self.shelf.snapshot(&wanted.digest, wanted.memory_mib).is_some() {
            return Ok(());
        }
        let machine = self.works.boot(&parts, self.room().await?).await?;
        let directory = self.shelf.begin(&wanted.digest, wanted.memory_mib).map_err(MachineError::from)?;
        let taken = machine
            .into_snapshot(&directory)
            .await
            .and_then(|_| Ok(self.shelf.finish(&directory, &wanted.digest, wanted.memory_mib)?));
        if let Err(error) = taken {
            tracing::warn!(digest = %wanted.digest, %error, "a snapshot cannot be taken; microVMs will boot, which takes longer");
        }
        Ok(())
    }

    async fn parts(&self, wanted: Wanted) -> Result<Parts, StartError> {
        if let Some(parts) = self.shelf.parts(&wanted.digest, wanted.memory_mib) {
            return Ok(parts);
        }
        let _turn = self.shelf.turn(wanted.digest).await;
        if self.shelf.parts(&wanted.digest, wanted.memory_mib).is_none() {
            let bytes = self.home.code(&wanted.digest).await.map_err(StartError::Code)?;
            let artifact = Artifact::new("", bytes.ok_or(StartError::NoCode)?);
            self.shelf.drive(&artifact).await?;
        }
        self.shelf.parts(&wanted.digest, wanted.memory_mib).ok_or(StartError::NoCode)
    }

    /// A snapshot that cannot be restored is thrown away: the next call makes another one.
    fn failed(&self, wanted: Wanted, error: &MachineError) {
        self.works.figures.restore_failed();
        tracing::warn!(digest = %wanted.digest, error = %chain(error), "a microVM cannot be restored; it is booted instead");
        if let Err(error) = self.shelf.discard(&wanted.digest, wanted.memory_mib) {
            tracing::warn!(digest = %wanted.digest, %error, "a snapshot cannot be removed");
        }
    }
}

/// An error with everything behind it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
