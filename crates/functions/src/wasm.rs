//! WebAssembly in this process, on Wasmtime: one engine, a pool of instances, code compiled ahead in a child process.

mod call;
mod command;
mod drafts;
mod fault;
mod guest;
mod http;
mod javascript;
mod limits;
mod linker;
mod load;
mod outbound;
mod output;
mod services;

pub use services::{Level, Line, Services, Source};
