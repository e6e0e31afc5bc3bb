//! What is published to the subjects of a stream.

use bytes::Bytes;
use serde_json::json;

use super::{
    config::{Republish, Retention},
    engine::{Engine, Outbox},
    error::ApiError,
    store::{Change, Record},
    stream::{Stream, limit},
    wire::{self, Out},
};
use crate::{Headers, Message, subject};

/// What a message that lives for ever says.
const NEVER: &str = "never";
const SECOND: i64 = 1_000_000_000;

/// What became of a message.
enum Accepted {
    Duplicate(u64),
    New(Record, Vec<u64>),
}

impl Engine {
    pub(super) fn publish(&mut self, name: &str, message: &Message) {
        let Self { streams, outbox, now, .. } = self;
        let Some(stream) = streams.get_mut(name) else { return };
        let wants = message.reply.as_deref().filter(|_| !stream.config.no_ack);
        let answer = |body: serde_json::Value| wants.map(|to| Out::new(to, body.to_string()));
        let headers = message.headers();
        let refused = |error: &ApiError| json!({ "error": error.json(), "stream": name, "seq": 0 });
        let out = match accept(stream, message, headers.as_ref(), *now) {
            Ok(Accepted::Duplicate(sequence)) => {
                answer(json!({ "stream": name, "seq": sequence, "duplicate": true }))
            }
            Ok(Accepted::New(record, gone)) => {
                let sequence = record.sequence;
                let again = republished(stream, &record, headers.as_ref());
                append(stream, outbox, record, gone);
                if let Some(out) = again {
                    outbox.answer(out, None);
                }
                answer(json!({ "stream": name, "seq": sequence }))
            }
            Err(error) => answer(refused(&error)),
        };
        if let Some(out) = out {
            outbox.answer(out, Some(refused(&ApiError::not_kept()).to_string().into()));
        }
    }
}

/// Notes what changes with a message that the stream has taken.
fn append(stream: &mut Stream, outbox: &mut Outbox, record: Record, mut gone: Vec<u64>) {
    let (in_memory, name) = (stream.in_memory(), stream.config.name.clone());
    let sequence = record.sequence;
    outbox.change(in_memory, Change::Append { stream: name, record });
    if stream.config.retention == Retention::Interest && !stream.still_wanted(sequence) {
        stream.remove(sequence);
        gone.push(sequence);
    }
    removed(stream, outbox, gone);
}

/// Notes that messages are gone.
pub(super) fn removed(stream: &Stream, outbox: &mut Outbox, sequences: Vec<u64>) {
    if !sequences.is_empty() {
        let change = Change::Remove { stream: stream.config.name.clone(), sequences };
        outbox.change(stream.in_memory(), change);
    }
}

/// Removes messages that are too old, and says so where that is configured.
pub(super) fn expire(stream: &mut Stream, outbox: &mut Outbox, expired: Vec<u64>, now: i64) {
    let mark = stream.config.subject_delete_marker_ttl;
    let mut marked = Vec::new();
    for sequence in &expired {
        if let Some(entry) = stream.remove(*sequence)
            && mark > 0
            && stream.log.count(&entry.subject) == 0
        {
            marked.push(entry.subject);
        }
    }
    removed(stream, outbox, expired);
    for subject in marked {
        let fields =
            [("Nats-Marker-Reason", "MaxAge".to_owned()), ("Nats-TTL", format!("{}s", mark / SECOND))];
        let record = Record {
            sequence: stream.log.last + 1,
            time: now,
            subject: subject.to_string(),
            headers: wire::with_fields(&Headers::new(), &fields),
            payload: Bytes::new(),
            id: None,
            expires: Some(now.saturating_add(mark)),
        };
        let gone = stream.append(&record);
        append(stream, outbox, record, gone);
    }
}

fn accept(
    stream: &mut Stream,
    message: &Message,
    headers: Option<&Headers>,
    now: i64,
) -> Result<Accepted, ApiError> {
    let config = &stream.config;
    if config.sealed {
        return Err(ApiError::sealed());
    }
    let raw = message.raw_headers.clone().unwrap_or_default();
    let whole = (raw.len() + message.payload.len()) as u64;
    if limit(config.max_msg_size).is_some_and(|most| whole > most) {
        return Err(ApiError::new(400, 10054, "message size exceeds maximum allowed"));
    }
    let get = |name| headers.and_then(|headers| headers.get(name)).filter(|value| !value.is_empty());
    if get("Nats-Expected-Stream").is_some_and(|expected| expected != config.name) {
        return Err(ApiError::new(400, 10060, "expected stream does not match"));
    }
    let id = get("Nats-Msg-Id");
    if let Some(first) = id.and_then(|id| stream.ids.find(id, now, stream.config.duplicate_window)) {
        return Ok(Accepted::Duplicate(first));
    }
    expected(stream, &message.subject, &get)?;
    let rollup = rollup(stream, get("Nats-Rollup"))?;
    let expires = expiry(stream, get("Nats-TTL"), now)?;
    let size = Stream::size_of(&message.subject, raw.len(), message.payload.len());
    stream.has_room(&message.subject, size)?;
    let record = Record {
        sequence: stream.log.last + 1,
        time: now,
        subject: message.subject.clone(),
        headers: raw,
        payload: message.payload.clone(),
        id: id.map(str::to_owned),
        expires,
    };
    let mut gone = stream.append(&record);
    if let Some(rollup) = rollup {
        let filter = if rollup == Rollup::All { "" } else { message.subject.as_str() };
        for sequence in stream.purged(filter, record.sequence, 0) {
            stream.remove(sequence);
            gone.push(sequence);
        }
    }
    Ok(Accepted::New(record, gone))
}

/// Whether the stream is as the publisher thinks it is.
fn expected<'h>(
    stream: &Stream,
    subject: &str,
    get: &impl Fn(&'static str) -> Option<&'h str>,
) -> Result<(), ApiError> {
    let number =
        |name| get(name).map(|text| text.parse::<u64>().map_err(|_| ApiError::bad_request())).transpose();
    let log = &stream.log;
    if number("Nats-Expected-Last-Sequence")?.is_some_and(|expected| expected != log.last) {
        return Err(ApiError::wrong_last_sequence(log.last));
    }
    if let Some(expected) = get("Nats-Expected-Last-Msg-Id") {
        let last = stream.ids.last.as_deref().unwrap_or_default();
        if last != expected {
            return Err(ApiError::new(400, 10070, format!("wrong last msg ID: {last}")));
        }
    }
    if let Some(expected) = number("Nats-Expected-Last-Subject-Sequence")? {
        let subject = get("Nats-Expected-Last-Subject-Sequence-Subject").unwrap_or(subject);
        let last = log.last_of(subject).unwrap_or(0);
        if last != expected {
            return Err(ApiError::wrong_last_sequence(last));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rollup {
    Subject,
    All,
}

fn rollup(stream: &Stream, wanted: Option<&str>) -> Result<Option<Rollup>, ApiError> {
    let refused = |text: &str| Err(ApiError::new(500, 10111, text));
    let rollup = match wanted {
        None => return Ok(None),
        Some("sub") => Rollup::Subject,
        Some("all") => Rollup::All,
        Some(other) => return refused(&format!("rollup value invalid: `{other}`")),
    };
    if !stream.config.allow_rollup_hdrs || stream.config.deny_purge {
        return refused("rollup not permitted");
    }
    Ok(Some(rollup))
}

fn expiry(stream: &Stream, wanted: Option<&str>, now: i64) -> Result<Option<i64>, ApiError> {
    let Some(wanted) = wanted else { return Ok(None) };
    if !stream.config.allow_msg_ttl {
        return Err(ApiError::new(400, 10166, "per-message TTL is disabled"));
    }
    if wanted == NEVER {
        return Ok(None);
    }
    let length = wire::duration(wanted).filter(|length| *length >= SECOND);
    let length = length.ok_or_else(|| ApiError::new(400, 10165, "invalid per-message TTL"))?;
    Ok(Some(now.saturating_add(length)))
}

/// The same message for where the stream publishes what it has kept.
fn republished(stream: &Stream, record: &Record, headers: Option<&Headers>) -> Option<Out> {
    let Republish { src, dest, headers_only } = stream.config.republish.as_ref()?;
    let to = mapped(src, dest, &record.subject)?;
    let fields = [
        ("Nats-Stream", stream.config.name.clone()),
        ("Nats-Subject", record.subject.clone()),
        ("Nats-Sequence", record.sequence.to_string()),
        ("Nats-Time-Stamp", wire::time(record.time)),
        (
            "Nats-Last-Sequence",
            stream
                .log
                .last_of(&record.subject)
                .filter(|last| *last != record.sequence)
                .unwrap_or(0)
                .to_string(),
        ),
    ];
    let mut headers = wire::with_fields(&headers.cloned().unwrap_or_default(), &fields);
    let mut payload = record.payload.clone();
    if *headers_only {
        let known = Headers::decode(&headers).unwrap_or_default();
        headers = wire::with_fields(&known, &[("Nats-Msg-Size", payload.len().to_string())]);
        payload = Bytes::new();
    }
    Some(Out { to, headers, payload, ..Out::default() })
}

/// What the wildcards of `from` matched, in the place of those of `to`.
pub(super) fn mapped(from: &str, to: &str, literal: &str) -> Option<String> {
    let from = if from.is_empty() { ">" } else { from };
    if !subject::covers(from.as_bytes(), literal.as_bytes()) {
        return None;
    }
    let tokens: Vec<&str> = literal.split('.').collect();
    let mut matched: Vec<&str> = Vec::new();
    let mut rest = String::new();
    for (at, token) in from.split('.').enumerate() {
        match token {
            "*" => matched.extend(tokens.get(at)),
            ">" => rest = tokens.get(at..).unwrap_or_default().join("."),
            _ => {}
        }
    }
    let mut stars = matched.iter();
    let token = |token: &str| -> Option<String> {
        let number = token
            .strip_prefix('$')
            .or_else(|| token.strip_prefix("{{wildcard(").and_then(|rest| rest.strip_suffix(")}}")));
        match (token, number.and_then(|number| number.parse::<usize>().ok())) {
            (">", _) => Some(rest.clone()),
            ("*", _) => stars.next().map(|token| (*token).to_owned()),
            (_, Some(number)) => matched.get(number.checked_sub(1)?).map(|token| (*token).to_owned()),
            (literal, None) => Some(literal.to_owned()),
        }
    };
    let tokens: Option<Vec<String>> = to.split('.').map(token).collect();
    tokens.map(|tokens| tokens.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_carried_over() {
        assert_eq!(mapped(">", "bar.>", "a.b").as_deref(), Some("bar.a.b"));
        assert_eq!(mapped("a.*.*", "b.{{wildcard(2)}}.$1", "a.x.y").as_deref(), Some("b.y.x"));
        assert_eq!(mapped("a.*", "b.*", "a.x").as_deref(), Some("b.x"));
        assert_eq!((mapped("a", "b", "c"), mapped("a.*", "b.$2", "a.x")), (None, None));
    }
}
