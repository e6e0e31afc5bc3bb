//! Who may be sent to now: a lane per endpoint, and a bound for all of them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::webhooks::{Delivery, Endpoint, Settings, Want};

/// Failures in a row after which an endpoint is sent one message at a time.
const FAILING: u32 = 3;

/// All lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<String, Lane>,
    /// Endpoints whose pending deliveries were cancelled.
    disabled: HashSet<String>,
}

#[derive(Debug, Default)]
struct Lane {
    flying: HashSet<u64>,
    failures: u32,
    /// The endpoint asked to be left alone until then.
    leave_until: Option<Timestamp>,
}

impl Lane {
    fn room(&self, settings: &Settings) -> usize {
        let places = if self.failures >= FAILING { 1 } else { settings.per_endpoint.max(1) };
        places.saturating_sub(self.flying.len())
    }

    fn is_left_alone(&self, now: Timestamp) -> bool {
        self.leave_until.is_some_and(|until| until > now)
    }
}

impl Lanes {
    /// Ids of endpoints that are disabled and were not when this was last asked.
    pub(super) fn newly_disabled(&mut self, endpoints: &[Arc<Endpoint>]) -> Vec<String> {
        let mut new = Vec::new();
        let mut disabled = HashSet::new();
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.webhook.enabled) {
            let id = &endpoint.webhook.id;
            if !self.disabled.contains(id) {
                new.push(id.clone());
            }
            disabled.insert(id.clone());
        }
        self.disabled = disabled;
        let known = |id: &String| endpoints.iter().any(|endpoint| endpoint.webhook.id == *id);
        self.lanes.retain(|id, lane| !lane.flying.is_empty() || known(id));
        new
    }

    /// What to ask the store for: as many as there is room for, beside those that are under way.
    pub(super) fn wants(
        &mut self,
        endpoints: &[Arc<Endpoint>],
        settings: &Settings,
        now: Timestamp,
    ) -> Vec<Want> {
        if self.flying() >= settings.concurrency.max(1) {
            return Vec::new();
        }
        let enabled = endpoints.iter().filter(|endpoint| endpoint.webhook.enabled);
        enabled
            .filter_map(|endpoint| {
                let lane = self.lanes.entry(endpoint.webhook.id.clone()).or_default();
                let room = lane.room(settings);
                let limit = u32::try_from(room + lane.flying.len()).unwrap_or(u32::MAX);
                let open = room > 0 && !lane.is_left_alone(now);
                open.then(|| Want { endpoint: endpoint.webhook.id.clone(), limit })
            })
            .collect()
    }

    /// Takes what is due and there is room for, one of each endpoint in turn. Says, too, when something else is due.
    pub(super) fn take(
        &mut self,
        pending: Vec<Delivery>,
        settings: &Settings,
        now: Timestamp,
    ) -> (Vec<Delivery>, Option<Timestamp>) {
        let mut next = self.lanes.values().filter_map(|lane| lane.leave_until).filter(|at| *at > now).min();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut waiting = Vec::new();
        for delivery in pending {
            let lane = self.lanes.entry(delivery.endpoint.clone()).or_default();
            if lane.flying.contains(&delivery.id) {
                continue;
            }
            if delivery.due_at > now {
                next = Some(next.map_or(delivery.due_at, |next| next.min(delivery.due_at)));
                continue;
            }
            let place = places.entry(delivery.endpoint.clone()).or_default();
            if *place < lane.room(settings) {
                waiting.push((lane.flying.len() + *place, delivery));
                *place += 1;
            }
        }
        waiting.sort_by_key(|(place, delivery)| (*place, delivery.due_at));
        waiting.truncate(settings.concurrency.max(1).saturating_sub(self.flying()));
        let taken: Vec<_> = waiting.into_iter().map(|(_, delivery)| delivery).collect();
        for delivery in &taken {
            if let Some(lane) = self.lanes.get_mut(&delivery.endpoint) {
                lane.flying.insert(delivery.id);
            }
        }
        (taken, next)
    }

    /// A delivery is no longer under way.
    pub(super) fn landed(&mut self, delivery: &Delivery, failed: bool, leave_until: Option<Timestamp>) {
        let Some(lane) = self.lanes.get_mut(&delivery.endpoint) else { return };
        lane.flying.remove(&delivery.id);
        lane.failures = if failed { lane.failures.saturating_add(1) } else { 0 };
        lane.leave_until = leave_until.or(lane.leave_until.filter(|_| failed));
    }

    fn flying(&self) -> usize {
        self.lanes.values().map(|lane| lane.flying.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhooks::{DeliveryState, Webhook};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn endpoint(id: &str, enabled: bool) -> Arc<Endpoint> {
        let webhook = Webhook {
            key: id.into(),
            id: id.into(),
            url: "https://hooks.example.com".into(),
            events: vec!["flagbase.>".into()],
            description: String::new(),
            enabled,
            disabled_because: None,
            secret_made_at: at(0),
            active_since: at(0),
            after: 0,
        };
        Arc::new(Endpoint::new("".into(), webhook))
    }

    fn delivery(endpoint: &str, id: u64, due: i64) -> Delivery {
        Delivery {
            id,
            endpoint: endpoint.into(),
            event: id.to_string(),
            event_type: "t".into(),
            body: String::new(),
            state: DeliveryState::Pending,
            created_at: at(0),
            due_at: at(due),
            tries: 0,
            attempts: Vec::new(),
        }
    }

    fn ids(taken: &[Delivery]) -> Vec<u64> {
        taken.iter().map(|delivery| delivery.id).collect()
    }

    const FEW: fn() -> Settings = || Settings { concurrency: 3, per_endpoint: 2, ..Settings::default() };

    #[test]
    fn each_endpoint_gets_its_turn_within_the_bound_of_all() {
        let mut lanes = Lanes::default();
        let pending =
            vec![delivery("a", 1, 1), delivery("a", 2, 2), delivery("a", 3, 3), delivery("b", 4, 9)];
        let (taken, next) = lanes.take(pending, &FEW(), at(10));
        assert_eq!((ids(&taken), next), (vec![1, 4, 2], None));
        assert!(lanes.wants(&[endpoint("c", true)], &FEW(), at(10)).is_empty(), "nothing more has room");
        lanes.landed(&taken[0], false, None);
        let wants = lanes.wants(&[endpoint("a", true), endpoint("b", true)], &FEW(), at(10));
        assert_eq!(wants.iter().map(|want| want.limit).collect::<Vec<_>>(), [2, 2]);
        let (taken, _) = lanes.take(vec![delivery("a", 2, 2), delivery("a", 3, 3)], &FEW(), at(10));
        assert_eq!(ids(&taken), [3], "what is under way is not taken again");
    }

    #[test]
    fn an_endpoint_that_keeps_failing_is_sent_one_at_a_time_until_it_takes_one() {
        let mut lanes = Lanes::default();
        let queue = |from: u64| (from..from + 3).map(|id| delivery("a", id, 1)).collect::<Vec<_>>();
        for id in 0..3 {
            lanes.take(vec![delivery("a", id, 1)], &FEW(), at(10));
            lanes.landed(&delivery("a", id, 1), true, None);
        }
        let (taken, _) = lanes.take(queue(10), &FEW(), at(10));
        assert_eq!(ids(&taken), [10]);
        lanes.landed(&taken[0], false, None);
        assert_eq!(ids(&lanes.take(queue(20), &FEW(), at(10)).0), [20, 21]);
    }

    #[test]
    fn an_endpoint_that_asks_for_peace_gets_it() {
        let mut lanes = Lanes::default();
        let (taken, _) = lanes.take(vec![delivery("a", 1, 1)], &FEW(), at(10));
        lanes.landed(&taken[0], true, Some(at(60)));
        assert!(lanes.wants(&[endpoint("a", true)], &FEW(), at(59)).is_empty());
        assert_eq!(lanes.take(Vec::new(), &FEW(), at(59)).1, Some(at(60)));
        assert_eq!(lanes.wants(&[endpoint("a", true)], &FEW(), at(60)).len(), 1);
    }

    #[test]
    fn what_is_due_later_says_when() {
        let mut lanes = Lanes::default();
        let (taken, next) = lanes.take(vec![delivery("a", 1, 20), delivery("b", 2, 15)], &FEW(), at(10));
        assert_eq!((taken.len(), next), (0, Some(at(15))));
    }

    #[test]
    fn a_disabled_endpoint_is_told_once_and_again_after_it_was_enabled() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.newly_disabled(&[endpoint("a", false), endpoint("b", true)]), ["a"]);
        assert!(lanes.newly_disabled(&[endpoint("a", false)]).is_empty());
        assert!(lanes.newly_disabled(&[endpoint("a", true)]).is_empty());
        assert_eq!(lanes.newly_disabled(&[endpoint("a", false)]), ["a"]);
    }
}
