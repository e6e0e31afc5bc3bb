//! `wasi:logging`: lines of the function's log.

use flagbase_core::functions::Stream;
use wasmtime::{StoreContextMut, component::Linker};

use crate::wasm::guest::Guest;

mod bindings {
    wasmtime::component::bindgen!({ path: "wit/deps/logging.wit", world: "wasi:logging/imports" });
}

use bindings::wasi::logging::logging::Level;

/// The draft with its version, and as it was before it had one.
const NAMES: [&str; 2] = ["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"];

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for name in NAMES {
        linker.instance(name)?.func_wrap(
            "log",
            |store: StoreContextMut<'_, Guest>, (level, context, message): (Level, String, String)| {
                let fields =
                    if context.is_empty() { Vec::new() } else { vec![("context".to_owned(), context)] };
                store.data().call.log(level.into(), Stream::Log, &message, fields);
                Ok(())
            },
        )?;
    }
    Ok(())
}

impl From<Level> for flagbase_core::functions::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error | Level::Critical => Self::Error,
        }
    }
}
