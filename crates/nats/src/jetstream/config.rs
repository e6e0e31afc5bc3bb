//! What streams and consumers are configured with, as clients write it. Durations are nanoseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a stream does with messages that were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Retention {
    /// It keeps them until a limit is reached.
    #[default]
    Limits,
    /// It keeps them until every consumer has acknowledged them.
    Interest,
    /// It keeps them until one consumer has acknowledged them.
    WorkQueue,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Storage {
    #[default]
    File,
    Memory,
}

/// What goes when a limit is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Discard {
    #[default]
    Old,
    New,
}

/// Publishes what was kept somewhere else, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Republish {
    pub(super) src: String,
    pub(super) dest: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) headers_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the protocol has them")]
pub(super) struct StreamConfig {
    pub(super) name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) description: String,
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub(super) subjects: Vec<String>,
    pub(super) retention: Retention,
    pub(super) max_consumers: i64,
    pub(super) max_msgs: i64,
    pub(super) max_bytes: i64,
    pub(super) max_age: i64,
    pub(super) max_msgs_per_subject: i64,
    pub(super) max_msg_size: i64,
    pub(super) discard: Discard,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) discard_new_per_subject: bool,
    pub(super) storage: Storage,
    pub(super) num_replicas: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) no_ack: bool,
    pub(super) duplicate_window: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mirror: Option<Value>,
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub(super) sources: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject_transform: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) republish: Option<Republish>,
    pub(super) compression: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) first_seq: u64,
    pub(super) sealed: bool,
    pub(super) deny_delete: bool,
    pub(super) deny_purge: bool,
    pub(super) allow_rollup_hdrs: bool,
    pub(super) allow_direct: bool,
    pub(super) mirror_direct: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) allow_msg_ttl: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) subject_delete_marker_ttl: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consumer_limits: Option<Value>,
    #[serde(deserialize_with = "table", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            subjects: Vec::new(),
            retention: Retention::default(),
            max_consumers: -1,
            max_msgs: -1,
            max_bytes: -1,
            max_age: 0,
            max_msgs_per_subject: -1,
            max_msg_size: -1,
            discard: Discard::default(),
            discard_new_per_subject: false,
            storage: Storage::default(),
            num_replicas: 1,
            no_ack: false,
            duplicate_window: 0,
            mirror: None,
            sources: Vec::new(),
            subject_transform: None,
            republish: None,
            compression: "none".to_owned(),
            first_seq: 0,
            sealed: false,
            deny_delete: false,
            deny_purge: false,
            allow_rollup_hdrs: false,
            allow_direct: false,
            mirror_direct: false,
            allow_msg_ttl: false,
            subject_delete_marker_ttl: 0,
            consumer_limits: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// Which messages a consumer begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeliverPolicy {
    #[default]
    All,
    Last,
    New,
    ByStartSequence,
    ByStartTime,
    LastPerSubject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AckPolicy {
    None,
    All,
    Explicit,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReplayPolicy {
    #[default]
    Instant,
    Original,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ConsumerConfig {
    #[serde(skip_serializing_if = "is_default")]
    pub(super) durable_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) description: String,
    pub(super) deliver_policy: DeliverPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) opt_start_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) opt_start_time: Option<String>,
    pub(super) ack_policy: AckPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) ack_wait: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_deliver: i64,
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub(super) backoff: Vec<i64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) filter_subject: String,
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub(super) filter_subjects: Vec<String>,
    pub(super) replay_policy: ReplayPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) rate_limit_bps: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) sample_freq: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_waiting: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) flow_control: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) headers_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) idle_heartbeat: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_batch: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_expires: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_bytes: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) deliver_subject: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) deliver_group: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) inactive_threshold: i64,
    pub(super) num_replicas: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) mem_storage: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) priority_policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pause_until: Option<String>,
    #[serde(deserialize_with = "table", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            durable_name: String::new(),
            name: String::new(),
            description: String::new(),
            deliver_policy: DeliverPolicy::default(),
            opt_start_seq: 0,
            opt_start_time: None,
            ack_policy: AckPolicy::None,
            ack_wait: 0,
            max_deliver: 0,
            backoff: Vec::new(),
            filter_subject: String::new(),
            filter_subjects: Vec::new(),
            replay_policy: ReplayPolicy::default(),
            rate_limit_bps: 0,
            sample_freq: String::new(),
            max_waiting: 0,
            max_ack_pending: 0,
            flow_control: false,
            headers_only: false,
            idle_heartbeat: 0,
            max_batch: 0,
            max_expires: 0,
            max_bytes: 0,
            deliver_subject: String::new(),
            deliver_group: String::new(),
            inactive_threshold: 0,
            num_replicas: 0,
            mem_storage: false,
            priority_policy: String::new(),
            pause_until: None,
            metadata: BTreeMap::new(),
        }
    }
}

impl ConsumerConfig {
    /// The patterns it reads; none of them means everything.
    pub(super) fn filters(&self) -> impl Iterator<Item = &str> {
        let one = Some(self.filter_subject.as_str()).filter(|filter| !filter.is_empty());
        one.into_iter().chain(self.filter_subjects.iter().map(String::as_str))
    }

    /// Whether messages come without being asked for.
    pub(super) fn is_push(&self) -> bool {
        !self.deliver_subject.is_empty()
    }

    pub(super) fn is_durable(&self) -> bool {
        !self.durable_name.is_empty()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Clients write `null` for an empty list.
fn list<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn table<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_usual() {
        let config: StreamConfig =
            serde_json::from_str(r#"{"name":"s","subjects":null,"metadata":null,"unknown":1}"#).unwrap();
        assert_eq!(config, StreamConfig { name: "s".to_owned(), ..StreamConfig::default() });
    }

    #[test]
    fn a_consumer_is_written_as_it_was_read() {
        let text = r#"{"durable_name":"d","deliver_policy":"by_start_sequence","opt_start_seq":3,"ack_policy":"explicit",
            "filter_subjects":["a","b"],"backoff":[1,2],"replay_policy":"instant","num_replicas":0}"#;
        let config: ConsumerConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.filters().collect::<Vec<_>>(), ["a", "b"]);
        assert!(config.is_durable() && !config.is_push());
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
    }
}
