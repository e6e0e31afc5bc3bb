//! The drafts `wasi:keyvalue`, `wasi:config`, `wasi:blobstore`, `wasi:messaging` and `wasi:logging`: thin shims over
//! the same services as our own interfaces.
//!
//! Drafts change under names that stay; each is served in the versions that published guests use.

mod blobstore;
mod config;
mod keyvalue;
mod keyvalue2;
mod logging;
mod messaging;
mod stores;

use wasmtime::component::Linker;

use super::{guest::Guest, linker::Terms};

/// Adds the drafts of what is granted.
pub(crate) fn link(linker: &mut Linker<Guest>, terms: Terms) -> wasmtime::Result<()> {
    config::link(linker)?;
    logging::link(linker)?;
    if terms.keyvalue {
        keyvalue::link(linker)?;
        keyvalue2::link(linker)?;
    }
    if terms.buckets {
        blobstore::link(linker)?;
    }
    if terms.publish {
        messaging::link(linker)?;
    }
    Ok(())
}
