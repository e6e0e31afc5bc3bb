//! Components that export `wasi:http/incoming-handler`.

use flagbase_core::functions::{Body, Fault};
use wasmtime::{
    Store,
    component::{InstancePre, Linker},
};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::{guest::Guest, linker::Terms};

/// Adds `wasi:http/types` for everybody, and `wasi:http/outgoing-handler` where requests to the outside are granted.
pub(crate) fn link(linker: &mut Linker<Guest>, terms: Terms) -> wasmtime::Result<()> {
    let _ = (linker, terms);
    Ok(())
}

/// A component ready to answer.
pub(crate) struct Program {
    pre: ProxyPre<Guest>,
}

impl Program {
    /// From a component whose imports are all there.
    pub(crate) fn new(pre: InstancePre<Guest>) -> wasmtime::Result<Self> {
        Ok(Self { pre: ProxyPre::new(pre)? })
    }

    /// Answers one request in a fresh instance. The store goes with the answer's body when that comes in parts.
    pub(crate) async fn serve(
        &self,
        store: Store<Guest>,
        request: ::http::Request<Body>,
    ) -> Result<::http::Response<Body>, Fault> {
        let _ = (&self.pre, store, request);
        std::future::ready(Err(Fault::Unstartable("components of `wasi:http` are not served yet".to_owned())))
            .await
    }
}
