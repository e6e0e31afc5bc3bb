//! The server as its owner sees it.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::net::TcpListener;

use crate::{
    Headers, Identity, Message, Options, StartError, Subscription, jetstream,
    listener::{self, Door},
    local::{Queue, Receiver},
    protocol::{Publish, Sizes},
    reason::Reason,
    shared::Shared,
    subject,
    subscription::{Sub, Target},
    workers::Workers,
};

/// A running server. Clones are handles of the same; it ends with [`Server::shutdown`] or with the last of them.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
    _owner: Arc<Owner>,
}

/// Ends the server when the last handle is gone.
struct Owner(Arc<Shared>);

/// Why a message was not published.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PublishError {
    /// The subject cannot be published to.
    #[error("`{0}` is no subject: separate tokens by single dots, without wildcards and spaces")]
    Subject(String),
    /// The message is too long.
    #[error("the message has {length} bytes, the limit is {limit}: make it shorter or raise `max_payload`")]
    TooLong {
        /// Its length with headers, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Why a subscription was not made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SubscribeError {
    /// The pattern cannot be subscribed to.
    #[error(
        "`{0}` is no pattern: separate tokens by single dots, with `>` only at the end and without spaces"
    )]
    Pattern(String),
}

impl Server {
    /// Listens, and returns when clients can connect. Has to be called on a Tokio runtime, but serves on threads of its own.
    pub async fn start(mut options: Options) -> Result<Self, StartError> {
        let (clients, bound) = listen(&options.host, options.port).await?;
        let mut doors = vec![(clients, Door::Clients)];
        if let Some(websocket) = &mut options.websocket {
            let (listener, address) =
                listen(&websocket.address.ip().to_string(), websocket.address.port()).await?;
            websocket.address = address;
            doors.push((listener, Door::WebSocket));
        }
        if let Some(monitor) = &mut options.monitor {
            let (listener, address) = listen(&monitor.ip().to_string(), monitor.port()).await?;
            *monitor = address;
            doors.push((listener, Door::Monitor));
        }
        let streams = match &options.jetstream {
            Some(store) => Some((Arc::clone(store), store.load().await?)),
            None => None,
        };
        let workers = Workers::start(options.workers).map_err(StartError::Threads)?;
        let shared = Arc::new(Shared::new(options, bound, workers));
        if let Some((store, kept)) = streams {
            jetstream::start(&shared, store, &kept)?;
        }
        for (listener, door) in doors {
            let accepting = Arc::clone(&shared);
            shared.workers.spawn(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => listener::accept(accepting, listener, door).await,
                    Err(error) => tracing::error!(%error, "the listener has no scheduler"),
                }
            });
        }
        tracing::info!(address = %bound, "listening for client connections");
        let owner = Arc::new(Owner(Arc::clone(&shared)));
        Ok(Self { shared, _owner: owner })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Where clients connect that speak WebSocket.
    pub fn websocket_address(&self) -> Option<SocketAddr> {
        self.shared.options.websocket.as_ref().map(|websocket| websocket.address)
    }

    /// Where monitoring is shown.
    pub fn monitor_address(&self) -> Option<SocketAddr> {
        self.shared.options.monitor
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Publishes without a socket. Never waits: a subscriber that is too slow is dealt with as always.
    pub fn publish(
        &self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Headers>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), PublishError> {
        let payload = payload.as_ref();
        let wrong = [Some(subject), reply].into_iter().flatten().find(|subject| !is_subject(subject));
        if let Some(wrong) = wrong {
            return Err(PublishError::Subject(wrong.to_owned()));
        }
        let headers = headers.map(Headers::encode).unwrap_or_default();
        let both = if headers.is_empty() { Bytes::new() } else { [&headers[..], payload].concat().into() };
        let whole = if headers.is_empty() { payload } else { &both };
        let limit = self.shared.options.limits.max_payload;
        if whole.len() > limit {
            return Err(PublishError::TooLong { length: whole.len(), limit });
        }
        let (header, total) = (headers.len().to_string(), whole.len().to_string());
        let some = !headers.is_empty();
        self.shared.publish(&Publish {
            subject: subject.as_bytes(),
            reply: reply.map(str::as_bytes),
            header: some.then_some(headers.len()),
            payload: whole,
            sizes: Sizes { header: some.then_some(header.as_bytes()), total: total.as_bytes() },
            tail: None,
        });
        Ok(())
    }

    /// Subscribes without a socket. Up to `capacity` messages wait for whoever reads; more are missed and counted.
    pub fn subscribe(
        &self,
        subject: &str,
        queue: Option<&str>,
        capacity: usize,
    ) -> Result<Subscription, SubscribeError> {
        let (receiver, messages, missed) = Queue::new(capacity);
        let sub = self.attach(subject, queue, Arc::new(receiver))?;
        Ok(Subscription::new(&self.shared, sub, Some(messages), missed))
    }

    /// Calls `receiver` for each message, on the thread of who published it, until what this returns is dropped.
    ///
    /// It must not wait. It may publish. It says whether it took the message; if not, and nobody else does, who asked is
    /// told that there are no responders.
    pub fn handle(
        &self,
        subject: &str,
        queue: Option<&str>,
        receiver: impl Fn(Message) -> bool + Send + Sync + 'static,
    ) -> Result<Subscription, SubscribeError> {
        let sub = self.attach(subject, queue, Arc::new(receiver))?;
        Ok(Subscription::new(&self.shared, sub, None, Arc::default()))
    }

    fn attach(
        &self,
        subject: &str,
        queue: Option<&str>,
        receiver: Arc<dyn Receiver>,
    ) -> Result<Arc<Sub>, SubscribeError> {
        if !subject::is_pattern(subject.as_bytes()) || has_space(subject) {
            return Err(SubscribeError::Pattern(subject.to_owned()));
        }
        let target = Target::Local(receiver);
        let sub = Arc::new(Sub::new(subject.as_bytes(), queue.map(str::as_bytes), b"", target));
        self.shared.subscribe(&sub);
        Ok(sub)
    }

    /// Disconnects every client whose identity `matches`, at once, and tells it that its credentials were taken back.
    /// Some clients do not come back after that.
    pub fn revoke(&self, matches: impl Fn(&Identity) -> bool) {
        self.close(Reason::Revoked, matches);
    }

    /// Disconnects every client whose identity `matches`, at once and without an error, so that it connects again.
    pub fn disconnect(&self, matches: impl Fn(&Identity) -> bool) {
        self.close(Reason::Readmission, matches);
    }

    fn close(&self, reason: Reason, matches: impl Fn(&Identity) -> bool) {
        for client in self.shared.everyone() {
            let matching = client.about.lock().identity.as_ref().is_some_and(&matches);
            if matching {
                client.out.close(reason);
            }
        }
    }

    /// Takes no new clients, asks those there are to go elsewhere, and disconnects them one by one, `over` this time.
    pub async fn lame_duck(&self, over: Duration) {
        self.shared.stop.cancel();
        self.shared.set_lame_duck();
        let clients = self.shared.everyone();
        for client in clients.iter().filter(|client| client.about.lock().protocol >= 1) {
            let mut info = self.shared.info(client.id, &client.origin, "", false);
            client.out.send(&mut info);
        }
        let pause = over.checked_div(u32::try_from(clients.len()).unwrap_or(u32::MAX)).unwrap_or(over);
        for client in clients {
            tokio::time::sleep(pause).await;
            client.out.close(Reason::ServerShutdown);
        }
        self.shutdown().await;
    }

    /// Disconnects everybody, after what waits for them was written if they take it soon, and ends all threads.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.everyone().iter().for_each(|client| client.out.close(Reason::ServerShutdown));
        let empty = async {
            while !self.shared.clients.read().is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(3), empty).await;
        self.shared.workers.stop();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop.cancel();
        self.0.workers.stop();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// Binds a listener that its thread takes into its scheduler later, and tells where it is.
async fn listen(host: &str, port: u16) -> Result<(std::net::TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address: format!("{host}:{port}"), source };
    let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener.into_std().map_err(failed)?, address))
}

fn is_subject(subject: &str) -> bool {
    subject::is_literal(subject.as_bytes()) && !has_space(subject)
}

fn has_space(subject: &str) -> bool {
    subject.bytes().any(|byte| byte.is_ascii_whitespace())
}
