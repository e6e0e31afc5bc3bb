//! An event as a Kafka record: `CloudEvents` in binary mode.

use flagbase_core::events::CloudEvent;

/// A record, whatever the client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// `environment/key`: what concerns one thing stays in order. `/key` for what belongs to no environment.
    pub(crate) key: String,
    /// Names and values.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// `data` of the event, as JSON.
    pub(crate) value: Vec<u8>,
    /// Milliseconds since the epoch; 0 when the event has no time.
    pub(crate) milliseconds: i64,
}

impl Record {
    /// The record of `event`.
    pub(crate) fn of(event: &CloudEvent) -> Result<Self, serde_json::Error> {
        let mut headers = vec![
            ("ce_specversion", event.specversion.to_string()),
            ("ce_id", event.id.clone()),
            ("ce_source", event.source.clone()),
            ("ce_type", event.event_type.clone()),
            ("ce_subject", event.subject.clone()),
            ("ce_time", event.time.clone()),
            ("ce_flagbaseseq", event.flagbaseseq.to_string()),
            ("content-type", event.datacontenttype.to_string()),
        ];
        if let Some(traceparent) = &event.traceparent {
            headers.push(("ce_traceparent", traceparent.clone()));
        }
        let time = event.time.parse::<jiff::Timestamp>();
        Ok(Self {
            key: format!("{}/{}", event.environment().unwrap_or_default(), event.subject),
            headers,
            value: serde_json::to_vec(&event.data)?,
            milliseconds: time.map_or(0, jiff::Timestamp::as_millisecond),
        })
    }

    /// The partition of it among `count`, as Kafka's own clients choose it for a record with this key.
    pub(crate) fn partition(&self, count: usize) -> usize {
        let positive = murmur2(self.key.as_bytes()) & 0x7fff_ffff;
        usize::try_from(positive).unwrap_or_default() % count.max(1)
    }

    /// Bytes, about.
    pub(crate) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
        self.key.len() + self.value.len() + headers.sum::<usize>() + 32
    }
}

/// `MurmurHash2` with the seed that Kafka's clients use.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = chunk.iter().rev().fold(0u32, |k, byte| k << 8 | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0u32, |k, byte| k << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(source: &str) -> CloudEvent {
        serde_json::from_value(json!({
            "specversion": "1.0", "id": "id-1", "source": source, "type": "flagbase.flag.disabled",
            "subject": "dark.mode", "time": "2026-01-01T00:00:00.5Z", "datacontenttype": "application/json",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "flagbaseseq": 7, "data": {"key": "dark.mode"},
        }))
        .unwrap()
    }

    #[test]
    fn a_record_has_the_attributes_as_headers_and_the_data_alone_as_its_value() {
        let record = Record::of(&event("/environments/default")).unwrap();
        let header =
            |name: &str| record.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_id", "id-1"),
            ("ce_source", "/environments/default"),
            ("ce_type", "flagbase.flag.disabled"),
            ("ce_subject", "dark.mode"),
            ("ce_time", "2026-01-01T00:00:00.5Z"),
            ("ce_flagbaseseq", "7"),
            ("ce_traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("content-type", "application/json"),
        ] {
            assert_eq!(header(name), Some(value), "{name}");
        }
        assert_eq!(record.value, br#"{"key":"dark.mode"}"#);
        assert_eq!(record.milliseconds, 1_767_225_600_500);
    }

    #[test]
    fn what_belongs_to_no_environment_has_a_key_that_no_environment_can_have() {
        assert_eq!(Record::of(&event("/environments/default")).unwrap().key, "default/dark.mode");
        assert_eq!(Record::of(&event("/flagbase")).unwrap().key, "/dark.mode");
    }

    #[test]
    fn keys_hash_as_other_clients_of_kafka_hash_them() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }
}
