//! How connections learn that the server is going away.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::Poll,
};

use hyper_util::server::graceful::GracefulConnection;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

const RUNNING: u8 = 0;
const DRAINING: u8 = 1;
const CUT: u8 = 2;

/// The end of all connections of a server.
#[derive(Debug, Default)]
pub(super) struct End {
    stage: Arc<AtomicU8>,
    drain: CancellationToken,
    cut: CancellationToken,
}

/// What one connection knows of its end. The stage is looked at whenever the connection is polled, which costs one
/// atomic load; the tokens only wake it, so each needs to be polled once.
pub(super) struct Lifetime {
    stage: Arc<AtomicU8>,
    wakers: Option<[Pin<Box<WaitForCancellationFutureOwned>>; 2]>,
    waiting: bool,
    told: bool,
}

impl End {
    pub(super) fn lifetime(&self) -> Lifetime {
        let wakers = [&self.drain, &self.cut].map(|token| Box::pin(token.clone().cancelled_owned()));
        Lifetime { stage: Arc::clone(&self.stage), wakers: Some(wakers), waiting: false, told: false }
    }

    /// Every connection ends with the request it is answering.
    pub(super) fn drain(&self) {
        self.stage.store(DRAINING, Ordering::Release);
        self.drain.cancel();
    }

    /// Every connection ends now.
    pub(super) fn cut(&self) {
        self.stage.store(CUT, Ordering::Release);
        self.cut.cancel();
    }
}

impl Lifetime {
    /// Runs `connection` to its end.
    pub(super) async fn watch<G: GracefulConnection<Error = E>, E>(mut self, connection: G) -> Result<(), E> {
        let mut connection = pin!(connection);
        poll_fn(|cx| {
            if !self.waiting {
                self.waiting = true;
                for waker in self.wakers.iter_mut().flatten() {
                    let _ = waker.as_mut().poll(cx);
                }
            }
            match self.stage.load(Ordering::Acquire) {
                RUNNING => {}
                CUT => return Poll::Ready(Ok(())),
                _ if !self.told => {
                    self.told = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ => {}
            }
            connection.as_mut().poll(cx)
        })
        .await
    }
}
