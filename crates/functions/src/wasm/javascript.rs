//! JavaScript and TypeScript: from source to a component that exports our own interfaces.
//!
//! The guest is `QuickJS` (`guests/javascript`). All functions share its compiled code. At deploy it loads the source, and
//! what its memory holds then becomes the memory that each request begins with: nothing is parsed for a request. The
//! component of a function is that memory and a [frame](frame) that imports the code.

mod erase;
mod excerpt;
mod frame;
mod parts;
mod snapshot;
mod source;

use std::{sync::OnceLock, time::Duration};

use flagbase_core::functions::{PrepareError, Serves};
use wasmtime::{Engine, Module};

use frame::Frame;
use parts::Parts;

/// The name under which components of functions import the guest's code.
pub(crate) const IMPORT: &str = "javascript";

/// The guest: a core module, made by `cargo xtask guests javascript`.
const GUEST: &[u8] = include_bytes!("../../guests/built/javascript.wasm");

/// What a source became.
#[derive(Debug)]
pub(crate) struct Built {
    /// A component that imports the core module [`IMPORT`].
    pub(crate) component: Vec<u8>,
    /// What the module exports handlers for.
    pub(crate) serves: Vec<Serves>,
    /// What it wrote with `console` while it was loaded.
    pub(crate) lines: Vec<String>,
}

/// The code that all functions share: a core module, to be compiled once per engine and given to the linker of
/// functions in JavaScript as [`IMPORT`].
pub(crate) fn code() -> Result<&'static [u8], PrepareError> {
    guest().map(|guest| guest.parts.code.as_slice())
}

/// Whether a file of this name is a source that can be built.
pub(crate) fn is_source(name: &str) -> bool {
    source::Language::of(name).is_some()
}

/// Makes a component of a source, with everything at its top level already run. Called in the child process that
/// compiles, which has no network, no environment and bounded time and memory. `module` is [`code`], compiled by
/// `engine`. Whoever raises the engine's epoch says that `patience`, of processor time, is at its end.
///
/// # Errors
/// When the source cannot be read, or its top level fails or does not end; says where.
pub(crate) fn build(
    engine: &Engine,
    module: &Module,
    (name, source): (&str, &[u8]),
    patience: Duration,
) -> Result<Built, PrepareError> {
    let guest = guest()?;
    // What people see is what they wrote, also where it is not what runs.
    let written = String::from_utf8_lossy(source);
    let shown = |error| excerpt::shown(error, name, &written);
    let source = source::plain(name, source).map_err(shown)?;
    let taken = snapshot::take((engine, module), &guest.parts, (name, &source), patience).map_err(shown)?;
    let memory = parts::memory(taken.pages, &taken.data);
    Ok(Built { component: guest.frame.around(&memory), serves: taken.serves, lines: taken.lines })
}

struct Guest {
    parts: Parts,
    frame: Frame,
}

fn guest() -> Result<&'static Guest, PrepareError> {
    static GUEST_PARTS: OnceLock<Result<Guest, String>> = OnceLock::new();
    let made = GUEST_PARTS.get_or_init(|| {
        let parts = parts::split(GUEST).map_err(|error| error.to_string())?;
        let frame = Frame::new(GUEST, &parts)?;
        Ok(Guest { parts, frame })
    });
    made.as_ref().map_err(|error| PrepareError::Unavailable(error.clone().into()))
}

#[cfg(test)]
mod tests;
