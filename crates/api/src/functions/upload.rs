//! Code on its way in: streamed, bounded while it comes, and not waited for forever.

use std::time::Duration;

use axum::{body::Body, extract::Request, http::header};
use bytes::Bytes;
use flagbase_core::{
    functions::{Body as Code, BodyFault, BodyStream},
    refusal::{Class, Refusal},
};
use futures_util::{StreamExt as _, stream};

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
    let parts = stream(request, bounds)?;
    Code::Stream(parts, None).collect(bounds.most).await.map_err(|fault| refused(&fault))
}

fn refused(fault: &BodyFault) -> Refusal {
    let refusal = |code, message: String| Refusal::new(Class::Malformed, code, message);
    match fault {
        BodyFault::TooLarge(most) => too_large(*most),
        BodyFault::TooSlow => {
            refusal("request_timeout", "the code did not arrive in time; send it faster".to_owned())
        }
        BodyFault::Broken(_) => refusal("bad_body", format!("{fault}; send it again")),
    }
}

fn too_large(most: u64) -> Refusal {
    let message = format!("the code is larger than {most} bytes; raise `functions.max_code`, or deploy less");
    Refusal::new(Class::Malformed, "body_too_large", message)
}

/// The body as it comes.
fn stream(request: Request, bounds: Bounds) -> Result<BodyStream, Refusal> {
    let Bounds { most, patience } = bounds;
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    Ok(parts(request.into_body(), most, patience))
}

fn parts(body: Body, most: u64, patience: Duration) -> BodyStream {
    let parts = body.into_data_stream();
    let next = move |state: Option<(axum::body::BodyDataStream, u64)>| async move {
        let (mut parts, left) = state?;
        let part = match tokio::time::timeout(patience, parts.next()).await {
            Err(_) => Err(BodyFault::TooSlow),
            Ok(None) => return None,
            Ok(Some(Err(error))) => Err(BodyFault::Broken(error.to_string())),
            Ok(Some(Ok(part))) => Ok(part),
        };
        Some(match part {
            Err(fault) => (Err(fault), None),
            Ok(part) => match left.checked_sub(part.len() as u64) {
                Some(left) => (Ok(part), Some((parts, left))),
                None => (Err(BodyFault::TooLarge(most)), None),
            },
        })
    };
    stream::unfold(Some((parts, most)), next).boxed()
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn code_that_says_to_be_too_large_is_not_read_at_all() {
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
