//! Asking upstreams how they are.

use std::{collections::HashMap, sync::Arc, time::Duration};

use flagbase_core::{
    catalog::Revision,
    feed::Feed,
    gateway::{CompiledRoute, HealthCheck, Target},
    tasks::Tasks,
};
use http::{Method, Request, header};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    body::RequestBody,
    pool::{Pool, Way, write_field},
};

/// Keeps one probe per target of every route that has a health check.
pub(crate) struct Watch {
    pub(crate) feed: Arc<Feed>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) environment: Arc<str>,
    pub(crate) tasks: Tasks,
}

/// Probes of one route at one revision; they end when this is dropped.
struct Probes {
    revision: Revision,
    stop: CancellationToken,
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Watch {
    /// Follows the routes until shutdown.
    pub(crate) async fn run(self) {
        let stopping = self.tasks.stopping();
        let mut changes = self.feed.follow();
        let mut probes = HashMap::new();
        loop {
            self.arrange(&mut probes);
            match stopping.run_until_cancelled(changes.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    }

    fn arrange(&self, probes: &mut HashMap<Arc<str>, Probes>) {
        let snapshot = self.feed.snapshots().get();
        let Some(environment) = snapshot.environment(&self.environment) else {
            probes.clear();
            return;
        };
        let routes = &environment.routes;
        probes.retain(|id, probe| routes.route(id).is_some_and(|route| route.revision == probe.revision));
        for route in routes.routes() {
            if let Some(check) = &route.route.health_check
                && !probes.contains_key(&route.id)
            {
                probes.insert(Arc::clone(&route.id), self.begin(route, check));
            }
        }
    }

    fn begin(&self, route: &Arc<CompiledRoute>, check: &HealthCheck) -> Probes {
        let stop = self.tasks.stopping().child_token();
        for target in route.upstreams().iter().flat_map(|upstream| &upstream.targets) {
            let probe = Probe {
                target: Arc::clone(target),
                check: check.clone(),
                pool: Arc::clone(&self.pool),
                count: Count::default(),
            };
            let stop = stop.clone();
            self.tasks.spawn("gateway-probe", async move {
                stop.run_until_cancelled(probe.run()).await;
            });
        }
        Probes { revision: route.revision, stop }
    }
}

/// Answers in a row.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    good: u32,
    bad: u32,
}

struct Probe {
    target: Arc<Target>,
    check: HealthCheck,
    pool: Arc<Pool>,
    count: Count,
}

impl Probe {
    async fn run(mut self) {
        let mut ticks = interval(self.check.interval.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let well = timeout(self.check.timeout, self.ask()).await.unwrap_or(false);
            let Some(up) = self.count.take(well, &self.check) else {
                continue;
            };
            if self.target.set_up(up) {
                let upstream = &self.target.text;
                if up {
                    tracing::info!(%upstream, "upstream is well again");
                } else {
                    tracing::warn!(%upstream, "upstream is unhealthy and gets no requests");
                }
            }
        }
    }

    async fn ask(&self) -> bool {
        let patience = self.check.timeout;
        // An HTTP/1 connection of its own: one that is open already says nothing about new ones.
        let shared = self.target.url.scheme.is_http2();
        let open = if shared { self.pool.waiting(&self.target) } else { None };
        let way = match open {
            Some(way) => Ok(way),
            None => self.pool.fresh(&self.target, patience).await,
        };
        match way {
            Ok(Way::Own(mut link, _)) => {
                let lines = link.head();
                lines.extend_from_slice(format!("GET {} HTTP/1.1\r\n", self.check.path).as_bytes());
                write_field(lines, "host", self.target.host_header.as_bytes());
                write_field(lines, "user-agent", AGENT.as_bytes());
                let deadline = Instant::now() + patience;
                let answer = link.send(&Method::GET, RequestBody::default(), deadline).await;
                answer.is_ok_and(|answer| answer.status.as_u16() < 400)
            }
            Ok(Way::Shared(mut shared)) => {
                let Some(request) = self.request() else { return false };
                let answer = shared.send_request(request).await;
                answer.is_ok_and(|answer| answer.status().as_u16() < 400)
            }
            Err(_) => false,
        }
    }

    /// The question over HTTP/2, which names the host in the target.
    fn request(&self) -> Option<Request<RequestBody>> {
        let url = &self.target.url;
        let scheme = if url.scheme.is_secure() { "https" } else { "http" };
        let uri = format!("{scheme}://{}{}", url.authority, self.check.path);
        Request::get(uri).header(header::USER_AGENT, AGENT).body(RequestBody::default()).ok()
    }
}

/// How probes call themselves.
const AGENT: &str = "flagbase-health";

impl Count {
    /// Takes one more answer; says whether the target is up once enough of a kind came in a row.
    fn take(&mut self, well: bool, check: &HealthCheck) -> Option<bool> {
        *self = if well {
            Self { good: self.good.saturating_add(1), bad: 0 }
        } else {
            Self { good: 0, bad: self.bad.saturating_add(1) }
        };
        match self {
            Self { good, .. } if *good >= check.healthy_threshold => Some(true),
            Self { bad, .. } if *bad >= check.unhealthy_threshold => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_answer_takes_no_upstream_away_and_one_good_one_brings_none_back() {
        let second = Duration::from_secs(1);
        let check = HealthCheck {
            path: "/".to_owned(),
            interval: second,
            timeout: second,
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        };
        let mut count = Count::default();
        let told: Vec<_> = [false, false, true, false, false, false, true, true]
            .map(|well| count.take(well, &check))
            .into_iter()
            .collect();
        assert_eq!(told, [None, None, None, None, None, Some(false), None, Some(true)]);
    }
}
