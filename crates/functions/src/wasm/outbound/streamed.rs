//! A request of `wasi:http`, whose bodies go and come in parts.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flagbase_core::catalog::BoxError;
use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, BodyStream};
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions};

use super::{
    super::call::Call, Failure, NOT_FOR_GUESTS, WasiBody, headers_fit, outside::why, permitted,
    redirects::address, without,
};

/// Sends `request` and gives the head of its answer, whose body follows while the guest reads it.
pub(super) async fn send(
    call: &Arc<Call>,
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Response<WasiBody>, Failure> {
    let (parts, body) = request.into_parts();
    let url = address(&parts.uri.to_string())?;
    permitted(call, &url)?;
    let mut outgoing = reqwest::Request::new(parts.method, url);
    *outgoing.headers_mut() = parts.headers;
    without(outgoing.headers_mut(), &NOT_FOR_GUESTS);
    if !body.is_end_stream() {
        let limited = http_body_util::Limited::new(body, most(call.limits().request_body));
        let parts = BodyStream::new(limited).filter_map(|frame| std::future::ready(data(frame)));
        *outgoing.body_mut() = Some(reqwest::Body::wrap_stream(parts));
    }
    let patience = options.and_then(|options| options.first_byte_timeout);
    let deadline = patience.map_or(call.deadline, |patience| call.deadline.min(Instant::now() + patience));
    let answer =
        timeout_at(deadline, call.outside.exchange(outgoing)).await.unwrap_or(Err(Failure::TimedOut))?;
    if !headers_fit(answer.headers()) {
        return Err(Failure::TooLarge);
    }
    let left = call.limits().response_body;
    if answer.content_length().is_some_and(|length| length > left) {
        return Err(Failure::TooLarge);
    }
    let answer: Response<reqwest::Body> = answer.into();
    Ok(answer.map(|body| Bounded { body, left, most: left }.boxed_unsync()))
}

/// Trailers are left out.
fn data(frame: Result<Frame<Bytes>, BoxError>) -> Option<Result<Bytes, BoxError>> {
    frame.map(|frame| frame.into_data().ok()).transpose()
}

fn most(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What a guest is told.
pub(super) fn code(failure: Failure) -> Error {
    match failure {
        Failure::Denied(_) => Error::HttpRequestDenied,
        Failure::TimedOut => Error::HttpResponseTimeout,
        Failure::TooLarge => Error::HttpResponseBodySize(None),
        Failure::Failed(why) => Error::InternalError(Some(why)),
    }
}

/// The body of an answer, up to a limit.
struct Bounded {
    body: reqwest::Body,
    left: u64,
    most: u64,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(code(why(&error))))),
            Some(Ok(frame)) => frame,
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(left) = self.left.checked_sub(length) else {
            return Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(self.most)))));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }
}
