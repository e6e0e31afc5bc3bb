//! Redirects, as browsers follow them (Fetch, 4.4).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use url::Url;

use super::{Failure, NOT_FOR_GUESTS, without};

/// How many are followed.
pub(super) const MOST: u32 = 5;
/// Says `follow`, `manual` or `error`; never sent.
const WISH: &str = "x-flagbase-redirect";
/// In an answer that was redirected: where it came from.
pub(super) const ADDRESS: &str = "x-flagbase-address";

/// Whatever said something about a body that is not sent any more.
const ABOUT_BODIES: [HeaderName; 4] =
    [header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_LOCATION, header::CONTENT_TYPE];
/// What one site is told and another must not hear.
const ABOUT_CALLERS: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

/// What to do about redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    Follow,
    Manual,
    Error,
}

/// A request on its way.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Hop {
    /// As a guest wrote it.
    pub(super) fn first(request: Request<Bytes>) -> Result<(Redirects, Self), Failure> {
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        let redirects = match headers.remove(WISH).as_ref().map(http::HeaderValue::as_bytes) {
            None | Some(b"follow") => Redirects::Follow,
            Some(b"manual") => Redirects::Manual,
            Some(b"error") => Redirects::Error,
            Some(_) => return Err(Failure::Failed(format!("`{WISH}` is `follow`, `manual` or `error`"))),
        };
        without(&mut headers, &NOT_FOR_GUESTS);
        let url = address(&parts.uri.to_string())?;
        if [Method::CONNECT, Method::TRACE].contains(&parts.method) {
            return Err(Failure::Denied(format!("functions do not send `{}`", parts.method)));
        }
        Ok((redirects, Self { method: parts.method, url, headers, body }))
    }

    /// Where `answer` sends it; `None` when it is no redirect.
    pub(super) fn next(&self, answer: &Response<Bytes>) -> Result<Option<Self>, Failure> {
        let status = answer.status();
        let redirects = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(to) = answer.headers().get(header::LOCATION).filter(|_| redirects) else { return Ok(None) };
        let lost = || Failure::Failed("it redirects to something that is no address".to_owned());
        let mut url = self.url.join(to.to_str().map_err(|_| lost())?).map_err(|_| lost())?;
        url.set_fragment(None);
        let mut next = Self { url, ..self.clone() };
        if becomes_get(status, &self.method) {
            next.method = Method::GET;
            next.body = Bytes::new();
            without(&mut next.headers, &ABOUT_BODIES);
        }
        if next.url.origin() != self.url.origin() {
            without(&mut next.headers, &ABOUT_CALLERS);
        }
        Ok(Some(next))
    }
}

/// Reads an address that can be asked.
pub(super) fn address(text: &str) -> Result<Url, Failure> {
    let url =
        Url::parse(text).map_err(|error| Failure::Failed(format!("`{text}` is no address: {error}")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(Failure::Denied(format!("`{other}:` cannot be asked, only `http:` and `https:`"))),
    }
}

fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301 | 302 => *method == Method::POST,
        303 => *method != Method::GET && *method != Method::HEAD,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(method: Method) -> Hop {
        let request = Request::builder()
            .method(method)
            .uri("https://api.example.com/a/b?x=1")
            .header("authorization", "Bearer t")
            .header("cookie", "a=b")
            .header("content-type", "text/plain")
            .header("host", "evil.example")
            .header("x-own", "1");
        Hop::first(request.body(Bytes::from_static(b"body")).unwrap()).unwrap().1
    }

    fn after(method: Method, status: u16, location: &str) -> Hop {
        let answer =
            Response::builder().status(status).header("location", location).body(Bytes::new()).unwrap();
        hop(method).next(&answer).unwrap().unwrap()
    }

    #[test]
    fn the_host_of_a_request_is_not_the_guests_to_say() {
        assert!(!hop(Method::GET).headers.contains_key("host"));
    }

    #[test]
    fn methods_and_bodies_change_as_in_browsers() {
        for (method, status, kept) in [
            (Method::POST, 301, false),
            (Method::POST, 302, false),
            (Method::PUT, 302, true),
            (Method::PUT, 303, false),
            (Method::POST, 307, true),
            (Method::POST, 308, true),
        ] {
            let next = after(method.clone(), status, "/c");
            let expected = if kept { method.clone() } else { Method::GET };
            assert_eq!(next.method, expected, "{method} {status}");
            assert_eq!(next.body.is_empty(), !kept, "{method} {status}");
            assert_eq!(next.headers.contains_key("content-type"), kept, "{method} {status}");
        }
    }

    #[test]
    fn addresses_are_joined_and_lose_their_fragment() {
        assert_eq!(after(Method::GET, 302, "../c#x").url.as_str(), "https://api.example.com/c");
        assert_eq!(after(Method::GET, 302, "//other.example/").url.as_str(), "https://other.example/");
    }

    #[test]
    fn another_origin_does_not_hear_what_the_first_was_told() {
        let same = after(Method::GET, 302, "/c").headers;
        assert!(same.contains_key("authorization") && same.contains_key("cookie"));
        for other in ["https://other.example/", "http://api.example.com/", "https://api.example.com:8443/"] {
            let headers = after(Method::GET, 307, other).headers;
            assert!(!headers.contains_key("authorization") && !headers.contains_key("cookie"), "{other}");
            assert!(headers.contains_key("x-own"));
        }
    }

    #[test]
    fn only_redirects_with_a_place_to_go_are_followed() {
        for (status, location) in [(200, Some("/c")), (304, Some("/c")), (300, Some("/c")), (302, None)] {
            let mut answer = Response::builder().status(status);
            if let Some(location) = location {
                answer = answer.header("location", location);
            }
            assert!(
                hop(Method::GET).next(&answer.body(Bytes::new()).unwrap()).unwrap().is_none(),
                "{status}"
            );
        }
    }

    #[test]
    fn a_wish_is_read_and_not_sent() {
        for (wish, expected) in
            [("follow", Redirects::Follow), ("manual", Redirects::Manual), ("error", Redirects::Error)]
        {
            let request = Request::get("https://a.example").header(WISH, wish).body(Bytes::new()).unwrap();
            let (redirects, hop) = Hop::first(request).unwrap();
            assert_eq!(redirects, expected);
            assert!(!hop.headers.contains_key(WISH));
        }
        let request = Request::get("https://a.example").header(WISH, "maybe").body(Bytes::new()).unwrap();
        assert!(Hop::first(request).is_err());
    }

    #[test]
    fn only_web_addresses_are_asked() {
        for text in ["ftp://a.example/", "file:///etc/passwd", "data:,x", "/relative", "http://"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
