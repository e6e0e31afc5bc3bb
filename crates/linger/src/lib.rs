//! What a client still sends when it has been answered.
//!
//! A connection that is closed while bytes arrive is reset, and the client that is still sending never sees its answer:
//! RFC 9112 section 9.6 asks a server to go on reading for a while. hyper does not, so a body here that is let go before
//! its end is read on for a moment, and forgotten.
#![forbid(unsafe_code)]

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;

/// How long a client may go on sending what is answered already.
const MOMENT: Duration = Duration::from_secs(2);

/// A client's body, whose rest is read on for two seconds when it is dropped before its end.
#[derive(Debug)]
pub struct Lingering<B: Body<Data = Bytes> + Send + Unpin + 'static> {
    /// `None` once it has come to its end.
    body: Option<B>,
    reads_on: bool,
}

/// `request` with a body that is read on.
///
/// Two are let go as they are: who asks first whether to send a body at all (`Expect`) is told no, and HTTP/2 ends a request
/// without its connection.
pub fn lingering<B: Body<Data = Bytes> + Send + Unpin + 'static>(
    request: Request<B>,
) -> Request<Lingering<B>> {
    if request.body().is_end_stream() {
        return request.map(|_| Lingering { body: None, reads_on: false });
    }
    let asks_first = request.headers().contains_key(header::EXPECT);
    let reads_on = request.version() <= Version::HTTP_11 && !asks_first;
    request.map(|body| Lingering { body: Some(body), reads_on })
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Body for Lingering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Drop for Lingering<B> {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| self.reads_on && !body.is_end_stream());
        // Without a runtime the server ends, and its connections with it.
        if let (Some(mut body), Ok(runtime)) = (rest, Handle::try_current()) {
            let read = async move {
                while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {}
            };
            // Whoever goes on for longer is cut off.
            runtime.spawn(tokio::time::timeout(MOMENT, read));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use futures_util::{StreamExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::time::Instant;

    use super::*;

    const PARTS: usize = 100;

    /// A request whose parts are counted as they are read.
    fn counted()
    -> (Request<impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static>, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let parts = stream::iter(0..PARTS).map(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Frame::data(Bytes::from_static(b"part")))
        });
        (Request::new(StreamBody::new(parts)), read)
    }

    async fn read_of(dropped: impl Sized, read: &AtomicUsize) -> usize {
        drop(dropped);
        tokio::task::yield_now().await;
        read.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn what_nobody_reads_is_read_on() {
        let (request, read) = counted();
        assert_eq!(read_of(lingering(request), &read).await, PARTS);
    }

    #[tokio::test]
    async fn what_somebody_reads_comes_as_it_was_sent() {
        let (request, read) = counted();
        let mut body = lingering(request).into_body();
        assert_eq!((&mut body).collect().await.unwrap().to_bytes().len(), PARTS * 4);
        assert!(body.is_end_stream());
        assert_eq!(read_of(body, &read).await, PARTS);
    }

    #[tokio::test]
    async fn who_asks_first_and_who_speaks_http2_are_not_made_to_send() {
        let (mut request, read) = counted();
        request.headers_mut().insert("expect", "100-continue".parse().unwrap());
        assert_eq!(read_of(lingering(request), &read).await, 0);
        let (mut request, read) = counted();
        *request.version_mut() = Version::HTTP_2;
        assert_eq!(read_of(lingering(request), &read).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_is_cut_off_after_a_moment() {
        let (held, let_go) = tokio::sync::oneshot::channel::<()>();
        let never = stream::pending::<Result<Frame<Bytes>, Infallible>>()
            .inspect(move |_| assert!(!held.is_closed()));
        let begun = Instant::now();
        drop(lingering(Request::new(StreamBody::new(never))));
        let_go.await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), MOMENT.as_secs());
    }
}
