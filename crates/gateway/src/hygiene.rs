//! Whether a request says one thing only, and which.
//!
//! What the HTTP parser lets through can still be read in two ways: two hosts, a target that names another host, a
//! method that asks for a tunnel. All requests are checked here, those of the API too.

use std::borrow::Cow;

use http::{HeaderMap, Method, StatusCode, Version, header, request::Parts};

use crate::problem::Problem;

/// The host a request is for, lower case, without port; empty when an HTTP/1.0 request names none.
pub(crate) fn host(parts: &Parts) -> Result<Cow<'_, str>, Problem> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        let detail = format!("`{}` is not possible here", parts.method);
        return Err(
            Problem::wrong_method("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned(), detail).close()
        );
    }
    coding(&parts.headers)?;
    let authority = authority(parts)?;
    let Some((name, lower)) = host_name(authority) else {
        return Err(bad_host(format!("`{}` is no host", authority.escape_debug())));
    };
    Ok(if lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) })
}

/// Only `chunked`, and only once: anything else can be read in two ways.
fn coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(first) = codings.next() else {
        return Ok(());
    };
    if codings.next().is_some() || headers.contains_key(header::CONTENT_LENGTH) {
        let detail =
            "the request states its length twice; send `Content-Length` or `Transfer-Encoding`, once";
        return Err(Problem::bad_request("ambiguous_length", detail).close());
    }
    if first.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let detail = "the only transfer coding understood is `chunked`";
    Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "unknown_transfer_coding", detail).close())
}

/// Where the request is for: its target's authority when it has one, else its `Host`.
fn authority(parts: &Parts) -> Result<&str, Problem> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad_host("the request has more than one `Host`; send one"));
    }
    let host =
        host.map(|host| host.to_str().map_err(|_| bad_host("the `Host` is not readable"))).transpose()?;
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    let http = parts.uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    if !http {
        return Err(Problem::bad_request("bad_target", "the target's scheme is neither `http` nor `https`"));
    }
    match (target, host) {
        (Some(target), Some(host))
            if parts.version == Version::HTTP_2 && !target.eq_ignore_ascii_case(host) =>
        {
            Err(bad_host("`:authority` and `Host` name different hosts; send one of them"))
        }
        (None, None) if parts.version != Version::HTTP_10 => {
            Err(bad_host("the request has no `Host`; send one"))
        }
        // RFC 9112 §3.2.2: the target of an absolute form stands above `Host`. HTTP/1.1 wants a `Host` all the same.
        (Some(_), None) if parts.version == Version::HTTP_11 => {
            Err(bad_host("the request has no `Host`; send one"))
        }
        (Some(target), _) => Ok(target),
        (None, host) => Ok(host.unwrap_or_default()),
    }
}

/// The name without its port, and whether it is lower case already; `None` when it is no host.
fn host_name(authority: &str) -> Option<(&str, bool)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (name, port) = (authority.get(..end)?, authority.get(end..)?);
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    let fits = name.len() <= 255 && name.bytes().all(plain) && port_fits;
    fits.then(|| (name, !name.bytes().any(|byte| byte.is_ascii_uppercase())))
}

fn bad_host(detail: impl Into<String>) -> Problem {
    Problem::bad_request("bad_host", detail).close()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: &str, target: &str, version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn told(method: &str, target: &str, version: Version, headers: &[(&str, &str)]) -> Result<String, u16> {
        let parts = parts(method, target, version, headers);
        host(&parts).map(Cow::into_owned).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn the_host_is_the_targets_or_the_headers_without_its_port() {
        for (target, headers, expected) in [
            ("/", &[("host", "Shop.Example.com:8080")][..], "shop.example.com"),
            ("/", &[("host", "[::1]:80")], "[::1]"),
            ("http://a.example.com/x", &[("host", "b.example.com")], "a.example.com"),
            ("/", &[("host", "")], ""),
        ] {
            assert_eq!(told("GET", target, Version::HTTP_11, headers).as_deref(), Ok(expected), "{target}");
        }
        assert_eq!(told("GET", "/", Version::HTTP_10, &[]).as_deref(), Ok(""));
        assert_eq!(told("GET", "http://a/x", Version::HTTP_2, &[]).as_deref(), Ok("a"));
    }

    #[test]
    fn a_request_that_says_two_things_is_refused() {
        for (target, version, headers) in [
            ("/", Version::HTTP_11, &[][..]),
            ("/", Version::HTTP_11, &[("host", "a"), ("host", "a")]),
            ("/", Version::HTTP_11, &[("host", "a,b")]),
            ("/", Version::HTTP_11, &[("host", "u@a")]),
            ("/", Version::HTTP_11, &[("host", "a/b")]),
            ("/", Version::HTTP_11, &[("host", "a:b")]),
            ("http://a/x", Version::HTTP_11, &[]),
            ("http://a/x", Version::HTTP_2, &[("host", "b")]),
            ("ftp://a/x", Version::HTTP_11, &[("host", "a")]),
            (
                "/",
                Version::HTTP_11,
                &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            ),
            (
                "/",
                Version::HTTP_11,
                &[("host", "a"), ("transfer-encoding", "chunked"), ("content-length", "5")],
            ),
        ] {
            assert_eq!(told("GET", target, version, headers), Err(400), "{target} {headers:?}");
        }
    }

    #[test]
    fn tunnels_and_traces_are_refused_and_other_codings_not_understood() {
        assert_eq!(told("CONNECT", "a:80", Version::HTTP_11, &[("host", "a")]), Err(405));
        assert_eq!(told("TRACE", "/", Version::HTTP_11, &[("host", "a")]), Err(405));
        assert_eq!(
            told("POST", "/", Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "gzip, chunked")]),
            Err(501)
        );
    }
}
