//! Code on its way in: bounded while it comes, and not waited for forever.

use std::time::Duration;

use axum::{extract::Request, http::header};
use bytes::Bytes;
use flagbase_core::refusal::{Class, Refusal};
use futures_util::StreamExt as _;

/// How much code may be uploaded, and how long it may pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// In bytes.
    pub(super) most: u64,
    /// Between two parts.
    pub(super) patience: Duration,
}

/// The whole body of `request`.
///
/// # Errors
/// It is too large, breaks off, or does not come in time.
pub(super) async fn read(request: Request, bounds: Bounds) -> Result<Bytes, Refusal> {
    let Bounds { most, patience } = bounds;
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let mut parts = request.into_body().into_data_stream();
    if declared.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let mut code = Vec::with_capacity(declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
    loop {
        let slow = |_| malformed("request_timeout", "the code did not arrive in time; send it faster");
        match tokio::time::timeout(patience, parts.next()).await.map_err(slow)? {
            None => return Ok(code.into()),
            Some(Err(error)) => {
                return Err(malformed("bad_body", format!("the code broke off ({error}); send it again")));
            }
            Some(Ok(part)) if (code.len() + part.len()) as u64 > most => {
                return Err(too_large(most));
            }
            Some(Ok(part)) => code.extend_from_slice(&part),
        }
    }
}

fn malformed(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(Class::Malformed, code, message)
}

fn too_large(most: u64) -> Refusal {
    let message = format!("the code is larger than {most} bytes; raise `functions.max_code`, or deploy less");
    malformed("body_too_large", message)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;

    use super::*;

    const BOUNDS: Bounds = Bounds { most: 4, patience: Duration::from_secs(1) };

    async fn code(request: Request) -> Result<Bytes, &'static str> {
        read(request, BOUNDS).await.map_err(|refusal| refusal.code)
    }

    fn sent(parts: &[&'static str]) -> Request {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, std::io::Error>(*part)).collect();
        Request::new(Body::from_stream(stream::iter(parts)))
    }

    #[tokio::test]
    async fn code_arrives_as_it_was_sent() {
        assert_eq!(code(sent(&["ab", "cd"])).await.unwrap(), "abcd");
        assert!(code(sent(&[])).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn code_that_turns_out_too_large_is_cut_off_while_it_comes() {
        assert_eq!(code(sent(&["ab", "cde"])).await, Err("body_too_large"));
    }

    #[tokio::test(start_paused = true)]
    async fn code_that_says_to_be_too_large_is_not_waited_for() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::builder().header("content-length", "5").body(never).unwrap();
        assert_eq!(code(request).await, Err("body_too_large"));
    }

    #[tokio::test(start_paused = true)]
    async fn code_that_stops_coming_is_given_up() {
        let begun = stream::iter([Ok::<_, std::io::Error>("a")]).chain(stream::pending());
        assert_eq!(code(Request::new(Body::from_stream(begun))).await, Err("request_timeout"));
    }

    #[tokio::test]
    async fn code_that_breaks_off_is_refused() {
        let broken = stream::iter([Ok("a"), Err(std::io::Error::other("gone"))]);
        assert_eq!(code(Request::new(Body::from_stream(broken))).await, Err("bad_body"));
    }
}
