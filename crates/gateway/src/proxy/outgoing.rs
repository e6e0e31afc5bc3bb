//! The request line of a forwarded request.

use bytes::{BufMut as _, Bytes, BytesMut};
use flagbase_core::gateway::{CompiledRoute, Target};
use http::{HeaderValue, Uri, header, request::Parts, uri::PathAndQuery};

use crate::problem::Problem;

/// What a route makes of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) route: &'a CompiledRoute,
    /// Clean, below the gateway's mount.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl Outgoing<'_> {
    /// Points `parts` to `target`. May be called again for another target.
    pub(super) fn aim(self, parts: &mut Parts, target: &Target) -> Result<(), Problem> {
        let path = self.path(&target.url.base_path)?;
        let mut uri = http::uri::Parts::default();
        uri.path_and_query = Some(path);
        if target.url.scheme.is_http2() {
            let secure = target.url.scheme.is_secure();
            uri.scheme = Some(if secure { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
            uri.authority = target.url.authority.parse().ok();
            parts.version = http::Version::HTTP_2;
        } else {
            parts.version = http::Version::HTTP_11;
        }
        parts.uri = Uri::from_parts(uri).map_err(|error| too_odd(&error))?;
        if !self.route.route.preserve_host {
            parts.headers.insert(header::HOST, target.host_header.clone());
        } else if let Some(host) = parts.headers.get(&crate::headers::names::FORWARDED_HOST).cloned() {
            parts.headers.insert(header::HOST, host);
        }
        if target.url.scheme.is_http2() {
            parts.headers.remove(header::HOST);
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

/// A head with the same content, to send again.
pub(super) fn copy(parts: &Parts) -> Parts {
    let (mut copy, ()) = http::Request::new(()).into_parts();
    copy.method = parts.method.clone();
    copy.uri = parts.uri.clone();
    copy.version = parts.version;
    copy.headers.clone_from(&parts.headers);
    copy
}

/// The `Connection` and `Upgrade` of a WebSocket handshake.
pub(super) fn ask_for_websocket(parts: &mut Parts) {
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
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
        let (mut parts, ()) = request.into_parts();
        let target = &route.upstreams()[0].targets[0];
        Outgoing { route: &route, path, query }.aim(&mut parts, target).unwrap();
        let host = parts.headers.get("host").map_or("", |host| host.to_str().unwrap());
        (parts.uri.to_string(), host.to_owned())
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
