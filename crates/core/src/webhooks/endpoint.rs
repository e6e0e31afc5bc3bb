//! An endpoint as the snapshot holds it.

use std::sync::Arc;

use super::Webhook;
use crate::{
    catalog::Revision,
    events::{CloudEvent, Pattern},
};

/// An endpoint with its patterns read.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its environment; empty: it is told of all.
    pub environment: Arc<str>,
    /// As stored.
    pub webhook: Webhook,
    patterns: Vec<Pattern>,
}

impl Endpoint {
    /// The endpoint `webhook` of `environment`.
    pub fn new(environment: Arc<str>, webhook: Webhook) -> Self {
        let patterns = webhook.events.iter().filter_map(|pattern| pattern.parse().ok()).collect();
        Self { environment, webhook, patterns }
    }

    /// Whether it is to be told of `event`: by its type or its scoped subject.
    pub fn wants(&self, event: &CloudEvent) -> bool {
        self.webhook.enabled && self.after(event.flagbaseseq) && self.means(event)
    }

    fn after(&self, position: Revision) -> bool {
        position > self.webhook.after
    }

    /// Whether its patterns mean `event`, whenever that was.
    pub(super) fn means(&self, event: &CloudEvent) -> bool {
        let here = self.environment.is_empty() || event.environment() == Some(&*self.environment);
        here && (self.matches(&event.event_type)
            || event.scoped_subject().is_some_and(|subject| self.matches(&subject)))
    }

    fn matches(&self, subject: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(subject))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::catalog::{Actor, Change, DocumentId, Kind};

    fn event(environment: &str, revision: Revision) -> CloudEvent {
        CloudEvent::of(&Change {
            revision,
            event: uuid::Uuid::nil(),
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            actor: Actor::system(),
            reason: String::new(),
            id: DocumentId::new(Kind::Flag, environment, "a.b"),
            verb: "disabled".into(),
            before: None,
            after: None,
            detail: Value::Null,
        })
    }

    fn endpoint(environment: &str, pattern: &str) -> Endpoint {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let webhook = Webhook {
            key: "w".into(),
            id: "i".into(),
            url: "https://hooks.example.com".into(),
            events: vec![pattern.into()],
            description: String::new(),
            enabled: true,
            disabled_because: None,
            secret_made_at: at,
            active_since: at,
            after: 7,
        };
        Endpoint::new(environment.into(), webhook)
    }

    #[test]
    fn an_endpoint_is_told_of_its_environment_and_one_of_none_of_all() {
        assert!(endpoint("staging", "flagbase.>").wants(&event("staging", 8)));
        assert!(!endpoint("staging", "flagbase.>").wants(&event("default", 8)));
        assert!(!endpoint("staging", "flagbase.>").wants(&event("", 8)));
        assert!(endpoint("", "flagbase.>").wants(&event("staging", 8)));
        assert!(endpoint("", "flagbase.>").wants(&event("", 8)));
    }

    #[test]
    fn patterns_mean_the_type_or_the_scoped_subject() {
        for pattern in ["flagbase.flag.disabled", "flagbase.flag.*", "flagbase.env.staging.flag.a%2Eb.>"] {
            assert!(endpoint("staging", pattern).wants(&event("staging", 8)), "{pattern}");
        }
        for pattern in ["flagbase.flag.enabled", "flagbase.env.staging.flag.other.>"] {
            assert!(!endpoint("staging", pattern).wants(&event("staging", 8)), "{pattern}");
        }
    }

    #[test]
    fn what_happened_before_it_was_enabled_is_not_told() {
        assert!(!endpoint("", "flagbase.>").wants(&event("staging", 7)));
        let mut disabled = endpoint("", "flagbase.>");
        disabled.webhook.enabled = false;
        assert!(!disabled.wants(&event("staging", 8)));
    }
}
