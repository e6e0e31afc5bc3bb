//! A client's connection, watched: what its bytes say about framing, and how long they take.

mod curt;
mod scanner;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use scanner::Scanner;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a whole head.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
}

/// What a connection and the requests on it tell each other.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Requests being answered.
    busy: AtomicUsize,
    /// Set once the connection has become a tunnel.
    tunnel: AtomicBool,
}

impl Traffic {
    /// Counts a request until the guard is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// From here on the bytes are not ours to judge.
    pub(crate) fn become_tunnel(&self) {
        self.tunnel.store(true, Ordering::Release);
    }
}

/// A request is being answered while this lives.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Traffic>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose requests are followed and timed.
#[derive(Debug)]
pub(crate) struct Inspected<S> {
    stream: S,
    scanner: Scanner,
    traffic: Arc<Traffic>,
    patience: Patience,
    alarm: Option<Alarm>,
    /// What is sent instead of an answer that says too little.
    instead: Vec<u8>,
}

/// Rings when a client takes too long. Set anew only when it rings, so that a request costs no timer: a client is cut
/// off between one and two times its limit.
#[derive(Debug)]
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// What was being waited for when it was set.
    waiting_for: Wait,
}

/// What is waited for, told apart by how many heads came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Head(u64),
    Idle(u64),
    Other,
}

impl<S> Inspected<S> {
    pub(crate) fn new(stream: S, traffic: Arc<Traffic>, patience: Patience) -> Self {
        Self { stream, scanner: Scanner::default(), traffic, patience, alarm: None, instead: Vec::new() }
    }

    fn waits_for(&self) -> Wait {
        let heads = self.scanner.heads();
        if self.traffic.tunnel.load(Ordering::Acquire) {
            return Wait::Other;
        }
        // A new connection owes its first request as soon as it is open.
        if self.scanner.in_head() || (heads == 0 && self.scanner.between()) {
            return Wait::Head(heads);
        }
        let busy = self.traffic.busy.load(Ordering::Relaxed) > 0;
        if self.scanner.between() && !busy { Wait::Idle(heads) } else { Wait::Other }
    }

    /// The answer to send instead of `bytes`, when these say too little about a head that could not be read.
    fn told(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let judged = bytes.starts_with(b"HTTP/1.1 4") && !self.traffic.tunnel.load(Ordering::Acquire);
        if judged { curt::told(bytes) } else { None }
    }

    fn limit(&self, wait: Wait) -> Duration {
        if matches!(wait, Wait::Head(_)) { self.patience.head } else { self.patience.idle }
    }

    /// Ready when the client has taken too long for what is waited for.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.waits_for();
        if wait == Wait::Other {
            // Whoever waits for the client now has a limit of its own; an alarm that rang meanwhile is set anew.
            return Poll::Pending;
        }
        let limit = self.limit(wait);
        let alarm = self
            .alarm
            .get_or_insert_with(|| Alarm { sleep: Box::pin(tokio::time::sleep(limit)), waiting_for: wait });
        let sooner = matches!(wait, Wait::Head(_)) && !matches!(alarm.waiting_for, Wait::Head(_));
        if sooner {
            alarm.waiting_for = wait;
            alarm.sleep.as_mut().reset(Instant::now() + limit);
        }
        while alarm.sleep.as_mut().poll(cx).is_ready() {
            if alarm.waiting_for == wait {
                return Poll::Ready(());
            }
            alarm.waiting_for = wait;
            alarm.sleep.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inspected<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                return this.poll_alarm(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
            }
        }
        if this.traffic.tunnel.load(Ordering::Acquire) {
            this.scanner.turn_off();
        }
        let fresh = buf.filled_mut().get_mut(before..).unwrap_or_default();
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let kept = this.scanner.scan(fresh);
        if kept == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "request framing was lost")));
        }
        buf.set_filled(before + kept);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inspected<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_empty() {
            match this.told(bytes) {
                Some(told) => this.instead = told,
                None => return Pin::new(&mut this.stream).poll_write(cx, bytes),
            }
        }
        while !this.instead.is_empty() {
            let count = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.instead))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.instead.drain(..count);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let only = match slices {
            [only] => Some(only),
            _ => None,
        };
        match only.filter(|only| !this.instead.is_empty() || this.told(only).is_some()) {
            Some(only) => Pin::new(this).poll_write(cx, only),
            None => Pin::new(&mut this.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_mins(1) };

    fn watched() -> (DuplexStream, Inspected<DuplexStream>, Arc<Traffic>) {
        let (client, server) = duplex(4096);
        let traffic = Arc::new(Traffic::default());
        let inspected = Inspected::new(server, Arc::clone(&traffic), PATIENCE);
        (client, inspected, traffic)
    }

    async fn read(stream: &mut Inspected<DuplexStream>) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 256];
        let count = stream.read(&mut bytes).await?;
        Ok(bytes[..count].to_vec())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_or_half_a_head_is_cut_off() {
        let (mut client, mut stream, _) = watched();
        assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (mut trickling, mut slow, _) = watched();
        let trickle = async {
            for byte in b"GET / HTTP/1.1\r\nHost: example.com\r\nX: y" {
                let _ = trickling.write_all(&[*byte]).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let reads = async {
            loop {
                if let Err(error) = read(&mut slow).await {
                    return error.kind();
                }
            }
        };
        let ((), kind) = tokio::join!(trickle, reads);
        assert_eq!(kind, io::ErrorKind::TimedOut);
        drop(client.write_all(b"x").await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_cut_off_but_not_one_that_waits_for_its_answer() {
        let (mut client, mut stream, traffic) = watched();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        read(&mut stream).await.unwrap();
        let busy = traffic.busy();
        let waited = tokio::time::timeout(Duration::from_secs(1000), read(&mut stream)).await;
        assert!(waited.is_err(), "cut off while its request was being answered");
        drop(busy);
        assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_tunnel_is_not_judged() {
        let (mut client, mut stream, traffic) = watched();
        traffic.become_tunnel();
        let bytes = b"a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n";
        client.write_all(bytes).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), bytes);
    }

    #[tokio::test]
    async fn what_cannot_be_followed_ends_the_connection() {
        let (mut client, mut stream, _) = watched();
        client.write_all(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense").await.unwrap();
        let passed = read(&mut stream).await.unwrap();
        assert!(passed.ends_with(b"\r\n\r\nn"), "{}", passed.escape_ascii());
        client.write_all(b"more").await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
