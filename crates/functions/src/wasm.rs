//! WebAssembly in this process, on Wasmtime: one engine, a pool of instances, code compiled ahead in a child process.

mod call;
mod calls;
mod clocks;
mod command;
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
