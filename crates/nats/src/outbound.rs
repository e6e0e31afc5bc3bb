//! What waits to be written to one client.
//!
//! Whoever has bytes for a client tries to write them to its socket at once. What the socket does not take is kept here
//! and written by the client's own task as soon as it can. Only one of them writes at a time, so bytes keep their order.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use parking_lot::Mutex;
use tokio::{io::AsyncWrite, net::tcp::OwnedWriteHalf};

use crate::{pool, reason::Reason};

/// Small messages are gathered up to this many bytes.
const CHUNK: usize = 64 * 1024;

/// What waits to be written to one client.
pub(crate) struct Outbound {
    queue: Mutex<Queue>,
    /// Bytes that wait; a copy for those who only ask.
    backlog: AtomicUsize,
    max_pending: usize,
    /// Backlog from which publishers are slowed down.
    stall: usize,
}

#[derive(Default)]
struct Queue {
    /// The socket, when nothing lies between it and the protocol. Given up at the end: it must not stay open because
    /// somebody still knows the client.
    direct: Option<Arc<OwnedWriteHalf>>,
    chunks: VecDeque<Chunk>,
    pending: usize,
    /// Somebody is writing outside of the lock.
    writing: bool,
    /// The connection's task.
    task: Option<Waker>,
    /// Publishers that wait for the backlog to shrink.
    stalled: Vec<Waker>,
    end: Option<Reason>,
}

struct Chunk {
    bytes: Vec<u8>,
    written: usize,
}

/// What became of bytes for a client.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Sent {
    /// Written, or will be.
    Done,
    /// Will be written, but the client is far behind.
    Behind,
    /// The client is gone.
    Gone,
}

impl Outbound {
    pub(crate) fn new(direct: Option<Arc<OwnedWriteHalf>>, max_pending: usize, stall: usize) -> Self {
        let queue = Mutex::new(Queue { direct, ..Queue::default() });
        Self { queue, backlog: AtomicUsize::new(0), max_pending, stall }
    }

    /// Bytes that wait.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Whether the client is so far behind that others are a better choice.
    pub(crate) fn is_behind(&self) -> bool {
        self.backlog() > self.stall
    }

    /// Writes or keeps `bytes`, which is empty afterwards. Never waits.
    pub(crate) fn send(&self, bytes: &mut Vec<u8>) -> Sent {
        let mut queue = self.queue.lock();
        if queue.end.is_some() {
            bytes.clear();
            return Sent::Gone;
        }
        match queue.direct.clone() {
            Some(direct) if !queue.writing && queue.chunks.is_empty() => {
                queue.writing = true;
                drop(queue);
                let result = direct.try_write(bytes);
                queue = self.queue.lock();
                queue.writing = false;
                match result {
                    Ok(written) if written == bytes.len() => {
                        bytes.clear();
                        if queue.chunks.is_empty() && queue.end.is_none() {
                            return Sent::Done;
                        }
                    }
                    Ok(written) => queue.push_front(bytes, written),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => queue.push_front(bytes, 0),
                    Err(_) => queue.end = queue.end.or(Some(Reason::WriteError)),
                }
            }
            _ => queue.push_back(bytes),
        }
        if queue.pending > self.max_pending {
            queue.end = queue.end.or(Some(Reason::SlowConsumerPendingBytes));
        }
        self.backlog.store(queue.pending, Ordering::Relaxed);
        let task = if queue.writing { None } else { queue.task.clone() };
        let gone = queue.end.is_some();
        drop(queue);
        bytes.clear();
        if let Some(task) = task {
            task.wake();
        }
        match gone {
            true => Sent::Gone,
            false if self.is_behind() => Sent::Behind,
            false => Sent::Done,
        }
    }

    /// Adds last words, even when the end was decided already.
    pub(crate) fn send_last(&self, bytes: &[u8]) {
        let mut queue = self.queue.lock();
        queue.push_back(&mut bytes.to_vec());
        self.backlog.store(queue.pending, Ordering::Relaxed);
    }

    /// Writes all that waits. Only for the connection's task, and not before [`Outbound::attach`].
    ///
    /// Tells in `progress` whether the client took any byte.
    pub(crate) fn poll_drain<S: AsyncWrite + Unpin>(
        &self,
        cx: &mut Context<'_>,
        stream: &mut S,
        progress: &mut bool,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut chunks = {
                let mut queue = self.queue.lock();
                if queue.writing {
                    // Whoever writes wakes this task if anything is left.
                    return Poll::Pending;
                }
                if queue.chunks.is_empty() {
                    break;
                }
                queue.writing = true;
                std::mem::take(&mut queue.chunks)
            };
            let before: usize = chunks.iter().map(Chunk::left).sum();
            let result = poll_chunks(cx, stream, &mut chunks);
            let written = before - chunks.iter().map(Chunk::left).sum::<usize>();
            *progress |= written > 0;
            self.put_back(chunks, written);
            ready!(result)?;
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn put_back(&self, mut chunks: VecDeque<Chunk>, written: usize) {
        let mut queue = self.queue.lock();
        queue.writing = false;
        queue.pending = queue.pending.saturating_sub(written);
        if !chunks.is_empty() {
            chunks.append(&mut queue.chunks);
            queue.chunks = chunks;
        }
        self.backlog.store(queue.pending, Ordering::Relaxed);
        let stalled =
            if queue.pending <= self.stall / 2 { std::mem::take(&mut queue.stalled) } else { Vec::new() };
        drop(queue);
        stalled.into_iter().for_each(Waker::wake);
    }

    /// Sets the task that writes what waits.
    pub(crate) fn attach(&self, task: &Waker) {
        let mut queue = self.queue.lock();
        if !queue.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            queue.task = Some(task.clone());
        }
    }

    /// Wakes `publisher` when the backlog has shrunk or the client is gone. `false` when that is so already.
    pub(crate) fn await_room(&self, publisher: &Waker) -> bool {
        let mut queue = self.queue.lock();
        let waits = queue.end.is_none() && queue.pending > self.stall / 2;
        if waits && !queue.stalled.iter().any(|known| known.will_wake(publisher)) {
            queue.stalled.push(publisher.clone());
        }
        waits
    }

    /// Ends the connection; the first reason counts.
    pub(crate) fn close(&self, reason: Reason) {
        let mut queue = self.queue.lock();
        queue.end = queue.end.or(Some(reason));
        let wake =
            queue.task.clone().into_iter().chain(std::mem::take(&mut queue.stalled)).collect::<Vec<_>>();
        drop(queue);
        wake.into_iter().for_each(Waker::wake);
    }

    /// Why the connection ends, if it does.
    pub(crate) fn end(&self) -> Option<Reason> {
        self.queue.lock().end
    }

    /// Forgets all that waits, and the socket.
    pub(crate) fn clear(&self) {
        let mut queue = self.queue.lock();
        let stalled = std::mem::take(&mut queue.stalled);
        let end = queue.end;
        *queue = Queue { end, ..Queue::default() };
        self.backlog.store(0, Ordering::Relaxed);
        drop(queue);
        stalled.into_iter().for_each(Waker::wake);
    }
}

impl Queue {
    fn push_front(&mut self, bytes: &mut Vec<u8>, written: usize) {
        self.pending += bytes.len() - written;
        self.chunks.push_front(Chunk { bytes: fitted(bytes), written });
    }

    fn push_back(&mut self, bytes: &mut Vec<u8>) {
        self.pending += bytes.len();
        match self.chunks.back_mut() {
            Some(last) if last.bytes.len() + bytes.len() <= CHUNK => last.bytes.extend_from_slice(bytes),
            _ => self.chunks.push_back(Chunk { bytes: fitted(bytes), written: 0 }),
        }
    }
}

impl Chunk {
    fn left(&self) -> usize {
        self.bytes.len() - self.written
    }
}

/// The bytes in a buffer that is not much too large, as it may be kept for long.
fn fitted(bytes: &mut Vec<u8>) -> Vec<u8> {
    if bytes.len() < bytes.capacity() / 4 { bytes.as_slice().to_vec() } else { std::mem::take(bytes) }
}

fn poll_chunks<S: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    stream: &mut S,
    chunks: &mut VecDeque<Chunk>,
) -> Poll<io::Result<()>> {
    while let Some(chunk) = chunks.front_mut() {
        let left = chunk.bytes.get(chunk.written..).unwrap_or_default();
        if left.is_empty() {
            chunks.pop_front().into_iter().for_each(|chunk| pool::give(chunk.bytes));
            continue;
        }
        match ready!(Pin::new(&mut *stream).poll_write(cx, left))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => chunk.written += written,
        }
    }
    Poll::Ready(Ok(()))
}

#[cfg(test)]
mod tests;
