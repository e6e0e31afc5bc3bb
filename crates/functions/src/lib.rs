//! Runs user code: WebAssembly in this process, or Firecracker microVMs.

#[cfg(feature = "wasm")]
pub mod wasm;
