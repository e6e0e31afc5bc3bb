//! What guests can import: what their function is granted, and nothing else.

use flagbase_core::functions::Grants;
use wasmtime::{Engine, component::Linker};

use super::{drafts, guest::Guest, http, own};

/// The interfaces that are granted; each set has a linker of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "a set of six, named")]
pub(crate) struct Terms {
    /// Evaluating flags.
    pub(crate) flags: bool,
    /// Key-value stores.
    pub(crate) keyvalue: bool,
    /// Buckets.
    pub(crate) buckets: bool,
    /// Publishing on the bus.
    pub(crate) publish: bool,
    /// Requests to the outside.
    pub(crate) outbound: bool,
    /// Secrets.
    pub(crate) secrets: bool,
}

impl Terms {
    /// Everything.
    pub(crate) const ALL: Self =
        Self { flags: true, keyvalue: true, buckets: true, publish: true, outbound: true, secrets: true };
}

impl From<&Grants> for Terms {
    fn from(grants: &Grants) -> Self {
        Self {
            flags: grants.flags,
            keyvalue: !grants.keyvalue.is_empty(),
            buckets: !grants.buckets.is_empty(),
            publish: !grants.publish.is_empty(),
            outbound: !grants.outbound.is_empty(),
            secrets: grants.secrets,
        }
    }
}

/// A linker with what is granted by `terms`.
pub(crate) fn build(engine: &Engine, terms: Terms) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    // All of WASI 0.2, for every guest: compilers import it whether the source uses it or not. What it opens: clocks that go in
    // steps, random numbers, standard streams into the log, the function's variables. What it does not: there is no
    // directory, making a socket and looking up a name are refused (see `Guest::ctx`, which allows neither).
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    own::link(&mut linker, terms)?;
    http::link(&mut linker, terms)?;
    drafts::link(&mut linker, terms)?;
    Ok(linker)
}
