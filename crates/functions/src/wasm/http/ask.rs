//! The request as a guest of `wasi:http` gets it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flagbase_core::functions::{Body, BodyFault, BodyStream, Fault};

use http::{HeaderValue, Request, header::HOST};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use wasmtime_wasi_http::Error;

/// A request whose body is bounded while it is read.
pub(super) struct Ask {
    request: Request<Incoming>,
}

/// How the body of a request broke off, when it did.
#[derive(Clone, Default)]
pub(super) struct Broken(Arc<Mutex<Option<BodyFault>>>);

impl Broken {
    /// Why it broke off; `None` as long as it did not.
    pub(super) fn take(&self) -> Option<BodyFault> {
        self.0.lock().take()
    }
}

impl Ask {
    /// Fails at once when the body is known to be larger than `most` bytes.
    pub(super) fn new(request: Request<Body>, most: u64) -> Result<Self, Fault> {
        let (mut parts, body) = request.into_parts();
        // The library behind `wasi:http` does without neither host nor authority.
        if parts.uri.authority().is_none() && !parts.headers.contains_key(HOST) {
            parts.headers.insert(HOST, HeaderValue::from_static("function.invalid"));
        }
        let body = Incoming::new(body, most)?;
        Ok(Self { request: Request::from_parts(parts, body) })
    }

    /// How the body broke off, to be asked later.
    pub(super) fn broken(&self) -> Broken {
        self.request.body().broken.clone()
    }

    /// Whether the caller came over TLS, as far as a proxy says.
    pub(super) fn is_secure(&self) -> bool {
        self.request.headers().get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
    }

    pub(super) fn into_request(self) -> Request<Incoming> {
        self.request
    }
}

/// The body of a request, part by part, up to a limit.
pub(super) struct Incoming {
    parts: Parts,
    left: u64,
    most: u64,
    broken: Broken,
}

enum Parts {
    Whole(Option<Bytes>),
    Stream(BodyStream, Option<u64>),
}

impl Incoming {
    fn new(body: Body, most: u64) -> Result<Self, BodyFault> {
        let parts = match body {
            Body::Empty => Parts::Whole(None),
            Body::Whole(bytes) => Parts::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Body::Stream(parts, length) => Parts::Stream(parts, length),
        };
        let known = match &parts {
            Parts::Whole(bytes) => bytes.as_ref().map(|bytes| bytes.len() as u64),
            Parts::Stream(_, length) => *length,
        };
        if known.is_some_and(|length| length > most) {
            return Err(BodyFault::TooLarge(most));
        }
        Ok(Self { parts, left: most, most, broken: Broken::default() })
    }

    fn fail(&self, fault: BodyFault) -> Error {
        let error = match &fault {
            BodyFault::TooLarge(most) => Error::HttpRequestBodySize(Some(*most)),
            BodyFault::TooSlow => Error::ConnectionReadTimeout,
            BodyFault::Broken(_) => Error::ConnectionTerminated,
        };
        *self.broken.0.lock() = Some(fault);
        error
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let part = match &mut self.parts {
            Parts::Whole(bytes) => bytes.take().map(Ok),
            Parts::Stream(parts, _) => ready!(parts.as_mut().poll_next(cx)),
        };
        let Some(part) = part else { return Poll::Ready(None) };
        let checked = part.and_then(|bytes| match self.left.checked_sub(bytes.len() as u64) {
            Some(left) => {
                self.left = left;
                Ok(bytes)
            }
            None => Err(BodyFault::TooLarge(self.most)),
        });
        Poll::Ready(Some(checked.map(Frame::data).map_err(|fault| self.fail(fault))))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.parts {
            Parts::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Parts::Stream(_, Some(length)) => SizeHint::with_exact(*length),
            Parts::Stream(_, None) => SizeHint::default(),
        }
    }
}
