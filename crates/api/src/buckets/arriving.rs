//! Bytes on their way in: never more than what was permitted, never waited for forever, never held as a whole.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderMap, header},
};
use bytes::Bytes;
use flagbase_core::{
    functions::{Body as Stored, BodyFault},
    refusal::{Class, Refusal},
};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};

/// How much may come, and how long it may pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// In bytes; `None`: what quotas permit.
    pub(super) most: Option<u64>,
    /// Between two parts.
    pub(super) patience: Duration,
}

/// The body of a request for the store. Nothing is read yet.
pub(super) fn arriving(body: Body, headers: &HeaderMap, bounds: Bounds) -> Stored {
    let stream = Arriving {
        parts: Some(body.into_data_stream()),
        pause: Box::pin(tokio::time::sleep(bounds.patience)),
        paused: false,
        came: 0,
        bounds,
    };
    Stored::Stream(Box::pin(stream), declared(headers))
}

/// How many bytes a request says to have.
pub(super) fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses a body that says itself to be too large.
pub(super) fn check_declared(headers: &HeaderMap, most: Option<u64>) -> Result<(), Refusal> {
    match (declared(headers), most) {
        (Some(size), Some(most)) if size > most => {
            let message = format!("the body has {size} bytes, and {most} are permitted; send less");
            Err(Refusal::new(Class::Malformed, "body_too_large", message))
        }
        _ => Ok(()),
    }
}

/// The parts of a body, until it ends, breaks off, pauses for too long or is too large.
struct Arriving {
    /// `None` once it has come to its end.
    parts: Option<BodyDataStream>,
    pause: Pin<Box<Sleep>>,
    paused: bool,
    came: u64,
    bounds: Bounds,
}

impl Stream for Arriving {
    type Item = Result<Bytes, BodyFault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(parts) = &mut this.parts else { return Poll::Ready(None) };
        match parts.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(part))) => {
                this.paused = false;
                this.came = this.came.saturating_add(part.len() as u64);
                match this.bounds.most {
                    Some(most) if this.came > most => Poll::Ready(Some(Err(BodyFault::TooLarge(most)))),
                    _ => Poll::Ready(Some(Ok(part))),
                }
            }
            Poll::Ready(Some(Err(error))) => {
                this.parts = None;
                Poll::Ready(Some(Err(BodyFault::Broken(error.to_string()))))
            }
            Poll::Ready(None) => {
                this.parts = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                if !this.paused {
                    this.paused = true;
                    this.pause.as_mut().reset(Instant::now() + this.bounds.patience);
                }
                match this.pause.as_mut().poll(context) {
                    Poll::Ready(()) => {
                        this.parts = None;
                        Poll::Ready(Some(Err(BodyFault::TooSlow)))
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const BOUNDS: Bounds = Bounds { most: Some(4), patience: Duration::from_secs(1) };

    async fn read(body: Body) -> Result<Vec<u8>, BodyFault> {
        let stored = arriving(body, &HeaderMap::new(), BOUNDS);
        let Stored::Stream(mut stream, None) = stored else { unreachable!("no size was declared") };
        let mut all = Vec::new();
        while let Some(part) = stream.next().await {
            all.extend_from_slice(&part?);
        }
        Ok(all)
    }

    fn sent(parts: &[&'static str]) -> Body {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, std::io::Error>(*part)).collect();
        Body::from_stream(stream::iter(parts))
    }

    #[tokio::test]
    async fn bytes_arrive_as_they_were_sent_up_to_what_is_permitted() {
        assert_eq!(read(sent(&["ab", "cd"])).await.unwrap(), b"abcd");
        assert_eq!(read(sent(&[])).await.unwrap(), b"");
        assert_eq!(read(sent(&["ab", "cde"])).await, Err(BodyFault::TooLarge(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_stop_coming_or_break_off_are_given_up() {
        let begun = stream::iter([Ok::<_, std::io::Error>("a")]).chain(stream::pending());
        assert_eq!(read(Body::from_stream(begun)).await, Err(BodyFault::TooSlow));
        let broken = stream::iter([Ok("a"), Err(std::io::Error::other("gone"))]);
        assert!(matches!(read(Body::from_stream(broken)).await, Err(BodyFault::Broken(_))));
    }

    #[test]
    fn a_body_that_says_to_be_too_large_is_refused_at_once() {
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, "5".parse().unwrap())]);
        assert_eq!(check_declared(&headers, Some(4)).unwrap_err().code, "body_too_large");
        assert!(check_declared(&headers, Some(5)).is_ok() && check_declared(&headers, None).is_ok());
    }
}
