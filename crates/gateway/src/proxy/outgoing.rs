//! The request line of a forwarded request.

use bytes::{BufMut as _, Bytes, BytesMut};
use flagbase_core::gateway::{CompiledRoute, Target};
use http::{
    HeaderMap, HeaderValue, Request, Uri, Version, header,
    uri::{PathAndQuery, Scheme},
};

use crate::{body::RequestBody, headers::names::FORWARDED_HOST, problem::Problem};

/// What a route makes of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) route: &'a CompiledRoute,
    /// Clean, below the gateway's mount.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl Outgoing<'_> {
    /// Points `request` to `target`. May be called again for another target.
    pub(super) fn aim<B>(self, request: &mut Request<B>, target: &Target) -> Result<(), Problem> {
        let mut uri = http::uri::Parts::default();
        uri.path_and_query = Some(self.path(&target.url.base_path)?);
        let http2 = target.url.scheme.is_http2();
        if http2 {
            let secure = target.url.scheme.is_secure();
            uri.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
            uri.authority = target.url.authority.parse().ok();
        }
        *request.uri_mut() = Uri::from_parts(uri).map_err(|error| too_odd(&error))?;
        *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let headers = request.headers_mut();
        let kept = headers.get(FORWARDED_HOST).filter(|_| self.route.route.preserve_host).cloned();
        if http2 {
            headers.remove(header::HOST);
        } else {
            headers.insert(header::HOST, kept.unwrap_or_else(|| target.host_header.clone()));
        }
        Ok(())
    }

    fn path(self, base: &str) -> Result<PathAndQuery, Problem> {
        let rest = self.route.stripped(self.path);
        let rest = if rest.is_empty() && base.is_empty() { "/" } else { rest };
        let query = self.query;
        let length = base.len() + rest.len() + query.map_or(0, |query| query.len() + 1);
        let mut path = BytesMut::with_capacity(length);
        path.put_slice(base.as_bytes());
        path.put_slice(rest.as_bytes());
        if let Some(query) = query {
            path.put_u8(b'?');
            path.put_slice(query.as_bytes());
        }
        PathAndQuery::from_maybe_shared(Bytes::from(path)).map_err(|error| too_odd(&error))
    }
}

fn too_odd(error: &dyn std::error::Error) -> Problem {
    Problem::bad_request("bad_target", format!("the request's target cannot be forwarded: {error}"))
}

/// A request with the same head and no body, to send again.
pub(super) fn copy(request: &Request<RequestBody>) -> Box<Request<RequestBody>> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    Box::new(copy)
}

/// The `Connection` and `Upgrade` of a WebSocket handshake.
pub(super) fn ask_for_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

#[cfg(test)]
mod tests {
    use flagbase_core::gateway::{AddressPolicy, Route};
    use serde_json::{Value, json};

    use super::*;

    fn aimed(route: &Value, path: &str, query: Option<&str>) -> (String, String) {
        let open = AddressPolicy { loopback: true, private: true };
        let mut body = json!({"id": "r"});
        body.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
        let route = CompiledRoute::new(Route::from_json(&body, open).unwrap(), 1).unwrap();
        let request = http::Request::builder().header("host", "shop.example.com");
        let request = request.header("x-forwarded-host", "shop.example.com").body(()).unwrap();
        let mut request = request;
        let target = &route.upstreams()[0].targets[0];
        Outgoing { route: &route, path, query }.aim(&mut request, target).unwrap();
        let host = request.headers().get("host").map_or("", |host| host.to_str().unwrap());
        (request.uri().to_string(), host.to_owned())
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
        let (uri, host) = aimed(&json!({"pattern": "/x", "backend_url": "h2c://a:81"}), "/x", None);
        assert_eq!((uri.as_str(), host.as_str()), ("http://a:81/x", ""));
    }
}
