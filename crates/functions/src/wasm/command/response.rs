//! From what a program wrote to a response: headers as CGI has them, or plain text without any.

use bytes::Bytes;
use flagbase_core::functions::{Body, Fault};
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, TRANSFER_ENCODING},
};

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Reads a program's output, whose body may have `most` bytes.
pub(super) fn parse(output: &Bytes, most: u64) -> Result<Response<Body>, Fault> {
    let (mut response, body) = match head(output)? {
        Some((response, length)) => (response, output.slice(length..)),
        None => (plain(), output.clone()),
    };
    if body.len() as u64 > most {
        return Err(Fault::LimitReached(format!(
            "its answer has {} bytes, and it may have {most}",
            body.len()
        )));
    }
    if !body.is_empty() {
        *response.body_mut() = Body::Whole(body);
    }
    Ok(response)
}

fn plain() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    response.headers_mut().insert(CONTENT_TYPE, PLAIN);
    response
}

/// The head, and how many bytes it takes; `None` when there is none. One of `Content-Type`, `Status` and `Location` has
/// to be there (RFC 3875, 6.2), else it is text that happens to have colons.
fn head(output: &[u8]) -> Result<Option<(Response<Body>, usize)>, Fault> {
    let mut response = Response::new(Body::Empty);
    let (mut rest, mut known, mut status) = (output, false, None);
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = field(line) else { return Ok(None) };
        known |= name == CONTENT_TYPE || name == LOCATION || name == "status";
        if name == "status" {
            status = Some(code(&value)?);
        } else if ![CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH].contains(&name) {
            response.headers_mut().append(name, value);
        }
    }
    if !known {
        return Ok(None);
    }
    let implied = if response.headers().contains_key(LOCATION) { StatusCode::FOUND } else { StatusCode::OK };
    *response.status_mut() = status.unwrap_or(implied);
    Ok(Some((response, output.len() - rest.len())))
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..)?.trim_ascii();
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

fn code(value: &HeaderValue) -> Result<StatusCode, Fault> {
    let text = value.to_str().unwrap_or_default();
    let number = text.split_whitespace().next().unwrap_or_default();
    // Interim answers are the server's own.
    StatusCode::from_bytes(number.as_bytes())
        .ok()
        .filter(|code| !code.is_informational())
        .ok_or_else(|| Fault::BadAnswer(format!("`Status: {text}` has no number between 200 and 999")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(output: &'static str) -> (u16, Vec<(String, String)>, String) {
        let response = parse(&Bytes::from_static(output.as_bytes()), 1000).unwrap();
        let (parts, body) = response.into_parts();
        let headers =
            parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let body = match body {
            Body::Whole(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => String::new(),
        };
        (parts.status.as_u16(), headers.collect(), body)
    }

    #[test]
    fn headers_end_at_the_first_empty_line_whatever_ends_lines() {
        let json = vec![("content-type".to_owned(), "application/json".to_owned())];
        assert_eq!(
            read("Content-Type: application/json\n\n{}\n\n"),
            (200, json.clone(), "{}\n\n".to_owned())
        );
        assert_eq!(read("content-type:application/json\r\n\r\n{}"), (200, json, "{}".to_owned()));
    }

    #[test]
    fn a_status_and_a_location_mean_what_they_say() {
        assert_eq!(read("Status: 418 I'm a teapot\n\nshort").0, 418);
        assert_eq!(read("Status: 204\n\n"), (204, vec![], String::new()));
        let away = vec![("location".to_owned(), "https://example.com/".to_owned())];
        assert_eq!(read("Location: https://example.com/\n\n"), (302, away.clone(), String::new()));
        assert_eq!(read("Status: 308\nLocation: https://example.com/\n\n").0, 308);
    }

    #[test]
    fn what_frames_the_answer_is_not_the_programs_to_say() {
        let (_, headers, _) =
            read("Content-Length: 7\nTransfer-Encoding: chunked\nConnection: close\nContent-Type: a/b\n\nx");
        assert_eq!(headers, vec![("content-type".to_owned(), "a/b".to_owned())]);
    }

    #[test]
    fn text_without_headers_is_plain_text() {
        for text in ["", "hello", "hello\n\nthere", "Note: this is no header\n\nreally", "ü: no\n\n"] {
            let (status, headers, body) = read(text);
            assert_eq!((status, body.as_str()), (200, text), "{text:?}");
            assert_eq!(headers, vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())]);
        }
    }

    #[test]
    fn a_status_that_is_none_is_a_bad_answer() {
        for text in ["Status: tea\n\n", "Status: 42\n\n", "Status: 100\n\n", "Status:\n\n"] {
            let fault = parse(&Bytes::from_static(text.as_bytes()), 1000).unwrap_err();
            assert!(matches!(fault, Fault::BadAnswer(_)), "{text:?}: {fault}");
        }
    }

    #[test]
    fn only_the_body_counts_towards_the_limit() {
        let output = Bytes::from_static(b"Content-Type: text/plain\n\n0123456789");
        assert!(parse(&output, 10).is_ok());
        assert!(matches!(parse(&output, 9), Err(Fault::LimitReached(_))));
    }

    proptest! {
        #[test]
        fn any_output_is_an_answer_or_a_fault(output in proptest::collection::vec(any::<u8>(), 0..200)) {
            let output = Bytes::from(output);
            if let Ok(response) = parse(&output, 1000) {
                prop_assert!(!response.status().is_informational());
            }
        }
    }
}
