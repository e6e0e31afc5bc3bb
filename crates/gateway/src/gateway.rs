//! The gateway as a whole: what it reads, whom it asks, where it sends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flagbase_core::{
    buckets::Objects,
    caller::Caller,
    environments::EnvironmentKind,
    feed::Feed,
    functions::Runner,
    gateway::{GatewayConfig, Target},
    metrics::Recorder,
    permissions::Permission,
    snapshot::Snapshots,
    tasks::Tasks,
};
use http::HeaderValue;

use crate::{
    callers::Callers,
    health,
    pool::{Pool, Settings},
    sites::Sites,
};

/// How long a client or an upstream may pause within a body, unless its route says otherwise.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_mins(5);

/// How long a client may pause while it sends a body.
pub(crate) const UPLOAD_PATIENCE: Duration = Duration::from_secs(30);

/// The built-in proxy: decides in process and forwards.
pub struct Gateway<C> {
    pub(crate) config: GatewayConfig,
    pub(crate) environment: Arc<str>,
    pub(crate) environment_header: HeaderValue,
    pub(crate) feed: Arc<Feed>,
    pub(crate) callers: Arc<C>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) functions: Arc<Runner>,
    pub(crate) sites: Sites,
    pub(crate) pool: Arc<Pool>,
    pub(crate) tasks: Tasks,
    ids: RequestIds,
    complained: AtomicI64,
}

/// What a gateway works with.
pub struct Parts<C> {
    /// What the operator decided.
    pub config: GatewayConfig,
    /// Where routes and flags come from.
    pub feed: Arc<Feed>,
    /// Who knows callers.
    pub callers: Arc<C>,
    /// Where requests are counted.
    pub recorder: Arc<Recorder>,
    /// What runs functions.
    pub functions: Arc<Runner>,
    /// What sites are made of.
    pub objects: Arc<Objects>,
    /// Who owns connections and background work.
    pub tasks: Tasks,
}

impl<C: Callers> Gateway<C> {
    /// A gateway, with its background work started: health checks and the upkeep of connections.
    pub fn start(parts: Parts<C>) -> Arc<Self> {
        let Parts { config, feed, callers, recorder, functions, objects, tasks } = parts;
        let settings = Settings {
            addresses: config.addresses(),
            idle_timeout: config.idle_timeout,
            most_idle: config.max_idle_per_host,
        };
        let pool = Pool::new(settings, tasks.clone());
        let environment: Arc<str> = config.environment.as_str().into();
        let sites = Sites::new(objects, Arc::clone(&feed));
        let ids = RequestIds::new(feed.random().hex(6));
        let environment_header = crate::headers::value(&environment);
        let gateway = Arc::new(Self {
            config,
            environment,
            environment_header,
            feed,
            callers,
            recorder,
            functions,
            sites,
            pool,
            tasks,
            ids,
            complained: AtomicI64::new(i64::MIN),
        });
        gateway.tasks.spawn("gateway-pool", Arc::clone(&gateway.pool).sweep());
        let watch = health::Watch {
            feed: Arc::clone(&gateway.feed),
            pool: Arc::clone(&gateway.pool),
            environment: Arc::clone(&gateway.environment),
            tasks: gateway.tasks.clone(),
        };
        gateway.tasks.spawn("gateway-health", watch.run());
        gateway
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        self.feed.snapshots()
    }

    /// Tells the log about an upstream, as a warning once a second at most: a backend that is down must not fill the
    /// disk.
    pub(crate) fn complain(&self, target: &Target, why: &str) {
        self.complain_of(&target.text, why);
    }

    /// The same of anything that requests are answered from.
    pub(crate) fn complain_of(&self, upstream: &str, why: &str) {
        let now = self.feed.clock().now().as_second();
        if self.complained.swap(now, Ordering::Relaxed) == now {
            tracing::debug!(upstream, why, "upstream failed");
        } else {
            tracing::warn!(upstream, why, "upstream failed; further ones this second are not told");
        }
    }

    /// Whether `caller` may learn what answered and what went wrong inside: whoever has `permission`, and everybody where
    /// development is done.
    pub(crate) fn shows(&self, caller: &Caller, permission: Permission) -> bool {
        let snapshot = self.snapshots().load();
        let Some(environment) = snapshot.environment(&self.environment) else { return false };
        environment.definition.kind != EnvironmentKind::Production
            || caller.permissions(&snapshot, environment).allow(permission)
    }

    /// A new `X-Request-Id`.
    pub(crate) fn request_id(&self) -> HeaderValue {
        self.ids.next()
    }

    /// The part of `path` that is looked at, and by whom; `None` when the request is not for the gateway.
    pub(crate) fn below<'p>(&self, host: &str, path: &'p str) -> Option<(&'p str, Mount)> {
        if !self.config.hosts.is_empty() && self.config.hosts.iter().any(|own| own == host) {
            return Some((path, Mount::Routes));
        }
        match path.strip_prefix("/gateway") {
            Some("") => return Some(("/", Mount::Routes)),
            Some(rest) if rest.starts_with('/') => return Some((rest, Mount::Routes)),
            _ => {}
        }
        let own = |prefix: &String| {
            let prefix = prefix.trim_end_matches('/');
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.config.paths.iter().any(own) {
            return Some((path, Mount::Routes));
        }
        let named = path.strip_prefix("/functions/").is_some_and(|rest| !rest.is_empty());
        named.then_some((path, Mount::Functions))
    }
}

/// Who takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mount {
    /// A route, by host, path, method and headers.
    Routes,
    /// The function that is named in its path, `/functions/{name}/…`.
    Functions,
}

/// Makes request ids: unique, not secret. Random once per process, counted from there.
#[derive(Debug)]
struct RequestIds {
    prefix: String,
    next: AtomicU64,
}

impl RequestIds {
    fn new(prefix: String) -> Self {
        Self { prefix, next: AtomicU64::new(1) }
    }

    fn next(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = Vec::with_capacity(self.prefix.len() + 17);
        id.extend_from_slice(self.prefix.as_bytes());
        id.push(b'-');
        let digits = (16 - number.leading_zeros() / 4).max(1);
        for place in (0..digits).rev() {
            let digit = usize::try_from(number >> (4 * place) & 0xf).unwrap_or(0);
            id.extend(DIGITS.get(digit));
        }
        HeaderValue::from_maybe_shared(Bytes::from(id)).unwrap_or(HeaderValue::from_static("none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_count_up_in_hex() {
        let ids = RequestIds::new("abc".to_owned());
        let seen: Vec<_> = (0..17).map(|_| ids.next()).collect();
        assert_eq!(
            (&seen[0], &seen[14], &seen[15], &seen[16]),
            (
                &"abc-1".parse().unwrap(),
                &"abc-f".parse().unwrap(),
                &"abc-10".parse().unwrap(),
                &"abc-11".parse().unwrap()
            )
        );
    }
}
