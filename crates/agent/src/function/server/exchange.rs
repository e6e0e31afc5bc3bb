//! One request to a server, and its answer.

use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use socket2::Socket;

use super::super::{Call, feed};
use crate::http::{
    Answer, Body, BodyError, Connection, Framing, Patience, read_response, write_all, write_headers,
};
use crate::protocol::{CALL_HEADER, FAULT_HEADER, Fault, Limits};

/// The head of the request to the function.
pub(super) fn head(call: &Call<'_>) -> Vec<u8> {
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(format!("{} {} HTTP/1.1\r\n", call.request.method, call.target).as_bytes());
    if call.request.header("host").is_none() {
        head.extend_from_slice(b"host: localhost\r\n");
    }
    if let (Some(id), None) = (call.id, call.request.header(CALL_HEADER)) {
        head.extend_from_slice(format!("{CALL_HEADER}: {id}\r\n").as_bytes());
    }
    // Writing to memory does not fail.
    let _ = write_headers(&mut head, &call.request.headers, framing(call));
    head
}

fn framing(call: &Call<'_>) -> Framing {
    match call.body.length() {
        Some(0) if matches!(call.request.method.as_str(), "POST" | "PUT" | "PATCH") => Framing::Length(0),
        Some(0) => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

/// Sends the body of a request.
pub(super) fn send(
    body: &mut Body,
    from: &mut Connection,
    terms: (Instant, &AtomicBool),
    to: &Socket,
) -> Result<(), BodyError> {
    let chunked = body.length().is_none();
    feed(body, from, terms, |part| {
        if chunked {
            write_all(to, format!("{:x}\r\n", part.len()).as_bytes())?;
        }
        write_all(to, part)?;
        if chunked { write_all(to, b"\r\n") } else { Ok(()) }
    })?;
    if chunked {
        // It may have answered and hung up already.
        let _ = write_all(to, b"0\r\n\r\n");
    }
    Ok(())
}

pub(super) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
}

/// Whether reading the body failed by itself, and not because nobody waited for it any more.
pub(super) fn was_first(error: &BodyError) -> bool {
    !matches!(error, BodyError::Io(error) if error.kind() == io::ErrorKind::ConnectionAborted)
}

pub(super) enum Relay {
    /// Closed before anything came.
    Closed,
    Fault(Fault),
}

/// Carries the answer to the host; whether the connection it came on can be used again.
pub(super) fn relay(
    method: &str,
    answer: &mut Answer,
    from: &mut Connection,
    (until, limits): (Instant, &Limits),
) -> Result<bool, Relay> {
    let patience = Patience::until(until);
    let bad = |error: BodyError| match error {
        error if error.is_timeout() => Fault::Timeout(limits.timeout_ms),
        error => Fault::BadAnswer(error.to_string()),
    };
    let response = match read_response(from, method, patience) {
        Ok(Some(response)) => response,
        Ok(None) => return Err(Relay::Closed),
        Err(BodyError::Io(error)) if error.kind() != io::ErrorKind::TimedOut => return Err(Relay::Closed),
        Err(error) => return Err(Relay::Fault(bad(error))),
    };
    let mut headers = response.headers;
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case(FAULT_HEADER));
    let carried = (|| {
        let mut body = Body::new(response.framing, limits.response_body).map_err(bad)?;
        answer.begin(response.status, &headers, body.length())?;
        while let Some(part) = body.next(from, patience).map_err(bad)? {
            answer.write(&part)?;
        }
        answer.finish()?;
        Ok(response.keeps && response.framing != Framing::Close)
    })();
    carried.map_err(Relay::Fault)
}
