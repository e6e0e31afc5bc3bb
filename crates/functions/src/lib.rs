//! Runs user code: WebAssembly in this process, or Firecracker microVMs.
