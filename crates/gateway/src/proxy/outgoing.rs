//! A request as it goes to an upstream.

use bytes::Bytes;
use flagbase_core::gateway::{CompiledRoute, Target};
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version, header,
    uri::{PathAndQuery, Scheme},
};

use crate::{body::RequestBody, headers::Outbound, pool::write_field, problem::Problem};

/// A request as its upstream gets it, whichever target and connection that will be.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) route: &'a CompiledRoute,
    pub(super) method: &'a Method,
    /// Clean, below the gateway's mount.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: Outbound<'a>,
}

impl Outgoing<'_> {
    /// Writes the head for an HTTP/1.1 connection to `target`, without its end.
    pub(super) fn write(&self, target: &Target, lines: &mut Vec<u8>) {
        lines.extend_from_slice(self.method.as_str().as_bytes());
        lines.push(b' ');
        self.write_path(&target.url.base_path, lines);
        lines.extend_from_slice(b" HTTP/1.1\r\n");
        write_field(lines, "host", self.host(target).as_bytes());
        self.headers.each(|name, value| write_field(lines, name.as_str(), value.as_bytes()));
    }

    /// The request with `body`, for an HTTP/2 connection to `target` or for one that is upgraded.
    pub(super) fn request(
        &self,
        target: &Target,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, Problem> {
        let mut path = Vec::new();
        self.write_path(&target.url.base_path, &mut path);
        let mut uri = http::uri::Parts::default();
        let path = PathAndQuery::from_maybe_shared(Bytes::from(path)).map_err(|error| too_odd(&error))?;
        uri.path_and_query = Some(path);
        let mut request = Request::new(body);
        if target.url.scheme.is_http2() {
            let secure = target.url.scheme.is_secure();
            uri.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
            uri.authority = target.url.authority.parse().ok();
            *request.version_mut() = Version::HTTP_2;
        } else {
            request.headers_mut().insert(header::HOST, self.host(target).clone());
        }
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from_parts(uri).map_err(|error| too_odd(&error))?;
        let headers = request.headers_mut();
        headers.reserve(self.headers.sent.len() + 16);
        self.headers.each(|name, value| {
            headers.append(name, value.clone());
        });
        Ok(request)
    }

    fn host<'h>(&'h self, target: &'h Target) -> &'h HeaderValue {
        let kept = self.headers.host().filter(|_| self.route.route.preserve_host);
        kept.unwrap_or(&target.host_header)
    }

    fn write_path(&self, base: &str, lines: &mut Vec<u8>) {
        let rest = self.route.stripped(self.path);
        let rest = if rest.is_empty() && base.is_empty() { "/" } else { rest };
        lines.extend_from_slice(base.as_bytes());
        lines.extend_from_slice(rest.as_bytes());
        if let Some(query) = self.query {
            lines.push(b'?');
            lines.extend_from_slice(query.as_bytes());
        }
    }
}

fn too_odd(error: &dyn std::error::Error) -> Problem {
    Problem::bad_request("bad_target", format!("the request's target cannot be forwarded: {error}"))
}

/// The `Connection` and `Upgrade` of a WebSocket handshake.
pub(super) fn ask_for_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flagbase_core::{
        caller::Caller,
        gateway::{AddressPolicy, Route},
    };
    use serde_json::{Value, json};

    use crate::headers::{Decided, Forwarding, Identified};

    use super::*;

    /// The request line and the `Host` that the first target of `route` gets.
    fn aimed(route: &Value, path: &str, query: Option<&str>) -> (String, String) {
        with_outgoing(route, path, query, |outgoing, target| {
            let mut lines = Vec::new();
            outgoing.write(target, &mut lines);
            let text = String::from_utf8(lines).unwrap();
            let (line, rest) = text.split_once("\r\n").unwrap();
            let host = rest.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
            let line = line.strip_prefix("GET ").unwrap().strip_suffix(" HTTP/1.1").unwrap();
            (line.to_owned(), host.to_owned())
        })
    }

    fn with_outgoing<T>(
        route: &Value,
        path: &str,
        query: Option<&str>,
        see: impl FnOnce(&Outgoing<'_>, &Target) -> T,
    ) -> T {
        let open = AddressPolicy { loopback: true, private: true };
        let mut body = json!({"id": "r"});
        body.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
        let route = Arc::new(CompiledRoute::new(Route::from_json(&body, open).unwrap(), 1).unwrap());
        let with = Forwarding {
            trusted: false,
            peer: &HeaderValue::from_static("192.0.2.1"),
            host: Some(HeaderValue::from_static("shop.example.com")),
            forward_token: false,
            request_id: HeaderValue::from_static("id-1"),
        };
        let headers = Outbound {
            sent: &HeaderMap::new(),
            with,
            environment: &HeaderValue::from_static("default"),
            caller: &Identified::new(&Caller::nobody()),
            decided: Decided::default(),
        };
        let outgoing = Outgoing { route: &route, method: &Method::GET, path, query, headers };
        see(&outgoing, &route.upstreams()[0].targets[0])
    }

    #[test]
    fn the_upstream_sees_its_own_base_the_rest_of_the_path_and_the_query() {
        for (route, path, query, expected) in [
            (json!({"pattern": "/x", "backend_url": "http://a"}), "/x", None, "/x"),
            (json!({"pattern": "/x", "backend_url": "http://a/base/"}), "/x", Some("q=%2F"), "/base/x?q=%2F"),
            (
                json!({"pattern": "/x/*", "strip_prefix": true, "backend_url": "http://a"}),
                "/x",
                Some(""),
                "/?",
            ),
            (
                json!({"pattern": "/x/*", "strip_prefix": true, "backend_url": "http://a"}),
                "/x/y/",
                None,
                "/y/",
            ),
            (json!({"pattern": "/x", "strip_prefix": true, "backend_url": "http://a/b"}), "/x", None, "/b"),
        ] {
            assert_eq!(aimed(&route, path, query).0, expected, "{route}");
        }
    }

    #[test]
    fn the_host_is_the_upstreams_unless_the_route_keeps_the_clients() {
        assert_eq!(aimed(&json!({"pattern": "/x", "backend_url": "http://a:81"}), "/x", None).1, "a:81");
        let kept = json!({"pattern": "/x", "backend_url": "http://a:81", "preserve_host": true});
        assert_eq!(aimed(&kept, "/x", None).1, "shop.example.com");
    }

    #[test]
    fn http2_upstreams_are_addressed_in_the_target() {
        let route = json!({"pattern": "/x", "backend_url": "h2c://a:81"});
        with_outgoing(&route, "/x", None, |outgoing, target| {
            let request = outgoing.request(target, RequestBody::default()).unwrap();
            assert_eq!(request.uri(), "http://a:81/x");
            assert_eq!((request.version(), request.headers().get("host")), (Version::HTTP_2, None));
        });
    }
}
