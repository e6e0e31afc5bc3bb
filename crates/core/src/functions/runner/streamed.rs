//! The body of an answer that comes in parts: its call lasts until it has ended.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{Call, Outcome};
use crate::functions::{BodyFault, BodyStream, Fault};

/// The same parts; the call ends with the last of them, or when nobody wants them any more.
pub(super) fn guarded(parts: BodyStream, call: Call) -> BodyStream {
    let outcome = call.outcome;
    let mut call = call;
    call.outcome = Outcome::Gone;
    Box::pin(Guarded { parts, call: Some((call, outcome)) })
}

struct Guarded {
    parts: BodyStream,
    /// The call, and what it came to if its body comes to its end.
    call: Option<(Call, Outcome)>,
}

impl futures_util::Stream for Guarded {
    type Item = Result<Bytes, BodyFault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = std::task::ready!(self.parts.as_mut().poll_next(context));
        match &part {
            Some(Ok(_)) => {}
            Some(Err(broken)) => {
                if let Some((mut call, _)) = self.call.take() {
                    // The head has gone out already: the caller sees a broken answer, the guard hears of it here.
                    call.failed(&Fault::BadAnswer(broken.to_string()));
                }
            }
            None => {
                if let Some((mut call, outcome)) = self.call.take() {
                    call.outcome = outcome;
                }
            }
        }
        Poll::Ready(part)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.parts.size_hint()
    }
}
