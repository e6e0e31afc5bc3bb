//! What clients are told when something cannot be done: numbers are those that NATS clients know.

use serde_json::{Value, json};

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    code: u16,
    number: u16,
    text: String,
}

/// What an operation under `$JS.API.` answers with.
pub(super) type Answer = Result<Value, ApiError>;

impl ApiError {
    /// `code` is like an HTTP status, `number` tells errors apart.
    pub(super) fn new(code: u16, number: u16, text: impl Into<String>) -> Self {
        Self { code, number, text: text.into() }
    }

    pub(super) fn bad_request() -> Self {
        Self::new(400, 10003, "bad request")
    }

    pub(super) fn invalid_json(error: &serde_json::Error) -> Self {
        Self::new(400, 10025, format!("invalid JSON: {error}"))
    }

    pub(super) fn no_stream() -> Self {
        Self::new(404, 10059, "stream not found")
    }

    pub(super) fn no_consumer() -> Self {
        Self::new(404, 10014, "consumer not found")
    }

    pub(super) fn no_message() -> Self {
        Self::new(404, 10037, "no message found")
    }

    pub(super) fn sealed() -> Self {
        Self::new(400, 10109, "invalid operation on sealed stream")
    }

    pub(super) fn stream_config(text: impl Into<String>) -> Self {
        Self::new(500, 10052, text)
    }

    pub(super) fn consumer_config(text: impl Into<String>) -> Self {
        Self::new(500, 10012, text)
    }

    pub(super) fn wrong_last_sequence(last: u64) -> Self {
        Self::new(400, 10071, format!("wrong last sequence: {last}"))
    }

    /// The stream does not take more.
    pub(super) fn full(text: &str) -> Self {
        Self::new(503, 10077, text)
    }

    /// The disk does not take it.
    pub(super) fn not_kept() -> Self {
        Self::new(503, 10077, "the message could not be stored")
    }

    pub(super) fn json(&self) -> Value {
        json!({ "code": self.code, "err_code": self.number, "description": self.text })
    }
}
