//! Requests and answers between HTTP and our own interface.

use flagbase_core::functions::{Body, Fault, Limits};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, request};

use super::bindings::exports::flagbase::faas::handler;

/// Headers of one answer, at most, and all their bytes.
const HEADERS: usize = 100;
const HEADER_BYTES: usize = 32 << 10;
/// Of a sentence that a function gives about itself.
const SENTENCE: usize = 500;

/// The headers that are text.
pub(super) fn headers(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

/// The request as the guest gets it.
pub(super) fn request<'a>(
    head: &'a request::Parts,
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
) -> handler::Request<'a> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    handler::Request { method: head.method.as_str(), target, headers, body }
}

/// The guest's answer, checked.
pub(super) fn response(answer: handler::Response, limits: &Limits) -> Result<Response<Body>, Fault> {
    let handler::Response { status, headers, body } = answer;
    // How a function in JavaScript says that an exception went through it.
    if status == 0 {
        return Err(Fault::Trapped(sentence(String::from_utf8_lossy(&body).into_owned())));
    }
    if body.len() as u64 > limits.response_body {
        let (size, most) = (body.len(), limits.response_body);
        return Err(Fault::LimitReached(format!(
            "the answer's body has {size} bytes, and it may have {most}"
        )));
    }
    let mut response = Response::new(if body.is_empty() { Body::Empty } else { Body::Whole(body.into()) });
    *response.status_mut() = StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| Fault::BadAnswer(format!("{status} is no status of an answer; use 200 to 599")))?;
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > HEADERS || bytes > HEADER_BYTES {
        let count = headers.len();
        return Err(Fault::LimitReached(format!(
            "the answer has {count} headers with {bytes} bytes, and it may have {HEADERS} with {HEADER_BYTES}"
        )));
    }
    for (name, value) in headers {
        let (name, value) = header(&name, value)?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

fn header(name: &str, value: String) -> Result<(HeaderName, HeaderValue), Fault> {
    let bad = || Fault::BadAnswer(format!("`{}` is no header", sentence(name.to_owned())));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
    Ok((name, HeaderValue::try_from(value).map_err(|_| bad())?))
}

/// A sentence of the guest, shortened.
pub(super) fn sentence(mut text: String) -> String {
    if text.len() > SENTENCE {
        let end = (0..=SENTENCE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: Vec<(&str, &str)>, body: &[u8]) -> Result<Response<Body>, Fault> {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let limits = Limits { response_body: 4, ..Limits::default() };
        response(handler::Response { status, headers, body: body.to_vec() }, &limits)
    }

    #[test]
    fn an_answer_keeps_status_headers_and_body() {
        let answer = answer(201, vec![("set-cookie", "a=1"), ("set-cookie", "b=2")], b"four").unwrap();
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        assert!(matches!(answer.body(), Body::Whole(bytes) if &bytes[..] == b"four"));
    }

    #[test]
    fn an_answer_that_is_none_is_refused() {
        for status in [42, 101, 199, 1000] {
            assert!(matches!(answer(status, vec![], b""), Err(Fault::BadAnswer(_))), "{status}");
        }
        for (name, value) in [("", ""), ("a b", "c"), ("a", "b\r\nc: d"), ("ä", "")] {
            assert!(matches!(answer(200, vec![(name, value)], b""), Err(Fault::BadAnswer(_))), "{name}");
        }
    }

    #[test]
    fn an_answer_that_is_too_large_is_a_limit() {
        assert!(matches!(answer(200, vec![], b"five!"), Err(Fault::LimitReached(_))));
        let many = vec![("a", "b"); HEADERS + 1];
        assert!(matches!(answer(200, many, b""), Err(Fault::LimitReached(_))));
        let long = "x".repeat(HEADER_BYTES);
        assert!(matches!(answer(200, vec![("a", &long)], b""), Err(Fault::LimitReached(_))));
    }

    #[test]
    fn a_sentence_is_cut_between_characters() {
        let cut = sentence("ä".repeat(400));
        assert!(cut.len() <= SENTENCE + '…'.len_utf8());
        assert!(cut.ends_with("ä…"));
        assert_eq!(sentence("short".to_owned()), "short");
    }
}
