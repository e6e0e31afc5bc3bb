//! WASI preview 1 commands, as CGI (RFC 3875).

use flagbase_core::functions::{Body, Fault};
use wasmtime::{Engine, InstancePre, Linker, Module, Store};

use super::guest::Guest;

/// A linker with `wasi_snapshot_preview1` over [`Guest::command`].
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    Ok(Linker::new(engine))
}

/// A command ready to run.
pub(crate) struct Program {
    pre: InstancePre<Guest>,
}

impl Program {
    /// From a module whose imports are all there.
    pub(crate) fn new(linker: &Linker<Guest>, module: &Module) -> wasmtime::Result<Self> {
        Ok(Self { pre: linker.instantiate_pre(module)? })
    }

    /// Answers one request in a fresh instance.
    pub(crate) async fn serve(
        &self,
        store: Store<Guest>,
        request: ::http::Request<Body>,
    ) -> Result<::http::Response<Body>, Fault> {
        let _ = (&self.pre, store, request);
        std::future::ready(Err(Fault::Unstartable("commands are not served yet".to_owned()))).await
    }
}
