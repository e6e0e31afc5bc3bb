//! Routes in the form in which requests are decided.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use crate::{
    catalog::Revision,
    gateway::{
        AddressPolicy, BucketTarget, FunctionTarget, MatchValue, PathMatch, Route, StripPrefix, UpstreamUrl,
        route::{BUCKET, FUNCTION},
    },
};

/// A route ready to decide requests.
#[derive(Debug)]
pub struct CompiledRoute {
    /// As stored.
    pub route: Route,
    /// The revision that wrote it.
    pub revision: Revision,
    /// Its id, to be shared.
    pub id: Arc<str>,
    /// The flag that decides.
    pub flag: Option<Arc<str>>,
    /// The flag's key as a header value.
    pub flag_header: Option<HeaderValue>,
    /// What is cut off the path.
    pub strip: Box<str>,
    /// What is answered while the flag is off.
    pub answer: Answer,
    headers: Box<[(HeaderName, MatchValue)]>,
    upstreams: Box<[Upstream]>,
    fallback: Option<usize>,
}

/// What is answered while a flag is off.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: http::StatusCode,
    /// Body and media type; none: a JSON problem.
    pub body: Option<(bytes::Bytes, HeaderValue)>,
}

/// Where requests of one variant go: one of several targets in turn.
#[derive(Debug)]
pub struct Upstream {
    /// The variant; `None` for the route's own.
    pub variant: Option<Arc<str>>,
    /// The function, where requests go to one; then there are no targets.
    pub function: Option<FunctionTarget>,
    /// The bucket and prefix, where requests are answered from one; then there are no targets.
    pub bucket: Option<BucketTarget>,
    /// At least one, unless requests go to a function or a bucket.
    pub targets: Box<[Arc<Target>]>,
    next: AtomicUsize,
}

/// One upstream address and what is known of its health.
#[derive(Debug)]
pub struct Target {
    /// As written.
    pub text: Arc<str>,
    /// Taken apart.
    pub url: UpstreamUrl,
    /// Host and port: connections to the same are shared.
    pub origin: Arc<str>,
    /// The `Host` it is sent.
    pub host_header: HeaderValue,
    down: AtomicBool,
}

impl CompiledRoute {
    /// Compiles a stored route; `None` when an upstream address in it makes no sense any more.
    pub fn new(route: Route, revision: Revision) -> Option<Self> {
        let mut upstreams = Vec::new();
        for (variant, urls) in &route.variants {
            upstreams.push(Upstream::new(Some(variant), urls)?);
        }
        let own = match (&route.function, &route.bucket) {
            (Some(name), _) => vec![format!("{FUNCTION}{name}")],
            (None, Some(bucket)) => vec![format!("{BUCKET}{bucket}")],
            (None, None) => route.backend_url.clone(),
        };
        let fallback = (!own.is_empty()).then_some(upstreams.len());
        if fallback.is_some() {
            upstreams.push(Upstream::new(None, &own)?);
        }
        let headers = route.headers.iter().map(|header| {
            HeaderName::from_bytes(header.name.as_bytes()).ok().map(|name| (name, header.value.clone()))
        });
        let strip = match &route.strip_prefix {
            StripPrefix::Path if route.path != "/" => route.path.as_str().into(),
            StripPrefix::This(prefix) => prefix.as_str().into(),
            StripPrefix::No | StripPrefix::Path => "".into(),
        };
        Some(Self {
            revision,
            id: route.id.as_str().into(),
            flag: route.flag_key.as_deref().map(Arc::from),
            flag_header: route.flag_key.as_deref().and_then(|key| HeaderValue::from_str(key).ok()),
            strip,
            answer: Answer::of(&route),
            headers: headers.collect::<Option<_>>()?,
            upstreams: upstreams.into(),
            fallback,
            route,
        })
    }

    /// Where requests go, by variant, and the route's own last.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The position of the upstream named after `variant`.
    pub fn named(&self, variant: &str) -> Option<usize> {
        self.upstreams.iter().position(|upstream| upstream.variant.as_deref() == Some(variant))
    }

    /// The position of the route's own upstream.
    pub fn fallback(&self) -> Option<usize> {
        self.fallback
    }

    /// Whether the request headers are as the route asks.
    pub fn takes_headers(&self, headers: &http::HeaderMap) -> bool {
        self.headers.iter().all(|(name, wanted)| match wanted {
            MatchValue::Present(present) => headers.contains_key(name) == *present,
            MatchValue::Value(value) => {
                headers.get_all(name).iter().any(|got| got.as_bytes() == value.as_bytes())
            }
        })
    }

    /// How narrow it is among routes of the same path: narrower ones are tried first.
    pub(super) fn rank(&self) -> (usize, bool, &str) {
        (usize::MAX - self.headers.len(), self.route.methods.is_empty(), &self.id)
    }

    /// The part of a cleaned path below the gateway's mount that goes on to the upstream; begins with `/` or is empty.
    pub fn stripped<'p>(&self, path: &'p str) -> &'p str {
        match path.strip_prefix(&*self.strip) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => path,
        }
    }

    /// Whether a caller of this role may take it.
    pub fn admits(&self, role: &str, somebody: bool) -> bool {
        self.route.require.admits(role, somebody)
    }

    /// The longest its upstream may take to begin its answer.
    pub fn request_timeout(&self, configured: Duration) -> Duration {
        self.route.timeouts.request.unwrap_or(configured)
    }

    /// Whether it takes everything below its path.
    pub fn is_prefix(&self) -> bool {
        self.route.matching == PathMatch::Prefix
    }
}

impl Answer {
    fn of(route: &Route) -> Self {
        let Some(answer) = &route.when_off else {
            return Self { status: http::StatusCode::NOT_FOUND, body: None };
        };
        let kind = answer.content_type.as_deref().unwrap_or("text/plain; charset=utf-8");
        let kind = HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("text/plain"));
        Self {
            status: http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::NOT_FOUND),
            body: answer.body.as_ref().map(|body| (bytes::Bytes::from(body.clone()), kind)),
        }
    }
}

impl Upstream {
    fn new(variant: Option<&String>, urls: &[String]) -> Option<Self> {
        let variant = variant.map(|name| name.as_str().into());
        let next = AtomicUsize::new(0);
        let targets = Box::default();
        if let [only] = urls
            && let Some(named) = only.strip_prefix(FUNCTION)
        {
            let function = Some(FunctionTarget::parse(named).ok()?);
            return Some(Self { variant, function, bucket: None, targets, next });
        }
        if let [only] = urls
            && let Some(named) = only.strip_prefix(BUCKET)
        {
            let bucket = Some(BucketTarget::parse(named).ok()?);
            return Some(Self { variant, function: None, bucket, targets, next });
        }
        // Policy is asked again for every address that is connected to.
        let open = AddressPolicy { loopback: true, private: true };
        let targets = urls.iter().map(|text| {
            let url = UpstreamUrl::parse(text, open).ok()?;
            let host_header = HeaderValue::from_str(&url.authority).ok()?;
            let origin = url.authority.as_str().into();
            let down = AtomicBool::new(false);
            Some(Arc::new(Target { text: text.as_str().into(), url, origin, host_header, down }))
        });
        let targets = targets.collect::<Option<_>>()?;
        Some(Self { variant, function: None, bucket: None, targets, next })
    }

    /// The next target in turn that is up, leaving out those already `tried`; when all are down, the next in turn all
    /// the same, because a wrong health check must not take a whole upstream away.
    pub fn pick(&self, tried: &[Arc<Target>]) -> Option<&Arc<Target>> {
        if let ([only], []) = (&*self.targets, tried) {
            return Some(only);
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = |at: usize| self.targets.get(start.wrapping_add(at) % self.targets.len().max(1));
        let fresh = |target: &&Arc<Target>| !tried.iter().any(|used| Arc::ptr_eq(used, target));
        let all = || (0..self.targets.len()).filter_map(in_turn);
        all().filter(fresh).find(|target| target.is_up()).or_else(|| all().find(fresh))
    }
}

impl Target {
    /// Whether its health check, if it has one, says that it is well.
    pub fn is_up(&self) -> bool {
        !self.down.load(Ordering::Relaxed)
    }

    /// Notes what a health check found; returns whether that is news.
    pub fn set_up(&self, up: bool) -> bool {
        self.down.swap(!up, Ordering::Relaxed) == up
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a test reads better when it gives the JSON away")]
    fn compiled(body: serde_json::Value) -> CompiledRoute {
        let open = AddressPolicy { loopback: true, private: true };
        CompiledRoute::new(Route::from_json(&body, open).unwrap(), 1).unwrap()
    }

    #[test]
    fn targets_take_turns_and_those_that_are_down_are_left_out() {
        let route = compiled(json!({"path": "/", "backend_url": ["http://a", "http://b", "http://c"]}));
        let upstream = &route.upstreams()[0];
        let turn = || upstream.pick(&[]).unwrap().url.host.clone();
        assert_eq!([turn(), turn(), turn(), turn()], ["a", "b", "c", "a"]);
        assert!(upstream.targets[1].set_up(false) && !upstream.targets[1].set_up(false));
        let seen: Vec<_> = (0..6).map(|_| turn()).collect();
        assert!(!seen.contains(&"b".to_owned()), "{seen:?}");
    }

    #[test]
    fn when_all_are_down_they_are_tried_all_the_same() {
        let route = compiled(json!({"path": "/", "backend_url": ["http://a", "http://b"]}));
        let upstream = &route.upstreams()[0];
        for target in &upstream.targets {
            target.set_up(false);
        }
        let first = Arc::clone(upstream.pick(&[]).unwrap());
        let second = Arc::clone(upstream.pick(std::slice::from_ref(&first)).unwrap());
        assert_ne!(first.url.host, second.url.host);
        assert!(upstream.pick(&[first, second]).is_none());
    }

    #[test]
    fn a_prefix_is_cut_off_by_whole_segments() {
        let route = compiled(
            json!({"path": "/shop", "match": "prefix", "strip_prefix": true, "backend_url": "http://a"}),
        );
        assert_eq!(route.stripped("/shop/cart"), "/cart");
        assert_eq!(route.stripped("/shop"), "");
        assert_eq!(route.stripped("/shopping"), "/shopping");
        let part = compiled(json!({"path": "/a/b", "strip_prefix": "/a", "backend_url": "http://a"}));
        assert_eq!(part.stripped("/a/b"), "/b");
    }

    #[test]
    fn roles_are_only_for_those_who_showed_a_token() {
        let route =
            compiled(json!({"path": "/", "require": {"roles": ["guest"]}, "backend_url": "http://a"}));
        assert!(!route.admits("guest", false) && route.admits("guest", true) && !route.admits("user", true));
    }
}
