//! Components that export `wasi:http/incoming-handler`.

mod ask;
mod relay;

use std::sync::Arc;

use flagbase_core::functions::{Body, Fault};
use tokio::sync::oneshot;
use wasmtime::{
    Store,
    component::{InstancePre, Linker},
};
use wasmtime_wasi_http::{
    WasiHttp, WasiHttpView as _,
    p2::{
        bindings::{LinkOptions, ProxyPre, http as interfaces, http::types::Scheme},
        body::HyperOutgoingBody,
    },
};

use self::{ask::Ask, relay::Relay};
use super::{calls::Driver, fault, guest::Guest, linker::Terms};

/// What a guest answers with: a response, or a code of `wasi:http`.
type Answer = Result<::http::Response<HyperOutgoingBody>, interfaces::types::ErrorCode>;

/// Adds `wasi:http/types` for everybody, and `wasi:http/outgoing-handler` where requests to the outside are granted.
pub(crate) fn link(linker: &mut Linker<Guest>, terms: Terms) -> wasmtime::Result<()> {
    let options = LinkOptions::default();
    interfaces::types::add_to_linker::<_, WasiHttp>(linker, &options.into(), Guest::http)?;
    if terms.outbound {
        interfaces::outgoing_handler::add_to_linker::<_, WasiHttp>(linker, Guest::http)?;
    }
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
        driver: &Driver,
        store: Store<Guest>,
        request: ::http::Request<Body>,
    ) -> Result<::http::Response<Body>, Fault> {
        let call = Arc::clone(&store.data().call);
        let ask = Ask::new(request, call.limits().request_body)?;
        let broken = ask.broken();
        let (tell, mut answer) = oneshot::channel();
        let mut running = driver.polite(&call, run(self.pre.clone(), store, ask, tell));
        // Both in one task: most guests answer and end without ever waiting.
        let early = tokio::select! {
            biased;
            ended = &mut running => Err(ended.flatten()),
            // Without an answer, how it ends says more.
            Ok(answered) = &mut answer => Ok(answered),
        };
        let (answered, running) = match early {
            Ok(answered) => (Some(answered), Some(running)),
            Err(Ok(())) => (answer.try_recv().ok(), None),
            // When it gave up because the body broke off, that is nobody's fault here.
            Err(Err(why)) => return Err(broken.take().map_or(why, Fault::Body)),
        };
        if let Some(body) = broken.take() {
            return Err(Fault::Body(body));
        }
        match answered {
            Some(Ok(response)) => Relay::new(&call, running).respond(response),
            Some(Err(code)) => Err(Fault::Reported(code.to_string())),
            None => Err(Fault::BadAnswer("it ended without an answer".to_owned())),
        }
    }
}

/// Runs a guest to its end; its answer comes over `tell` as soon as there is one.
async fn run(
    pre: ProxyPre<Guest>,
    mut store: Store<Guest>,
    ask: Ask,
    tell: oneshot::Sender<Answer>,
) -> Result<(), Fault> {
    let outcome = handle(&pre, &mut store, ask, tell).await;
    outcome.map_err(|error| fault::of(&error, &store))
}

async fn handle(
    pre: &ProxyPre<Guest>,
    store: &mut Store<Guest>,
    ask: Ask,
    tell: oneshot::Sender<Answer>,
) -> wasmtime::Result<()> {
    let proxy = pre.instantiate_async(&mut *store).await?;
    let scheme = if ask.is_secure() { Scheme::Https } else { Scheme::Http };
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(scheme, ask.into_request())?;
    let out = view.new_response_outparam(tell)?;
    proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await
}
