//! Bodies on their way in and out.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flagbase_core::{
    functions::{Body, BodyFault, BodyStream},
    refusal::Refusal,
};
use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};
use s3s::{S3Error, dto::StreamingBlob, s3_error};

use super::refusals::refused;

/// Said by [`super::front`] of a client that pauses for too long.
pub(super) const TOO_SLOW: &str = "the client paused for too long";

/// Why a body that came in was not what was signed; said instead of what followed from that.
#[derive(Debug, Clone, Default)]
pub(super) struct Broken(Arc<Mutex<Option<S3Error>>>);

impl Broken {
    /// What to answer when `refusal` came after this body.
    pub(super) fn told(&self, refusal: Refusal) -> S3Error {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        said.unwrap_or_else(|| refused(refusal))
    }

    fn note(&self, error: S3Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// A body that came in, of `size` bytes.
pub(super) fn incoming(blob: Option<StreamingBlob>, size: Option<u64>) -> (Body, Broken) {
    let broken = Broken::default();
    let Some(blob) = blob else { return (Body::Empty, broken) };
    let noting = broken.clone();
    let stream = blob.map(move |part| {
        part.map_err(|error| {
            let text = error.to_string();
            let fault =
                if text.contains(TOO_SLOW) { BodyFault::TooSlow } else { BodyFault::Broken(text.clone()) };
            noting.note(why(&text));
            fault
        })
    });
    (Body::Stream(Box::pin(stream), size), broken)
}

/// s3s says what was wrong with a body only in words.
fn why(text: &str) -> S3Error {
    if text.contains(TOO_SLOW) {
        return s3_error!(RequestTimeout, "the body did not arrive in time");
    }
    if text.contains("Sha256Mismatch") {
        let code = s3s::S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        let mut error = S3Error::with_message(code, "the body is not what `x-amz-content-sha256` says");
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        return error;
    }
    if text.contains("SignatureMismatch") {
        return s3_error!(SignatureDoesNotMatch, "the signature of a chunk or of the trailers is not right");
    }
    if text.contains("FormatError") || text.contains("TooLarge") || text.contains("TooMany") {
        return s3_error!(InvalidRequest, "the chunks of the body cannot be read");
    }
    s3_error!(IncompleteBody, "the body broke off before its end")
}

/// Bytes of `size` on their way out.
pub(super) fn outgoing(bytes: BodyStream, size: u64) -> StreamingBlob {
    StreamingBlob::from(s3s::Body::http_body_unsync(Outgoing { bytes, left: size }))
}

struct Outgoing {
    bytes: BodyStream,
    left: u64,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let next = ready!(self.bytes.as_mut().poll_next(context));
        Poll::Ready(next.map(|part| {
            let part = part?;
            self.left = self.left.saturating_sub(part.len() as u64);
            Ok(Frame::data(part))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use flagbase_core::refusal::Class;

    use super::*;

    #[test]
    fn what_was_wrong_with_a_body_is_told_and_not_what_followed() {
        for (text, code) in [
            ("UploadStreamError: Sha256Mismatch", "XAmzContentSHA256Mismatch"),
            ("AwsChunkedStreamError: SignatureMismatch", "SignatureDoesNotMatch"),
            ("AwsChunkedStreamError: Incomplete", "IncompleteBody"),
            ("UploadStreamError: Underlying: the client paused for too long", "RequestTimeout"),
            ("AwsChunkedStreamError: FormatError", "InvalidRequest"),
        ] {
            let broken = Broken::default();
            broken.note(why(text));
            let told = broken.told(Refusal::new(Class::Malformed, "bad_body", ""));
            assert_eq!(told.code().as_str(), code);
        }
        let told = Broken::default().told(Refusal::new(Class::Malformed, "bad_body", ""));
        assert_eq!(told.code().as_str(), "IncompleteBody");
    }
}
