//! A server that speaks the NATS protocol, to be embedded in a program or to run alone.
//!
//! It is NATS-protocol compatible and not affiliated with the makers of NATS. It knows nothing of who embeds it.
//!
//! ```text
//! listener ─► (tls, websocket) ─► connection ─► protocol ─► router ─► outbound of other clients
//!                                     │                        │
//!                                   access                  subscriptions (one trie for all)
//! ```
//!
//! Where to build on it:
//!
//! - `listener::serve` runs the protocol over any `AsyncRead + AsyncWrite`; TLS and WebSocket wrap the socket and
//!   call it. `Shared::greet` makes the INFO line, for upgrades that must send it first.
//! - `stats` holds every counter that monitoring shows, `Shared::clients` every connection.
//! - [`Server::subscribe`], [`Server::handle`] and [`Server::publish`] are the way into the bus without a socket.
#![forbid(unsafe_code)]

mod access;
mod ambient;
mod client;
mod connection;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod headers;
mod info;
pub mod jetstream;
mod limits;
mod listener;
mod local;
mod monitor;
pub mod nkey;
mod options;
mod outbound;
mod permissions;
mod pool;
mod protocol;
mod reason;
mod router;
mod server;
mod shared;
mod stats;
mod subject;
mod subscription;
mod tls;
mod trie;
mod users;
mod websocket;
mod workers;

pub use access::{Access, Admitted, Anonymous, Credentials, Denied, Identity};
pub use headers::{Headers, InvalidHeader};
pub use limits::Limits;
pub use local::{Message, Subscription};
pub use options::{Options, StartError};
pub use permissions::{Permissions, Responses, Rules};
pub use server::{PublishError, Server, SubscribeError};
pub use tls::{Handshake, Tls, TlsError};
pub use users::StaticUsers;
pub use websocket::WebSocket;
