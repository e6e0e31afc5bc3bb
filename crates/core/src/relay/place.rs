//! How far a sink got.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::catalog::{Change, Revision};

/// A sink's place in the change log, as it is noted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// The last change that was handed over, or passed over.
    #[serde(default)]
    pub(super) revision: Revision,
    /// How many were passed over, ever.
    #[serde(default)]
    pub(super) passed_over: u64,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_passed_over: Option<PassedOver>,
}

/// An event that a sink refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Its position in the change log: `GET /api/v1/changes?after=<one less>&limit=1` shows it.
    pub revision: Revision,
    /// The id of the event.
    pub event: Uuid,
    /// Why, in the sink's words.
    pub reason: String,
    /// When it was passed over.
    pub at: Timestamp,
}

impl Place {
    /// As noted. A place beyond `head` comes from a log that is gone: an older backup was restored.
    pub(super) fn of_note(note: &Value, head: Revision) -> Self {
        let place: Self = serde_json::from_value(note.clone()).unwrap_or_default();
        Self { revision: place.revision.min(head), ..place }
    }

    pub(super) fn to_note(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    pub(super) fn pass_over(&mut self, change: &Change, reason: &str, at: Timestamp) {
        let reason: String = reason.chars().take(500).collect();
        self.revision = change.revision;
        self.passed_over += 1;
        let (revision, event) = (change.revision, change.event);
        self.last_passed_over = Some(PassedOver { revision, event, reason, at });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_noted_but_never_beyond_the_log() {
        let passed_over = PassedOver {
            revision: 6,
            event: Uuid::nil(),
            reason: "too large".into(),
            at: Timestamp::UNIX_EPOCH,
        };
        let place = Place { revision: 7, passed_over: 1, last_passed_over: Some(passed_over) };
        assert_eq!(Place::of_note(&place.to_note(), 9), place);
        assert_eq!(Place::of_note(&place.to_note(), 5).revision, 5);
        assert_eq!(Place::of_note(&json!({"revision": 3}), 9).revision, 3, "as noted by earlier versions");
        assert_eq!(Place::of_note(&json!("?"), 9), Place::default());
    }
}
