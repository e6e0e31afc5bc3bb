//! Runs user code: WebAssembly in this process, or Firecracker microVMs.
//!
//! Drivers are chosen at compile time by features (`wasm`, `firecracker`) and at run time by `compute.driver`.

mod open;

#[cfg(feature = "wasm")]
pub mod wasm;

#[cfg(feature = "firecracker")]
pub mod firecracker;

use std::{process::ExitCode, sync::Arc};

use flagbase_core::functions::Compute;

pub use open::{Base, Checked, Driver, FirecrackerOptions, OpenError, Verdict, WasmOptions};

/// Opens what runs functions.
///
/// # Errors
/// The driver is not built in, or cannot be used here.
pub async fn open(driver: Driver, base: Base) -> Result<Arc<dyn Compute>, OpenError> {
    match driver {
        Driver::Wasm(options) => in_process(options, base),
        Driver::Firecracker(options) => micro_vms(*options, base).await,
        Driver::None => Ok(Arc::new(open::Off)),
    }
}

#[cfg(feature = "wasm")]
fn in_process(options: WasmOptions, base: Base) -> Result<Arc<dyn Compute>, OpenError> {
    let config = wasm::WasmConfig {
        cache: options.cache,
        loaded: options.loaded,
        instances: options.instances,
        most_code: options.most_code,
        compile: wasm::CompileConfig {
            program: None,
            arguments: vec![options.compile_command.into()],
            timeout: options.compile_timeout,
            memory: options.compile_memory,
        },
    };
    let opened = wasm::Wasm::new(config, base.host, base.tasks, base.random);
    let opened = opened.map_err(|source| OpenError::Unusable { driver: "wasm", source })?;
    Ok(Arc::new(opened))
}

#[cfg(not(feature = "wasm"))]
fn in_process(_: WasmOptions, _: Base) -> Result<Arc<dyn Compute>, OpenError> {
    Err(OpenError::NotBuiltIn { driver: "wasm" })
}

#[cfg(feature = "firecracker")]
async fn micro_vms(options: FirecrackerOptions, base: Base) -> Result<Arc<dyn Compute>, OpenError> {
    let home = Arc::new(firecracker::Product { host: base.host, most_code: options.most_code });
    let sources = (base.clock, base.random);
    let opened =
        firecracker::Firecracker::open(options.into(), home, sources, firecracker::image::build).await;
    let unusable = |source| OpenError::Unusable { driver: "firecracker", source: Box::new(source) };
    Ok(Arc::new(opened.map_err(unusable)?))
}

#[cfg(feature = "firecracker")]
impl From<FirecrackerOptions> for firecracker::Config {
    fn from(options: FirecrackerOptions) -> Self {
        Self {
            binary: options.binary,
            jailer: Some(options.jailer).filter(|path| !path.as_os_str().is_empty()),
            kernel: options.kernel,
            rootfs: options.rootfs,
            boot_args: firecracker::Config::boot_args_with(&options.kernel_args),
            chroot_base: options.chroot_base,
            state: options.state,
            uid: options.uid,
            gid: options.gid,
            pool: options.pool,
            memory: options.memory,
            vcpus: options.vcpus,
            machines: options.machines,
            ..Self::default()
        }
    }
}

/// Looks at everything that microVMs need on this machine.
#[cfg(feature = "firecracker")]
pub async fn check_microvms(options: FirecrackerOptions) -> Vec<Checked> {
    firecracker::checks::all(&options.into()).await
}

/// Says that this program has no microVMs.
#[cfg(not(feature = "firecracker"))]
#[expect(clippy::unused_async, reason = "looking at programs waits for them")]
pub async fn check_microvms(_: FirecrackerOptions) -> Vec<Checked> {
    let detail = OpenError::NotBuiltIn { driver: "firecracker" }.to_string();
    vec![Checked { check: "firecracker", verdict: Verdict::Bad, detail }]
}

#[cfg(not(feature = "firecracker"))]
#[expect(clippy::unused_async, reason = "opening them waits for their programs")]
async fn micro_vms(_: FirecrackerOptions, _: Base) -> Result<Arc<dyn Compute>, OpenError> {
    Err(OpenError::NotBuiltIn { driver: "firecracker" })
}

/// Compiles what comes on standard input, as a child process of [`Driver::Wasm`]; `arguments` are those of the process.
#[cfg(feature = "wasm")]
pub fn compile_child(arguments: &[String]) -> ExitCode {
    wasm::child_main(arguments)
}

/// Compiles nothing, because this program was built without what would.
#[cfg(not(feature = "wasm"))]
pub fn compile_child(_: &[String]) -> ExitCode {
    ExitCode::FAILURE
}
