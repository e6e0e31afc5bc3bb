//! Bodies between hyper and functions: streamed, bounded, and not boxed when they are small.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use flagbase_core::functions::{Body, BodyFault, BodyStream};
use futures_util::Stream;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::{self, RequestBody};

/// Bodies of at most so many bytes, whose length the client says, are here before the function begins: no stream is
/// made for them, and a client that dawdles holds no instance.
const SMALL: u64 = 64 << 10;

/// A client's body as a function gets it; fails at once for one that says to be larger than `most` bytes.
pub(super) async fn inbound(body: RequestBody, most: u64) -> Result<Body, BodyFault> {
    if body.is_empty() {
        return Ok(Body::Empty);
    }
    let declared = body.size_hint().exact();
    match declared {
        Some(length) if length > most => Err(BodyFault::TooLarge(most)),
        Some(length @ 0..=SMALL) => Ok(Body::Whole(whole(body, length).await?)),
        _ => Ok(Body::Stream(Box::pin(Upload { body: Some(body), left: most, most }), declared)),
    }
}

/// All of a body that says to be `length` bytes; mostly it comes in one part, which is not copied.
async fn whole(mut body: RequestBody, length: u64) -> Result<Bytes, BodyFault> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(part) = next(&mut body).await {
        let part = part?;
        if first.is_empty() {
            first = part;
        } else {
            if rest.is_empty() {
                rest.reserve(usize::try_from(length).unwrap_or_default());
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&part);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

async fn next(body: &mut RequestBody) -> Option<Result<Bytes, BodyFault>> {
    std::future::poll_fn(|cx| poll_data(body, cx)).await
}

/// The next part; trailers have no place in what functions see.
fn poll_data(body: &mut RequestBody, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
    loop {
        return match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(fault))) => Poll::Ready(Some(Err(told(&fault)))),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Poll::Ready(Some(Ok(data))),
                Err(_) => continue,
            },
        };
    }
}

fn told(fault: &body::BodyFault) -> BodyFault {
    match fault {
        body::BodyFault::Malformed(_) => BodyFault::Broken(fault.to_string()),
        body::BodyFault::TooSlow => BodyFault::TooSlow,
    }
}

/// A large body on its way in.
struct Upload {
    /// Gone after the end.
    body: Option<RequestBody>,
    left: u64,
    most: u64,
}

impl Stream for Upload {
    type Item = Result<Bytes, BodyFault>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let part = match poll_data(body, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(part) => part,
        };
        let part = part.map(|part| {
            let part = part?;
            this.left = this.left.checked_sub(part.len() as u64).ok_or(BodyFault::TooLarge(this.most))?;
            Ok(part)
        });
        if !matches!(part, Some(Ok(_))) {
            this.body = None;
        }
        Poll::Ready(part)
    }
}

/// Why the answer of a function or a site broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerBroke {
    /// Whoever makes it did not bring it to its end.
    #[error("the answer broke off: {0}")]
    Off(#[from] BodyFault),
    /// It is not as long as was said.
    #[error("the answer is not as long as it said")]
    Length,
}

/// The body of a function or a site on its way to the client.
pub(crate) enum FunctionBody {
    /// All of it.
    Whole(Bytes),
    /// In parts, and how many bytes are still to come when that is known.
    Parts(BodyStream, Option<u64>),
    /// It broke off, which is kept back until the client has got what came before.
    Broken(AnswerBroke),
}

impl Default for FunctionBody {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl From<Body> for FunctionBody {
    fn from(body: Body) -> Self {
        match body {
            Body::Empty => Self::default(),
            Body::Whole(bytes) => Self::Whole(bytes),
            Body::Stream(parts, length) => Self::Parts(parts, length),
        }
    }
}

impl fmt::Debug for FunctionBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Parts(_, left) => write!(f, "Parts({left:?})"),
            Self::Broken(fault) => write!(f, "Broken({fault})"),
        }
    }
}

impl http_body::Body for FunctionBody {
    type Data = Bytes;
    type Error = AnswerBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBroke>>> {
        let this = self.get_mut();
        let (parts, left) = match this {
            Self::Whole(bytes) => {
                let bytes = Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty());
                return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
            }
            Self::Parts(parts, left) => (parts, left),
            Self::Broken(_) => {
                let broken = std::mem::take(this);
                return Poll::Ready(if let Self::Broken(fault) = broken { Some(Err(fault)) } else { None });
            }
        };
        let part = match parts.as_mut().poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(part) => part,
        };
        let fault = match (part, left) {
            (Some(Ok(part)), None) => return Poll::Ready(Some(Ok(Frame::data(part)))),
            (Some(Ok(part)), Some(left)) => match left.checked_sub(part.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    return Poll::Ready(Some(Ok(Frame::data(part))));
                }
                None => AnswerBroke::Length,
            },
            (Some(Err(fault)), _) => fault.into(),
            (None, Some(1..)) => AnswerBroke::Length,
            (None, _) => {
                *this = Self::default();
                return Poll::Ready(None);
            }
        };
        // Whoever sends this body drops what it holds when a body fails; asked to wait, it sends that first.
        *this = Self::Broken(fault);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Parts(_, Some(left)) => SizeHint::with_exact(*left),
            Self::Parts(_, None) | Self::Broken(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;

    use super::*;

    fn parts(parts: &'static [&'static str], length: Option<u64>) -> FunctionBody {
        let parts = stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))));
        Body::Stream(parts.boxed(), length).into()
    }

    #[tokio::test]
    async fn an_answer_in_parts_arrives_whole() {
        for (body, hint) in [(parts(&["ab", "c"], Some(3)), Some(3)), (parts(&["ab", "c"], None), None)] {
            assert_eq!(body.size_hint().exact(), hint);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        }
        let whole = FunctionBody::from(Body::Whole(Bytes::from_static(b"abc")));
        assert_eq!(whole.size_hint().exact(), Some(3));
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "abc");
        assert!(FunctionBody::from(Body::Empty).is_end_stream());
    }

    #[tokio::test]
    async fn an_answer_of_another_length_than_it_said_breaks_off() {
        for body in [parts(&["ab", "cd"], Some(3)), parts(&["ab"], Some(3))] {
            assert!(matches!(body.collect().await, Err(AnswerBroke::Length)));
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_says_so_once() {
        let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err(BodyFault::TooLarge(1))]);
        let mut body = FunctionBody::from(Body::Stream(broken.boxed(), None));
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none() && body.is_end_stream());
    }
}
