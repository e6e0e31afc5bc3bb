//! The trace a request belongs to, carried into the changes it causes and so into their events.
//!
//! It travels with the task that serves the request, because everything between a handler and the change log would
//! otherwise have to pass on what it has no use for. Nothing is ever decided by it.

use std::{future::Future, str::FromStr, sync::Arc};

use serde_json::{Map, Value};

/// The member of a change's detail that holds it.
const MEMBER: &str = "traceparent";

/// A `traceparent` as W3C Trace Context defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(Arc<str>);

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a `traceparent` such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`")]
pub struct NoTraceParent;

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut parts = text.split('-');
        let mut part = |length: usize| {
            let part = parts.next().filter(|part| part.len() == length)?;
            part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
        };
        let (version, trace, span, flags) = (part(2), part(32), part(16), part(2));
        let is_set = |id: Option<&str>| id.is_some_and(|id| id.bytes().any(|byte| byte != b'0'));
        let whole = version != Some("ff") && is_set(trace) && is_set(span) && flags.is_some();
        // A later version may have more parts; they mean nothing to us, and are not passed on.
        let more = parts.next().is_some();
        match (whole && version.is_some(), version == Some("00") && more) {
            (true, false) => Ok(Self(text.get(..55).unwrap_or_default().into())),
            _ => Err(NoTraceParent),
        }
    }
}

tokio::task_local! {
    static CURRENT: Option<TraceParent>;
}

impl TraceParent {
    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace of the request that this task serves; `None` outside of one, and when it has none.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok().flatten()
    }

    /// Runs `future` as a part of `trace`.
    pub async fn scope<T>(trace: Option<Self>, future: impl Future<Output = T>) -> T {
        CURRENT.scope(trace, future).await
    }
}

/// The detail of a change, with the current trace.
pub(crate) fn within(detail: Value) -> Value {
    let Some(trace) = TraceParent::current() else { return detail };
    let mut members = match detail {
        Value::Object(members) => members,
        Value::Null => Map::new(),
        other => return other,
    };
    members.insert(MEMBER.to_owned(), trace.as_str().into());
    Value::Object(members)
}

/// The trace in the detail of a change.
pub fn of(detail: &Value) -> Option<&str> {
    detail.get(MEMBER)?.as_str()
}

/// The detail of a change as it was before the trace was put into it.
pub(crate) fn without(detail: &Value) -> Value {
    let mut detail = detail.clone();
    if let Some(members) = detail.as_object_mut() {
        let had = members.remove(MEMBER).is_some();
        if had && members.is_empty() {
            return Value::Null;
        }
    }
    detail
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_what_the_standard_allows_is_a_trace() {
        assert_eq!(TRACE.parse::<TraceParent>().unwrap().as_str(), TRACE);
        let later = TRACE.replacen("00", "01", 1);
        assert_eq!(format!("{later}-more").parse::<TraceParent>().unwrap().as_str(), later);
        for bad in [
            "",
            "00",
            &TRACE.to_uppercase(),
            &format!("{TRACE}-more"),
            &TRACE.replacen("00", "ff", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(NoTraceParent), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_trace_goes_into_details_and_comes_out_again() {
        for detail in [json!(null), json!({"sessions": 2})] {
            let with = TraceParent::scope(TRACE.parse().ok(), async { within(detail.clone()) }).await;
            assert_eq!(of(&with), Some(TRACE));
            assert_eq!(without(&with), detail);
            assert_eq!(within(detail.clone()), detail, "and nothing is added outside of a request");
        }
        assert_eq!(without(&json!({})), json!({}), "an empty detail stays one");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_fail_badly(text in "[0-9a-fé-]{0,70}") {
            if let Ok(trace) = text.parse::<TraceParent>() {
                proptest::prop_assert!(text.starts_with(trace.as_str()));
            }
        }
    }
}
