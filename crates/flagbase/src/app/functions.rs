//! Functions: what runs them, where their code and secrets are kept, and what they reach.

use std::path::PathBuf;
use std::sync::Arc;

use flagbase_core::buckets::{Buckets, BucketsParts, Signer, Upkeep};
use flagbase_core::events::Messages;
use flagbase_core::functions::triggers::Triggers;
use flagbase_core::functions::vault::{Keyring, Secrets};
use flagbase_core::functions::{
    Compute, Functions, FunctionsParts, Host, HostParts, Logs, Runner, RunnerParts,
};
use flagbase_core::gateway::AddressPolicy;
use flagbase_core::metrics::Recorder;
use flagbase_core::relay::{Relay, Sinks};
use flagbase_core::tasks::Tasks;
use flagbase_functions::{Driver, FirecrackerOptions, WasmOptions};

use super::parts::Base;
use super::storage;
use crate::config::{self, Config};
use crate::exit::{Exit, Failure, Outcome};
use crate::{place, signing};

/// The hidden command that compiles; see `flagbase_functions::compile_child`.
pub(crate) const COMPILE: &str = "compile-function";

/// Everything about functions.
pub(super) struct Parts {
    pub(super) functions: Arc<Functions>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) runner: Arc<Runner>,
    pub(super) triggers: Arc<Triggers>,
    pub(super) buckets: Arc<Buckets>,
}

/// Puts together what runs functions. No engine starts before there is a function to build or to run.
///
/// # Errors
/// The driver is not built in or not usable, the key of secrets cannot be read, or there is no place for code.
pub(super) async fn assemble(
    config: &Config,
    base: &Base,
    (recorder, messages): (&Arc<Recorder>, Option<Arc<dyn Messages>>),
    tasks: &Tasks,
) -> Outcome<Parts> {
    let blobs = storage::blobs(config, tasks)?;
    let secrets = Secrets::new(Arc::clone(&base.feed), Arc::clone(&base.vault), keyring(config, base)?);
    let secrets = Arc::new(secrets);
    let buckets = Arc::new(Buckets::new(BucketsParts {
        feed: Arc::clone(&base.feed),
        index: Arc::clone(&base.objects),
        uploads: Arc::clone(&base.uploads),
        blobs: Arc::clone(&blobs),
        signer: Signer::of(&signing::secret(config, base.random.as_ref())?),
    }));
    let logs = Arc::new(Logs::new(Arc::clone(&base.clock)));
    let host = Host::new(HostParts {
        snapshots: Arc::clone(base.feed.snapshots()),
        recorder: Arc::clone(recorder),
        logs: Arc::clone(&logs),
        blobs: Arc::clone(&blobs),
        keyvalue: Arc::clone(&base.keyvalue),
        objects: Arc::clone(buckets.objects()) as _,
        secrets: Arc::clone(&secrets) as _,
        messages: messages.clone(),
        outbound: AddressPolicy {
            loopback: config.functions.allow_loopback_outbound,
            private: config.functions.allow_private_outbound,
        },
        clock: Arc::clone(&base.clock),
    });
    let runner = Arc::new(Runner::new(RunnerParts {
        compute: compute(config, base, Arc::new(host), tasks).await?,
        logs,
        meters: Arc::clone(&base.meters),
        ledger: Arc::clone(&base.ledger),
        clock: Arc::clone(&base.clock),
        random: Arc::clone(&base.random),
    }));
    let functions = Arc::new(Functions::new(FunctionsParts {
        feed: Arc::clone(&base.feed),
        blobs,
        runner: Arc::clone(&runner),
        most_code: config.functions.max_code,
    }));
    let occasions = Arc::clone(&base.occasions);
    let triggers = Triggers::new(Arc::clone(&base.feed), occasions, Arc::clone(&runner), messages);
    Ok(Parts { functions, secrets, runner, triggers, buckets })
}

impl Parts {
    /// Starts what runs without being asked.
    pub(super) fn start(&self, base: &Base, sinks: &Sinks, tasks: &Tasks) {
        self.runner.start(tasks);
        self.functions.start(tasks);
        let upkeep = Upkeep::new(Arc::clone(self.buckets.objects()), Arc::clone(&base.meters));
        Arc::new(upkeep).start(tasks);
        let bus = ("functions", Arc::new(self.triggers.sink()) as _);
        let (feed, ledger) = (Arc::clone(&base.feed), Arc::clone(&base.ledger));
        // Nothing can have been meant for a function before there were functions.
        sinks.start(Relay::new(feed, ledger, bus, Arc::clone(&base.meters)).from_now(), tasks);
        self.triggers.start(tasks);
    }
}

async fn compute(config: &Config, base: &Base, host: Arc<Host>, tasks: &Tasks) -> Outcome<Arc<dyn Compute>> {
    let given = flagbase_functions::Base {
        host,
        tasks: tasks.clone(),
        clock: Arc::clone(&base.clock),
        random: Arc::clone(&base.random),
    };
    flagbase_functions::open(driver(config), given).await.map_err(|error| {
        let failure = Failure::new(Exit::Configuration, error.to_string());
        match std::error::Error::source(&error) {
            Some(source) => failure.details(vec![source.to_string()]),
            None => failure,
        }
    })
}

/// What runs functions, as it is configured.
pub(crate) fn driver(config: &Config) -> Driver {
    let functions = &config.functions;
    match config.compute.driver {
        config::Driver::None => Driver::None,
        config::Driver::Wasm => Driver::Wasm(WasmOptions {
            cache: cache(config),
            loaded: functions.loaded,
            instances: functions.instances,
            most_code: functions.max_code,
            compile_timeout: functions.compile_timeout,
            compile_memory: functions.compile_memory,
            compile_command: COMPILE,
        }),
        config::Driver::Firecracker => {
            let machine = &config.compute.firecracker;
            Driver::Firecracker(Box::new(FirecrackerOptions {
                binary: machine.binary.clone(),
                jailer: machine.jailer.clone(),
                kernel: machine.kernel.clone(),
                rootfs: machine.rootfs.clone(),
                kernel_args: machine.kernel_args.clone(),
                chroot_base: machine.chroot_base.clone(),
                state: config.server.data_dir.join("microvms"),
                uid: machine.uid,
                gid: machine.gid,
                pool: machine.pool,
                memory: machine.memory,
                vcpus: machine.vcpus,
                machines: usize::try_from(functions.instances).unwrap_or(usize::MAX),
                most_code: functions.max_code,
            }))
        }
    }
}

/// Where compiled code is kept.
pub(crate) fn cache(config: &Config) -> PathBuf {
    let configured = &config.functions.cache_path;
    if configured.as_os_str().is_empty() {
        // Children that compile do not run where the server does.
        return place::absolute(&config.server.data_dir.join("cache/functions"));
    }
    place::absolute(configured)
}

/// Where a generated key is kept.
pub(crate) fn key_path(config: &Config) -> PathBuf {
    config.server.data_dir.join("functions.key")
}

/// The keys that seal secrets: configured, or made once and kept.
pub(super) fn keyring(config: &Config, base: &Base) -> Outcome<Keyring> {
    let configured = config.functions.secrets_key.reveal();
    let text = if configured.is_empty() {
        let lost =
            "put it back from a copy; without it the secrets of functions are lost, and have to be set again";
        signing::kept(&key_path(config), lost, || Keyring::generate(base.random.as_ref()))?
    } else {
        configured.to_owned()
    };
    Keyring::of(&text).map_err(|error| {
        Failure::new(Exit::Configuration, error.to_string()).hint("check `functions.secrets_key`")
    })
}
