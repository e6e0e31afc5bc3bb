//! The gateway over real sockets, in front of backends that record what they see.

mod corpus;
mod deciding;
mod failing;
mod hygiene;
mod streaming;
mod support;
mod websocket;
