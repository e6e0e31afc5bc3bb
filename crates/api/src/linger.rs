//! What a client still sends when it is answered already.
//!
//! A connection that is closed while bytes arrive is reset, and the client never sees why. So the rest of a body that
//! nobody read is read on for a moment, and forgotten.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{Version, header},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};

/// How long a client may go on sending what is answered already.
const LINGER: Duration = Duration::from_secs(2);

/// The request, whose body is read on when nobody wants its rest. Whoever asks first whether to send it at all is told no,
/// and HTTP/2 ends a request by itself.
pub(crate) fn lingering(request: Request) -> Request {
    let asks_first = request.headers().contains_key(header::EXPECT);
    if asks_first || request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return request;
    }
    request.map(|body| Body::new(Lingering(body)))
}

struct Lingering(Body);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.0.is_end_stream() {
            let mut rest = mem::take(&mut self.0).into_data_stream();
            let read = async move { while let Some(Ok(_)) = rest.next().await {} };
            runtime.spawn(tokio::time::timeout(LINGER, read));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::stream;
    use tokio::time::Instant;

    use super::*;

    const PARTS: usize = 100;

    /// A body whose parts are counted as they are read, and that ends after so many, or never.
    fn counted(parts: usize) -> (Body, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let part = move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>("part")
        };
        (Body::from_stream(stream::iter(0..parts).map(part)), read)
    }

    #[tokio::test]
    async fn what_nobody_reads_is_read_on() {
        let (body, read) = counted(PARTS);
        drop(lingering(Request::new(body)));
        tokio::task::yield_now().await;
        assert_eq!(read.load(Ordering::Relaxed), PARTS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_is_cut_off_after_a_moment() {
        let (gone, was_dropped) = tokio::sync::oneshot::channel::<()>();
        let never = stream::pending::<Result<Bytes, std::io::Error>>().map(move |part| {
            let _held = &gone;
            part
        });
        let begun = Instant::now();
        drop(lingering(Request::new(Body::from_stream(never))));
        was_dropped.await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), LINGER.as_secs());
    }

    #[tokio::test]
    async fn whoever_asks_first_is_not_made_to_send() {
        let (body, read) = counted(PARTS);
        drop(lingering(Request::builder().header("expect", "100-continue").body(body).unwrap()));
        tokio::task::yield_now().await;
        assert_eq!(read.load(Ordering::Relaxed), 0);
    }
}
