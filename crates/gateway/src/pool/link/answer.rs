//! The head of an upstream's answer, and what it says about the body that follows (RFC 9112 §6.3).

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, response::Parts};

use super::{Broken, LARGEST_HEAD, chunked::Chunked};
use crate::headers;

/// Header fields an answer may have.
const MOST_FIELDS: usize = 100;

/// How the end of a body is known.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes are to come.
    Length(u64),
    Chunked(Chunked),
    /// It ends with the connection.
    Close,
}

/// A whole head.
#[derive(Debug)]
pub(super) struct Head {
    /// Status and headers, without those that concern the connection only.
    pub(super) parts: Parts,
    pub(super) framing: Framing,
    /// Whether the connection can serve another request after this answer.
    pub(super) reusable: bool,
}

/// Takes the head of the answer to a request of `method` out of `bytes`; `None` when it is not all there. Interim
/// answers are passed over.
pub(super) fn take(bytes: &mut BytesMut, method: &Method) -> Result<Option<Head>, Broken> {
    loop {
        let Some(end) = end(bytes) else {
            return if bytes.len() > LARGEST_HEAD {
                Err(Broken::Nonsense("its head is too large"))
            } else {
                Ok(None)
            };
        };
        let head = read(bytes.split_to(end), method)?;
        match head.parts.status {
            StatusCode::SWITCHING_PROTOCOLS => {
                return Err(Broken::Nonsense("it switched to a protocol that nobody asked for"));
            }
            status if status.is_informational() => {}
            _ => return Ok(Some(head)),
        }
    }
}

/// Where the head ends: after the first empty line.
fn end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// The transfer coding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    Other,
}

/// What the connection's own headers say.
#[derive(Debug, Default)]
struct Connection {
    length: Option<u64>,
    coding: Option<Coding>,
    close: bool,
    keep_alive: bool,
    /// Names other headers that concern the connection only.
    names_others: bool,
}

fn read(head: BytesMut, method: &Method) -> Result<Head, Broken> {
    let head = head.freeze();
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut answer = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut answer, &head, &mut fields);
    if !matches!(parsed, Ok(httparse::Status::Complete(_))) {
        return Err(Broken::Nonsense("its head cannot be read"));
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Broken::Nonsense("its status is out of range"))?;
    let connection = Connection::of(answer.headers)?;
    let mut map = HeaderMap::with_capacity(answer.headers.len() + 4);
    for field in &*answer.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Broken::Nonsense("a header's name cannot be read"))?;
        let of_connection = headers::is_hop_by_hop(&name) && !connection.names_others;
        let second_length = name == header::CONTENT_LENGTH
            && (connection.coding.is_some() || map.contains_key(header::CONTENT_LENGTH));
        if of_connection || second_length {
            continue;
        }
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value))
            .map_err(|_| Broken::Nonsense("a header's value cannot be read"))?;
        map.append(name, value);
    }
    if connection.names_others {
        headers::clean_answer(&mut map);
    }
    let framing = connection.framing(method, status);
    let lasting = if answer.version == Some(1) { !connection.close } else { connection.keep_alive };
    // Both lengths at once is how answers are smuggled (RFC 9112 §6.3): what follows is not trusted.
    let agrees = connection.coding.is_none() || connection.length.is_none();
    let reusable = lasting && agrees && !matches!(framing, Framing::Close);
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = map;
    Ok(Head { parts: response.into_parts().0, framing, reusable })
}

impl Connection {
    fn of(fields: &[httparse::Header<'_>]) -> Result<Self, Broken> {
        let mut found = Self::default();
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                10 if is("connection") => found.connection(field.value),
                14 if is("content-length") => found.length(field.value)?,
                17 if is("transfer-encoding") => {
                    if found.coding.is_some() {
                        return Err(Broken::Nonsense("it states its transfer coding twice"));
                    }
                    let chunked = field.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                    found.coding = Some(if chunked { Coding::Chunked } else { Coding::Other });
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !token.is_empty() {
                self.names_others = true;
            }
        }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Broken> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        match (length, self.length) {
            (None, _) => Err(Broken::Nonsense("its length cannot be read")),
            (Some(new), Some(old)) if new != old => Err(Broken::Nonsense("it states two lengths")),
            (length, _) => {
                self.length = length;
                Ok(())
            }
        }
    }

    fn framing(&self, method: &Method, status: StatusCode) -> Framing {
        let bodiless = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match (self.coding, self.length) {
            _ if bodiless => Framing::Length(0),
            (Some(Coding::Chunked), _) => Framing::Chunked(Chunked::default()),
            (None, Some(length)) => Framing::Length(length),
            (Some(Coding::Other), _) | (None, None) => Framing::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(text: &str, method: &Method) -> Result<Option<Head>, Broken> {
        take(&mut BytesMut::from(text), method)
    }

    /// The framing in short, and whether the connection can be used again.
    fn framing(text: &str, method: &Method) -> (String, bool) {
        let head = taken(text, method).unwrap().unwrap();
        let framing = match head.framing {
            Framing::Length(length) => length.to_string(),
            Framing::Chunked(_) => "chunked".to_owned(),
            Framing::Close => "close".to_owned(),
        };
        (framing, head.reusable)
    }

    #[test]
    fn the_end_of_a_body_is_known_as_the_specification_says() {
        for (headers, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5", ("5", true)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5", ("5", true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", ("chunked", true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", ("chunked", false)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip", ("close", false)),
            ("HTTP/1.1 200 OK", ("close", false)),
            ("HTTP/1.1 204 No Content", ("0", true)),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5", ("0", true)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close", ("5", false)),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5", ("5", false)),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive", ("5", true)),
        ] {
            let (framing, reusable) = framing(&format!("{headers}\r\n\r\n"), &Method::GET);
            assert_eq!((framing.as_str(), reusable), expected, "{headers}");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(framing(head, &Method::HEAD), ("0".to_owned(), true));
        let kept = taken(head, &Method::HEAD).unwrap().unwrap().parts.headers;
        assert_eq!(kept["content-length"], "5", "what a GET would have is told all the same");
    }

    #[test]
    fn headers_of_the_connection_stay_with_it() {
        let text = "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
                    Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n";
        let headers = taken(text, &Method::GET).unwrap().unwrap().parts.headers;
        assert_eq!((headers.len(), headers.get_all("set-cookie").iter().count()), (2, 2), "{headers:?}");
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\n\r\nrest";
        let mut bytes = BytesMut::from(text);
        let head = take(&mut bytes, &Method::GET).unwrap().unwrap();
        assert_eq!(
            (head.parts.status, head.parts.headers.len(), &bytes[..]),
            (StatusCode::CREATED, 0, &b"rest"[..])
        );
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for nonsense in [
            "what?\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 99 x\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        ] {
            assert!(taken(nonsense, &Method::GET).is_err(), "{nonsense:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(LARGEST_HEAD));
        assert!(taken(&endless, &Method::GET).is_err());
        assert!(taken("HTTP/1.1 200 OK\r\na: b\r\n", &Method::GET).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "(HTTP/1\\.1 [0-9]{3} x\r\n)?([a-z-]{0,12}:? ?.{0,8}\r?\n){0,6}\r?\n?") {
            let _ = taken(&text, &Method::GET);
        }
    }
}
