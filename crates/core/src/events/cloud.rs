//! `CloudEvents` 1.0: the shape of a change outside.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    catalog::{Change, Kind, Revision},
    trace, webhooks,
};

/// A `CloudEvents` 1.0 event in structured JSON form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: Arc<str>,
    /// UUID version 7, the same everywhere this event goes.
    pub id: String,
    /// `/environments/<key>`, or `/flagbase` for what belongs to none.
    pub source: String,
    /// `flagbase.<kind>.<verb>`: the subject it is published on.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The key of what it is about.
    pub subject: String,
    /// RFC 3339.
    pub time: String,
    /// Always `application/json`.
    pub datacontenttype: Arc<str>,
    /// The trace (W3C) of the request that caused it; `None` when it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Position in the change log; resume after it.
    pub flagbaseseq: Revision,
    /// `{key, environment, actor, reason, revision, before, after, detail}`.
    pub data: Value,
}

impl CloudEvent {
    /// The event of a change, without what is nobody's business: see [`Bodies`].
    pub fn of(change: &Change) -> Self {
        let environment = change.id.environment.as_ref();
        let Bodies { before, after, detail } = Bodies::of(change);
        Self {
            specversion: "1.0".into(),
            id: change.event.to_string(),
            source: if environment.is_empty() {
                "/flagbase".to_owned()
            } else {
                format!("/environments/{environment}")
            },
            event_type: Self::type_of(change),
            subject: change.id.key.to_string(),
            time: change.at.to_string(),
            datacontenttype: "application/json".into(),
            traceparent: trace::of(&change.detail).map(str::to_owned),
            flagbaseseq: change.revision,
            data: json!({
                "key": change.id.key,
                "environment": change.id.environment,
                "actor": change.actor,
                "reason": change.reason,
                "revision": change.revision,
                "before": before,
                "after": after,
                "detail": detail,
            }),
        }
    }

    /// The type of the event of a change: `flagbase.<kind>.<verb>`.
    pub fn type_of(change: &Change) -> String {
        format!("flagbase.{}.{}", change.id.kind, change.verb)
    }
}

/// What a change did, as far as it may be shown: nothing of users, sessions and API keys, and never a secret.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bodies {
    /// The body before.
    pub before: Option<Value>,
    /// The body after.
    pub after: Option<Value>,
    /// More about it.
    pub detail: Value,
}

impl Bodies {
    /// What of `change` may be shown.
    pub fn of(change: &Change) -> Self {
        let detail = without_secrets(&trace::without(&change.detail));
        match change.id.kind {
            Kind::User | Kind::Session | Kind::ApiKey => Self { detail, ..Self::default() },
            Kind::Environment
            | Kind::Flag
            | Kind::Segment
            | Kind::Guard
            | Kind::Route
            | Kind::Function
            | Kind::Bucket
            | Kind::Role => Self { before: change.before.clone(), after: change.after.clone(), detail },
            Kind::Webhook => {
                let [before, after] =
                    [&change.before, &change.after].map(|body| body.as_ref().map(webhooks::told));
                Self { before, after, detail }
            }
        }
    }
}

/// Members that are never shown, in whatever detail they might turn up.
const SECRETS: [&str; 6] = ["password", "password_hash", "secret", "secret_hash", "token", "token_hash"];

fn without_secrets(detail: &Value) -> Value {
    match detail {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !SECRETS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), without_secrets(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Actor, DocumentId};

    fn change(kind: Kind, environment: &str, verb: &str) -> Change {
        Change {
            revision: 7,
            event: uuid::Uuid::nil(),
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            actor: Actor::system(),
            reason: "why".into(),
            id: DocumentId::new(kind, environment, "k"),
            verb: verb.into(),
            before: Some(json!({"secret_hash": "s3cr3t"})),
            after: Some(json!({"secret_hash": "s3cr3t", "name": "n"})),
            detail: json!({"sessions": 2, "deep": [{"token_hash": "s3cr3t"}]}),
        }
    }

    #[test]
    fn a_disabled_flag_has_the_name_that_it_always_had() {
        let event = CloudEvent::of(&change(Kind::Flag, "default", "disabled"));
        assert_eq!(event.event_type, "flagbase.flag.disabled");
        assert_eq!((event.source.as_str(), event.subject.as_str()), ("/environments/default", "k"));
        assert_eq!((event.flagbaseseq, event.time.as_str()), (7, "2026-01-01T00:00:00Z"));
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["specversion"], "1.0");
        assert_eq!(json["type"], "flagbase.flag.disabled");
        assert_eq!(json["data"]["after"]["name"], "n");
    }

    #[test]
    fn nothing_about_people_and_keys_leaves_but_that_something_happened() {
        for kind in [Kind::User, Kind::Session, Kind::ApiKey] {
            let event = CloudEvent::of(&change(kind, "", "updated"));
            let text = serde_json::to_string(&event).unwrap();
            assert!(!text.contains("s3cr3t"), "{text}");
            assert_eq!(event.source, "/flagbase");
            assert_eq!(event.data["detail"], json!({"sessions": 2, "deep": [{}]}));
        }
    }
}
