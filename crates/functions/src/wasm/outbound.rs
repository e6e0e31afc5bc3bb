//! Requests to the outside, in two layers: what is granted by name, then every address that the name resolves to.

use std::sync::Arc;

use ::http::{Request, Response};
use bytes::Bytes;
use wasmtime_wasi_http::{Error, RequestOptions, WasiHttpHooks};

use super::call::Call;

type WasiBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Error>;
type Sent = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The way to the outside of one call; counts its requests.
pub(crate) struct Outbound {
    call: Arc<Call>,
}

/// Why a request to the outside came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The address is not granted, or must not be reached.
    Denied(String),
    /// It took too long.
    TimedOut,
    /// The answer is too large.
    TooLarge,
    /// Anything else.
    Failed(String),
}

impl Outbound {
    /// For one call.
    pub(crate) fn new(call: &Arc<Call>) -> Self {
        Self { call: Arc::clone(call) }
    }

    /// Sends a request with all its bytes and waits for the whole answer, which is bounded by the function's limit of
    /// responses. `timeout_ms` 0: as long as the call may take. Does not borrow, so that the guest's data stays free
    /// while it waits.
    pub(crate) fn send(
        &mut self,
        request: Request<Bytes>,
        timeout_ms: u32,
    ) -> impl Future<Output = Result<Response<Bytes>, Failure>> + Send + 'static + use<> {
        let _ = (&self.call, request, timeout_ms);
        std::future::ready(Err(Failure::Failed("requests to the outside are not sent yet".to_owned())))
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Sent,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Sent), Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
