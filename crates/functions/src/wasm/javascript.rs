//! JavaScript and TypeScript: from source to a component that exports our own interfaces.

use flagbase_core::functions::{PrepareError, Step};

/// Changes whenever the same source would become another component; part of the key of the code cache.
pub(crate) const TRANSFORMATION: &str = "none";

/// Whether a file of this name is a source that can be built.
pub(crate) fn is_source(name: &str) -> bool {
    [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"].iter().any(|end| name.ends_with(end))
}

/// Makes a component of a source, with everything at its top level already run. Called in the child process that
/// compiles, which has no network, no environment and bounded time and memory.
pub(crate) fn build(name: &str, source: &str, tell: &mut dyn FnMut(Step)) -> Result<Vec<u8>, PrepareError> {
    let _ = (source, tell);
    Err(PrepareError::Rejected(format!("`{name}` cannot be built yet")))
}
