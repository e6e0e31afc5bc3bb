//! The environment of a command: meta-variables of CGI (RFC 3875, 4.1), what is running, and the function's own.

use flagbase_core::functions::Visit;
use http::{HeaderName, header, request::Parts};

/// For a request with a body of so many bytes.
pub(super) fn of_request(visit: &Visit, parts: &Parts, body: usize) -> Vec<(String, String)> {
    let mut all = of_visit(visit);
    let mut put = |name: &str, value: &str| all.push((name.to_owned(), value.to_owned()));
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let secure = header(HeaderName::from_static("x-forwarded-proto")) == Some("https");
    let (host, port) = authority(header(header::HOST).unwrap_or("localhost"), secure);
    put("GATEWAY_INTERFACE", "CGI/1.1");
    put("SERVER_SOFTWARE", concat!("Flagbase/", env!("CARGO_PKG_VERSION")));
    put("SERVER_PROTOCOL", "HTTP/1.1");
    put("SERVER_NAME", host);
    put("SERVER_PORT", port);
    put("REQUEST_METHOD", parts.method.as_str());
    put("SCRIPT_NAME", &format!("/functions/{}", visit.deployed.function));
    put("PATH_INFO", &decoded(parts.uri.path()));
    put("QUERY_STRING", parts.uri.query().unwrap_or_default());
    put("REQUEST_URI", parts.uri.path_and_query().map_or("/", |target| target.as_str()));
    put("REMOTE_ADDR", remote(header(HeaderName::from_static("x-forwarded-for"))));
    if secure {
        put("HTTPS", "on");
    }
    if !visit.caller.id.is_empty() {
        put("REMOTE_USER", &visit.caller.id);
    }
    if body > 0 {
        put("CONTENT_LENGTH", &body.to_string());
    }
    if let Some(kind) = header(header::CONTENT_TYPE) {
        put("CONTENT_TYPE", kind);
    }
    all.extend(headers(parts));
    all
}

/// For an event or a moment of a schedule.
pub(super) fn of_occasion(visit: &Visit, occasion: &str) -> Vec<(String, String)> {
    let mut all = of_visit(visit);
    all.push(("FLAGBASE_OCCASION".to_owned(), occasion.to_owned()));
    all
}

/// The function's own variables, then what is running and for whom, which no variable may feign.
fn of_visit(visit: &Visit) -> Vec<(String, String)> {
    let deployed = &visit.deployed;
    let own = deployed.settings.variables.iter().filter(|(name, _)| !is_ours(name));
    let mut all: Vec<_> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut put = |name: &str, value: &str| all.push((name.to_owned(), value.to_owned()));
    put("FLAGBASE_FUNCTION", &deployed.function);
    put("FLAGBASE_VERSION", &deployed.version.to_string());
    put("FLAGBASE_ENVIRONMENT", &deployed.environment);
    put("FLAGBASE_REQUEST_ID", &visit.id);
    if let Some(trace) = &visit.trace {
        put("FLAGBASE_TRACEPARENT", trace.as_str());
    }
    if !visit.caller.id.is_empty() {
        put("FLAGBASE_USER_EMAIL", &visit.caller.email);
        put("FLAGBASE_USER_ROLE", &visit.caller.role);
        put("FLAGBASE_USER_GROUPS", &visit.caller.groups.join(","));
    }
    all
}

/// Whether a name is one that we, or CGI, give a meaning.
fn is_ours(name: &str) -> bool {
    const CGI: [&str; 17] = [
        "AUTH_TYPE",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "GATEWAY_INTERFACE",
        "HTTPS",
        "PATH_INFO",
        "PATH_TRANSLATED",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "REMOTE_USER",
        "REQUEST_METHOD",
        "REQUEST_URI",
        "SCRIPT_NAME",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
        "SERVER_SOFTWARE",
    ];
    name.starts_with("HTTP_")
        || name.starts_with("FLAGBASE_")
        || CGI.contains(&name)
        || name.contains(['=', '\0'])
}

/// Headers as `HTTP_…`, several values of one joined. Without `Proxy`, which programs would take for the address of a
/// proxy; without names that would meet another's once `-` is `_`.
fn headers(parts: &Parts) -> impl Iterator<Item = (String, String)> {
    let elsewhere =
        [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING];
    let names = parts.headers.keys().filter(move |name| {
        !elsewhere.contains(name) && name.as_str() != "proxy" && !name.as_str().contains('_')
    });
    names.filter_map(|name| {
        let values: Vec<_> =
            parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        let separator = if name == header::COOKIE { "; " } else { ", " };
        let variable = name.as_str().to_ascii_uppercase().replace('-', "_");
        (!values.is_empty()).then(|| (format!("HTTP_{variable}"), values.join(separator)))
    })
}

/// Host and port of `Host`.
fn authority(host: &str, secure: bool) -> (&str, &str) {
    let default = if secure { "443" } else { "80" };
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, port)
        }
        _ => (host, default),
    }
}

/// The caller's address, as the nearest proxy saw it.
fn remote(forwarded: Option<&str>) -> &str {
    forwarded.and_then(|list| list.rsplit(',').next()).map_or("127.0.0.1", str::trim)
}

/// A path without percent signs; what would be no text, or end the variable, is left as it came.
fn decoded(path: &str) -> String {
    let bytes: Option<Vec<u8>> = percent(path.as_bytes());
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| !text.contains('\0'))
        .unwrap_or_else(|| path.to_owned())
}

fn percent(mut path: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(path.len());
    while let [first, rest @ ..] = path {
        path = rest;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = path.split_at_checked(2)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).ok()?;
        bytes.extend(byte);
        path = after;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use flagbase_core::{
        caller::Caller,
        functions::{Deployed, Digest, Settings, Shape},
    };
    use http::Request;

    use super::*;

    fn visit(variables: &[(&str, &str)]) -> Visit {
        let own = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Visit {
            deployed: Arc::new(Deployed {
                environment: "production".into(),
                function: "hello".into(),
                version: 3,
                digest: Digest::of(b""),
                shape: Shape::Command,
                settings: Arc::new(Settings { variables: own.collect(), ..Settings::default() }),
            }),
            caller: Caller::nobody(),
            id: "r1".into(),
            trace: None,
            attributes: [].into(),
        }
    }

    fn variables(request: http::request::Builder, body: usize) -> BTreeMap<String, String> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        of_request(
            &visit(&[("GREETING", "hi"), ("HTTP_HOST", "evil"), ("FLAGBASE_VERSION", "9")]),
            &parts,
            body,
        )
        .into_iter()
        .collect()
    }

    #[test]
    fn a_request_is_told_as_cgi_has_it() {
        let request = Request::post("/a%20b/c?x=1&y=%20")
            .header("host", "functions.example.com:8443")
            .header("content-type", "text/plain")
            .header("x-forwarded-for", "198.51.100.7, 203.0.113.9")
            .header("accept", "text/html")
            .header("accept", "text/plain");
        let all = variables(request, 5);
        for (name, value) in [
            ("REQUEST_METHOD", "POST"),
            ("PATH_INFO", "/a b/c"),
            ("QUERY_STRING", "x=1&y=%20"),
            ("SCRIPT_NAME", "/functions/hello"),
            ("SERVER_NAME", "functions.example.com"),
            ("SERVER_PORT", "8443"),
            ("CONTENT_LENGTH", "5"),
            ("CONTENT_TYPE", "text/plain"),
            ("REMOTE_ADDR", "203.0.113.9"),
            ("HTTP_ACCEPT", "text/html, text/plain"),
            ("GREETING", "hi"),
            ("FLAGBASE_VERSION", "3"),
        ] {
            assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!all.contains_key("HTTP_CONTENT_TYPE") && !all.contains_key("REMOTE_USER"), "{all:?}");
    }

    #[test]
    fn no_header_and_no_variable_takes_a_name_with_a_meaning() {
        let request =
            Request::get("/").header("proxy", "http://evil.example").header("x_forwarded_for", "1.2.3.4");
        let all = variables(request, 0);
        assert!(!all.contains_key("HTTP_PROXY") && !all.contains_key("HTTP_X_FORWARDED_FOR"), "{all:?}");
        assert!(!all.contains_key("HTTP_HOST") && !all.contains_key("CONTENT_LENGTH"), "{all:?}");
    }

    #[test]
    fn a_path_that_is_no_text_stays_encoded() {
        assert_eq!(decoded("/%ff"), "/%ff");
        assert_eq!(decoded("/%00"), "/%00");
        assert_eq!(decoded("/%4"), "/%4");
        assert_eq!(decoded("/%c3%bc%2f"), "/ü/");
    }
}
