//! The first lines of a request or a response.

use std::io::{self, Write};

use super::{BodyError, Connection, Framing, Patience};

/// Largest head, in bytes.
const LARGEST: usize = 64 << 10;
/// Most headers.
const HEADERS: usize = 128;

/// A header: name and value.
pub(crate) type Header = (String, Vec<u8>);

/// Headers that are about one connection only (RFC 9110, section 7.6.1), and those that we write ourselves.
const OF_CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Without those about the connection.
    pub(crate) headers: Vec<Header>,
    pub(crate) framing: Framing,
    pub(crate) keeps: bool,
    /// Whether the other side waits for `100 Continue` before it sends the body.
    pub(crate) expects: bool,
}

impl Request {
    /// The first value of a header, as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Without those about the connection.
    pub(crate) headers: Vec<Header>,
    pub(crate) framing: Framing,
    pub(crate) keeps: bool,
}

/// Reads the head of a request; `None` when the other side has closed instead.
pub(crate) fn read_request(
    from: &mut Connection,
    patience: Patience<'_>,
) -> Result<Option<Request>, BodyError> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let status = parsed.parse(from.buffered()).map_err(|error| broken(&error.to_string()))?;
        if let (httparse::Status::Complete(length), Some(method), Some(target)) =
            (status, parsed.method, parsed.path)
        {
            let about = About::of(parsed.headers)?;
            let request = Request {
                method: method.to_owned(),
                target: target.to_owned(),
                headers: kept(parsed.headers),
                framing: about.framing(Framing::Empty)?,
                keeps: about.keeps(parsed.version),
                expects: about.expects,
            };
            from.consume(length);
            return Ok(Some(request));
        }
        if !more(from, patience)? {
            return Ok(None);
        }
    }
}

/// Reads the head of the response to a request with `method`, past those that are only provisional; `None` when the
/// other side has closed instead.
pub(crate) fn read_response(
    from: &mut Connection,
    method: &str,
    patience: Patience<'_>,
) -> Result<Option<Response>, BodyError> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let status = parsed.parse(from.buffered()).map_err(|error| broken(&error.to_string()))?;
        if let (httparse::Status::Complete(length), Some(code)) = (status, parsed.code) {
            if code == 101 || code < 100 {
                return Err(broken("it changes the protocol"));
            }
            let about = About::of(parsed.headers)?;
            let bodiless = method == "HEAD" || matches!(code, 100..=199 | 204 | 304);
            let response = Response {
                status: code,
                headers: kept(parsed.headers),
                framing: if bodiless { Framing::Empty } else { about.framing(Framing::Close)? },
                keeps: about.keeps(parsed.version),
            };
            from.consume(length);
            if code >= 200 {
                return Ok(Some(response));
            }
        } else if !more(from, patience)? {
            return Ok(None);
        }
    }
}

/// Whether there is more; an end in the middle is an error.
fn more(from: &mut Connection, patience: Patience<'_>) -> Result<bool, BodyError> {
    if from.buffered().len() > LARGEST {
        return Err(broken("its head is larger than 64 KiB"));
    }
    if from.fill(patience)? > 0 {
        return Ok(true);
    }
    if from.buffered().is_empty() { Ok(false) } else { Err(broken("it ends in its head")) }
}

fn broken(why: &str) -> BodyError {
    BodyError::Broken(why.to_owned())
}

fn kept(headers: &[httparse::Header<'_>]) -> Vec<Header> {
    let ours = |name: &str| OF_CONNECTION.iter().any(|of| name.eq_ignore_ascii_case(of));
    headers
        .iter()
        .filter(|header| !ours(header.name))
        .map(|header| (header.name.to_owned(), header.value.to_vec()))
        .collect()
}

/// What headers say about the connection and the body.
#[derive(Debug, Default)]
struct About {
    length: Option<u64>,
    chunked: bool,
    /// Whether the connection is said to go on; a no wins.
    goes_on: Option<bool>,
    expects: bool,
}

impl About {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, BodyError> {
        let mut about = Self::default();
        for header in headers {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            let is = |word: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
            match header.name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                    let length = value.parse().ok().filter(|_| digits);
                    let length: u64 = length.ok_or_else(|| broken("its length is no number"))?;
                    if about.length.is_some_and(|before| before != length) {
                        return Err(broken("it has two lengths"));
                    }
                    about.length = Some(length);
                }
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") && !about.chunked => {
                    about.chunked = true;
                }
                "transfer-encoding" => return Err(broken("its transfer encoding is not `chunked`")),
                "connection" => {
                    if is("close") {
                        about.goes_on = Some(false);
                    } else if is("keep-alive") && about.goes_on.is_none() {
                        about.goes_on = Some(true);
                    }
                }
                "expect" => about.expects = is("100-continue"),
                _ => {}
            }
        }
        Ok(about)
    }

    /// Where the body ends; `otherwise` when nothing is said.
    fn framing(&self, otherwise: Framing) -> Result<Framing, BodyError> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(broken("it has a length and chunks")),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(0)) => Ok(Framing::Empty),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(otherwise),
        }
    }

    fn keeps(&self, version: Option<u8>) -> bool {
        self.goes_on.unwrap_or(version == Some(1))
    }
}

/// Appends headers and the empty line after them.
pub(crate) fn write_headers(out: &mut Vec<u8>, headers: &[Header], framing: Framing) -> io::Result<()> {
    for (name, value) in headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    match framing {
        Framing::Length(length) => write!(out, "content-length: {length}\r\n")?,
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Empty | Framing::Close => {}
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::connection::given;
    use super::*;

    fn request(text: &str) -> Result<Option<Request>, BodyError> {
        read_request(&mut given(text.as_bytes()), Patience::default())
    }

    fn response(method: &str, text: &str) -> Result<Option<Response>, BodyError> {
        read_response(&mut given(text.as_bytes()), method, Patience::default())
    }

    #[test]
    fn a_request_is_read_without_what_is_about_the_connection() {
        let text = "PUT /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\nX-A: 1\r\n\r\n";
        let request = request(text).unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("PUT", "/a?b"));
        assert_eq!(request.headers, [("Host".into(), b"x".to_vec()), ("X-A".into(), b"1".to_vec())]);
        assert_eq!((request.framing, request.keeps), (Framing::Length(5), false));
        assert_eq!(request.header("x-a"), Some("1"));
    }

    #[test]
    fn two_ways_to_end_a_body_are_one_too_many() {
        for headers in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: +1",
            "Content-Length: ",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ] {
            let text = format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n");
            assert!(matches!(request(&text), Err(BodyError::Broken(_))), "{headers}");
        }
    }

    #[test]
    fn a_connection_that_was_closed_has_no_request_and_half_of_one_is_broken() {
        assert_eq!(request("").unwrap(), None);
        assert!(request("GET / HT").is_err());
    }

    #[test]
    fn a_head_that_does_not_end_is_refused() {
        let text = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(LARGEST));
        let error = request(&text).unwrap_err();
        assert!(error.to_string().contains("64 KiB"), "{error}");
    }

    #[test]
    fn provisional_answers_are_passed_over() {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(response("GET", text).unwrap().unwrap().status, 200);
    }

    #[test]
    fn an_answer_ends_as_it_says_or_with_the_connection() {
        let framing = |method, text: &str| response(method, text).unwrap().unwrap().framing;
        assert_eq!(framing("GET", "HTTP/1.1 200 OK\r\n\r\n"), Framing::Close);
        assert_eq!(framing("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), Framing::Length(3));
        assert_eq!(framing("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), Framing::Empty);
        assert_eq!(framing("GET", "HTTP/1.1 204 No\r\n\r\n"), Framing::Empty);
    }

    #[test]
    fn an_answer_that_changes_the_protocol_cannot_be_used() {
        assert!(response("GET", "HTTP/1.1 101 Switching\r\n\r\n").is_err());
    }

    #[test]
    fn an_old_server_closes_unless_it_says_otherwise() {
        let keeps = |text: &str| response("GET", text).unwrap().unwrap().keeps;
        assert!(!keeps("HTTP/1.0 200 OK\r\n\r\n"));
        assert!(keeps("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let read = read_request(&mut given(&bytes), Patience::default());
            proptest::prop_assert!(!matches!(read, Ok(Some(ref request)) if request.method.is_empty()));
        }
    }
}
