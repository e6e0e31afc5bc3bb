//! HTTP/1.1 on both sides: towards the host, and towards a function that is a server.

mod answer;
mod body;
mod connection;
mod head;

pub(crate) use answer::Answer;
pub(crate) use body::{Body, BodyError, Framing};
pub(crate) use connection::{Connection, Patience, write_all};
pub(crate) use head::{Header, Request, read_request, read_response, write_headers};
