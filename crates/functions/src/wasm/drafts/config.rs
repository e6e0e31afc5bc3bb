//! `wasi:config`: the function's variables.

use wasmtime::{StoreContextMut, component::Linker};

use crate::wasm::guest::Guest;

mod bindings {
    wasmtime::component::bindgen!({ path: "wit/deps/config.wit", world: "wasi:config/imports" });
}

use bindings::wasi::config::store::Error;

/// The same two functions under every name they had: the candidate's, Spin's, and two of wasmCloud's.
const NAMES: [&str; 4] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/store@0.2.0-draft",
    "wasi:config/runtime@0.2.0-draft",
];

type All = Vec<(String, String)>;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for name in NAMES {
        let mut instance = linker.instance(name)?;
        instance.func_wrap("get", |store: StoreContextMut<'_, Guest>, (key,): (String,)| {
            let found = store.data().call.visit.deployed.settings.variables.get(&key).cloned();
            Ok((Ok::<Option<String>, Error>(found),))
        })?;
        instance.func_wrap("get-all", |store: StoreContextMut<'_, Guest>, (): ()| {
            let variables = &store.data().call.visit.deployed.settings.variables;
            let all = variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            Ok((Ok::<All, Error>(all),))
        })?;
    }
    Ok(())
}
