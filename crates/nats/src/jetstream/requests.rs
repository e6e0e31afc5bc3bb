//! What clients write into requests.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::{config::ConsumerConfig, error::ApiError};

/// Reads a request; an empty one says nothing.
pub(super) fn read<T: DeserializeOwned + Default>(payload: &[u8]) -> Result<T, ApiError> {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    let request: Option<T> =
        serde_json::from_slice(payload).map_err(|error| ApiError::invalid_json(&error))?;
    Ok(request.unwrap_or_default())
}

/// Clients write `null` for what they do not say.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListRequest {
    pub(super) offset: usize,
    #[serde(deserialize_with = "given")]
    pub(super) subject: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InfoRequest {
    pub(super) deleted_details: bool,
    #[serde(deserialize_with = "given")]
    pub(super) subjects_filter: String,
    pub(super) offset: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PurgeRequest {
    #[serde(deserialize_with = "given")]
    pub(super) filter: String,
    pub(super) seq: u64,
    pub(super) keep: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GetRequest {
    pub(super) seq: u64,
    #[serde(deserialize_with = "given")]
    pub(super) last_by_subj: String,
    #[serde(deserialize_with = "given")]
    pub(super) next_by_subj: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DeleteRequest {
    pub(super) seq: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CreateConsumer {
    pub(super) stream_name: String,
    pub(super) config: ConsumerConfig,
    /// `create`, `update` or nothing.
    #[serde(deserialize_with = "given")]
    pub(super) action: String,
}

/// A pull: how many messages at most, and how long it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Pull {
    pub(super) batch: i64,
    pub(super) max_bytes: i64,
    pub(super) expires: i64,
    pub(super) no_wait: bool,
    pub(super) idle_heartbeat: i64,
}

impl Pull {
    /// Nothing means one message, a number that many.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?.trim();
        let mut pull = match text.parse() {
            Ok(batch) => Self { batch, ..Self::default() },
            Err(_) if text.is_empty() => Self::default(),
            Err(_) => serde_json::from_str(text).ok()?,
        };
        pull.batch = pull.batch.max(1);
        Some(pull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_a_number_or_more() {
        assert_eq!(Pull::read(b"").map(|pull| pull.batch), Some(1));
        assert_eq!(Pull::read(b"12").map(|pull| pull.batch), Some(12));
        let pull = Pull::read(br#"{"batch":3,"expires":5,"no_wait":true}"#).unwrap();
        assert_eq!(pull, Pull { batch: 3, expires: 5, no_wait: true, ..Pull::default() });
        assert_eq!(Pull::read(b"{"), None);
    }

    #[test]
    fn an_empty_request_says_nothing() {
        assert!([&b" "[..], b"null", b"{}"].iter().all(|empty| read::<GetRequest>(empty).unwrap().seq == 0));
        assert!(read::<GetRequest>(b"{").is_err());
        assert_eq!(read::<ListRequest>(br#"{"offset":3,"subject":null}"#).unwrap().offset, 3);
    }
}
