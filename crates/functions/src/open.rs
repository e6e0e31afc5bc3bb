//! Opening what runs functions, as `compute.driver` names it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use flagbase_core::{
    catalog::BoxError,
    clock::Clock,
    functions::{
        Artifact, Body, Compute, Digest, Fault, Grants, Host, Limits, Occasion, PrepareError, Prepared, Step,
        Visit,
    },
    random::Random,
    tasks::Tasks,
};

/// Which driver, and what it is configured with.
#[derive(Debug, Clone)]
pub enum Driver {
    /// WebAssembly in this process.
    Wasm(WasmOptions),
    /// Firecracker microVMs.
    Firecracker(Box<FirecrackerOptions>),
    /// None: functions are kept, and not run.
    None,
}

/// How WebAssembly runs.
#[derive(Debug, Clone)]
pub struct WasmOptions {
    /// Where compiled code is kept.
    pub cache: PathBuf,
    /// Versions whose code stays loaded.
    pub loaded: usize,
    /// Instances at once.
    pub instances: u32,
    /// The largest code, in bytes.
    pub most_code: u64,
    /// Processor time that compiling may take.
    pub compile_timeout: Duration,
    /// Memory that compiling may take, in bytes.
    pub compile_memory: u64,
    /// The hidden command of this program that calls [`crate::compile_child`].
    pub compile_command: &'static str,
}

/// How microVMs are made.
#[derive(Debug, Clone)]
pub struct FirecrackerOptions {
    /// The `firecracker` executable.
    pub binary: PathBuf,
    /// The `jailer` executable.
    pub jailer: PathBuf,
    /// An uncompressed ELF kernel.
    pub kernel: PathBuf,
    /// The root file system, with the agent.
    pub rootfs: PathBuf,
    /// Arguments for the kernel, beside those that every microVM has.
    pub kernel_args: String,
    /// Below it are the directories of microVMs.
    pub chroot_base: PathBuf,
    /// Notes of running microVMs.
    pub state: PathBuf,
    /// The user that microVMs run as.
    pub uid: u32,
    /// The group that microVMs run as.
    pub gid: u32,
    /// So many wait per version.
    pub pool: usize,
    /// Memory of a microVM, in bytes.
    pub memory: u64,
    /// Processors of a microVM.
    pub vcpus: u8,
    /// How many there may be at once.
    pub machines: usize,
    /// The largest code, in bytes.
    pub most_code: u64,
}

/// What every driver is given.
#[derive(Clone)]
pub struct Base {
    /// What functions reach.
    pub host: Arc<Host>,
    /// Who owns background work.
    pub tasks: Tasks,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// Why functions cannot be run as configured.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// This program was built without the driver.
    #[error(
        "`compute.driver: {driver}` is not part of this program, which was built without it: build it with `--features \
         {driver}`, or choose another driver"
    )]
    NotBuiltIn {
        /// The driver, which is also the name of the feature.
        driver: &'static str,
    },
    /// It is there, and cannot be used.
    #[error("`compute.driver: {driver}` cannot be used here")]
    Unusable {
        /// The driver.
        driver: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// Something that was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was looked at, in a few words.
    pub check: &'static str,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub detail: String,
}

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Good,
    /// It works, and somebody should look at it.
    Doubtful,
    /// It does not work.
    Bad,
}

/// Runs nothing, and says so.
pub(crate) struct Off;

const OFF: &str = "functions are switched off here; set `compute.driver` to run them";

#[async_trait]
impl Compute for Off {
    fn driver(&self) -> &'static str {
        "none"
    }

    async fn prepare(
        &self,
        _: &Artifact,
        _: (&Grants, &Limits),
        _: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        Err(PrepareError::Rejected(OFF.to_owned()))
    }

    async fn serve(&self, _: Visit, _: http::Request<Body>) -> Result<http::Response<Body>, Fault> {
        Err(Fault::Unstartable(OFF.to_owned()))
    }

    async fn deliver(&self, _: Visit, _: Occasion) -> Result<(), Fault> {
        Err(Fault::Unstartable(OFF.to_owned()))
    }

    async fn retain(&self, _: &(dyn for<'d> Fn(&'d Digest) -> bool + Send + Sync)) {}

    async fn stop(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_driver_code_is_refused_with_the_way_out() {
        let artifact = Artifact::new("hello.js", bytes::Bytes::from_static(b"x"));
        let refused = Off.prepare(&artifact, (&Grants::default(), &Limits::default()), &|_| {}).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("`compute.driver`"), "{error}");
        Off.retain(&|_| true).await;
        Off.stop().await;
        assert_eq!(Off.driver(), "none");
    }

    #[test]
    fn a_driver_that_is_not_built_in_is_told_with_the_feature_that_brings_it() {
        let error = OpenError::NotBuiltIn { driver: "firecracker" }.to_string();
        assert!(error.contains("`--features firecracker`"), "{error}");
    }
}
