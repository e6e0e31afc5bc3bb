//! WebAssembly in this process, on Wasmtime: one engine, a pool of instances, code compiled ahead in a child process.

mod adapter;
mod cache;
mod call;
mod calls;
mod clocks;
mod command;
mod compile;
mod drafts;
mod engine;
mod epochs;
mod fault;
mod guest;
mod http;
mod javascript;
mod limits;
mod linker;
mod load;
mod outbound;
mod output;
mod own;
mod recognise;
mod warm;

pub use adapter::{Wasm, WasmConfig};
pub use compile::{CompileConfig, child_main};
