//! Reading events that people send: one in the first API's form, or many, checked all before any is taken.

use std::sync::Arc;

use flagbase_engine::Fault;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::writing::REQUEST;
use crate::{
    flags,
    refusal::{Class, Refusal},
    snapshot::EnvironmentSnapshot,
};

/// Events in one request, at most.
pub(super) const MOST_EVENTS: usize = 1000;

/// How far a sender's clock may run ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A value larger than this would spoil sums of squares.
const MOST_VALUE: f64 = 1e15;

const MEMBERS: [&str; 7] = ["flag_key", "variant", "event_type", "value", "unit", "time", "event_id"];

/// An event that makes sense.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub(super) flag: Arc<str>,
    pub(super) variant: Arc<str>,
    pub(super) kind: Arc<str>,
    pub(super) value: Option<f64>,
    pub(super) unit: Option<String>,
    pub(super) at: Timestamp,
    pub(super) id: Option<String>,
}

/// What events are checked against.
pub(super) struct Against<'a> {
    pub(super) environment: &'a EnvironmentSnapshot,
    pub(super) now: Timestamp,
    pub(super) retention: SignedDuration,
}

/// The events of a request, and whether it was just one in the first API's form.
pub(super) fn read(body: &Value, against: &Against<'_>) -> Result<(Vec<Event>, bool), Refusal> {
    let (list, prefix) = match body {
        Value::Array(list) => (list, ""),
        Value::Object(object) if object.contains_key("events") => (wrapped(object)?, "/events"),
        Value::Object(object) => return one(object, against).map(|event| (vec![event], true)),
        _ => {
            return Err(Refusal::fault("", "expected an event, a list of events, or `{\"events\": […]}`"));
        }
    };
    if list.len() > MOST_EVENTS {
        let message = format!("{} events at once; send at most {MOST_EVENTS}", list.len());
        return Err(Refusal::fault(prefix, message));
    }
    let (mut events, mut faults) = (Vec::with_capacity(list.len()), Vec::new());
    for (at, item) in list.iter().enumerate() {
        let mut reader = Reader { at: format!("{prefix}/{at}"), against, faults: &mut faults };
        let event = match item.as_object() {
            Some(object) => reader.event(object),
            None => reader.fault("", "expected an object, the event"),
        };
        events.extend(event.ok());
    }
    if faults.is_empty() {
        return Ok((events, false));
    }
    faults.truncate(MOST_FAULTS);
    Err(Refusal::invalid(faults))
}

const MOST_FAULTS: usize = 100;

fn wrapped(object: &Map<String, Value>) -> Result<&Vec<Value>, Refusal> {
    if let Some(other) = object.keys().find(|name| *name != "events") {
        return Err(Refusal::fault(
            &format!("/{other}"),
            "beside `events` there must be nothing; put it into each event",
        ));
    }
    object
        .get("events")
        .and_then(Value::as_array)
        .ok_or_else(|| Refusal::fault("/events", "expected a list of events"))
}

fn one(object: &Map<String, Value>, against: &Against<'_>) -> Result<Event, Refusal> {
    let required = ["flag_key", "variant", "event_type"];
    let given = |name: &str| object.get(name).is_some_and(|value| value.as_str() != Some(""));
    if !required.iter().all(|name| given(name)) {
        let missing = required.into_iter().filter(|name| !given(name));
        let faults = missing.map(|name| Fault::new(format!("/{name}"), "is required")).collect();
        let mut refusal = Refusal::invalid(faults);
        "flag_key, variant and event_type are required".clone_into(&mut refusal.message);
        return Err(refusal);
    }
    if let Some(key) = object.get("flag_key").and_then(Value::as_str)
        && against.environment.rules.flag(key).is_none()
    {
        return Err(flags::not_found(against.environment, key));
    }
    let mut faults = Vec::new();
    let event = Reader { at: String::new(), against, faults: &mut faults }.event(object);
    match event {
        Ok(event) if faults.is_empty() => Ok(event),
        _ => Err(Refusal::invalid(faults)),
    }
}

/// A fault was found, and noted.
struct Faulty;

struct Reader<'a> {
    at: String,
    against: &'a Against<'a>,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn fault<T>(&mut self, member: &str, message: impl Into<String>) -> Result<T, Faulty> {
        let slash = if member.is_empty() { "" } else { "/" };
        self.faults.push(Fault::new(format!("{}{slash}{member}", self.at), message));
        Err(Faulty)
    }

    fn event(&mut self, object: &Map<String, Value>) -> Result<Event, Faulty> {
        for name in object.keys().filter(|name| !MEMBERS.contains(&name.as_str())) {
            let _: Result<(), Faulty> = self.fault(
                &name.replace('~', "~0").replace('/', "~1"),
                format!("unknown member; an event has {}", MEMBERS.join(", ")),
            );
        }
        // All of them before the first `?`, so that every fault is told.
        let target = self.target(object);
        let kind = self.event_type(object);
        let value = self.value(object);
        let unit = self.text(object, "unit", 200);
        let at = self.time(object);
        let id = self.text(object, "event_id", 128);
        let (flag, variant) = target?;
        Ok(Event { flag, variant, kind: kind?, value: value?, unit: unit?, at: at?, id: id? })
    }

    fn target(&mut self, object: &Map<String, Value>) -> Result<(Arc<str>, Arc<str>), Faulty> {
        let key = self.required(object, "flag_key")?;
        let environment = self.against.environment;
        let Some(flag) = environment.rules.flag(key) else {
            return self.fault("flag_key", flags::not_found(environment, key).message);
        };
        let name = self.required(object, "variant")?;
        let Some(variant) = flag.variants().find(|variant| *variant.name == *name) else {
            let known: Vec<_> = flag.variants().map(|variant| format!("`{}`", variant.name)).collect();
            let message =
                format!("flag `{key}` has no variant `{}`; it has {}", short(name), known.join(", "));
            return self.fault("variant", message);
        };
        Ok((Arc::clone(flag.key()), Arc::clone(&variant.name)))
    }

    fn event_type(&mut self, object: &Map<String, Value>) -> Result<Arc<str>, Faulty> {
        let word = self.required(object, "event_type")?;
        match check_event_type(word) {
            Ok(()) => Ok(word.into()),
            Err(message) => self.fault("event_type", message),
        }
    }

    fn value(&mut self, object: &Map<String, Value>) -> Result<Option<f64>, Faulty> {
        match object.get("value") {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) if number.abs() <= MOST_VALUE => Ok(Some(number)),
                Some(_) => self.fault("value", format!("must be between -{MOST_VALUE:e} and {MOST_VALUE:e}")),
                None => self.fault("value", "expected a number"),
            },
        }
    }

    /// A time ahead of ours is taken for now: clocks differ, and nothing can be counted before it happens.
    fn time(&mut self, object: &Map<String, Value>) -> Result<Timestamp, Faulty> {
        let Against { now, retention, .. } = *self.against;
        let text = match object.get("time") {
            None | Some(Value::Null) => return Ok(now),
            Some(Value::String(text)) => text,
            Some(_) => {
                return self.fault("time", "expected a time, such as `2026-01-31T12:00:00Z`");
            }
        };
        let Ok(at) = text.parse::<Timestamp>() else {
            let message =
                format!("`{}` is no RFC 3339 time; write it like `2026-01-31T12:00:00Z`", short(text));
            return self.fault("time", message);
        };
        if at.duration_since(now) > AHEAD {
            return self.fault("time", format!("`{at}` is in the future; here it is {now}"));
        }
        if now.duration_since(at) > retention {
            let hours = retention.as_hours();
            return self
                .fault("time", format!("`{at}` is older than {hours} hours, which is all that is kept"));
        }
        Ok(at.min(now))
    }

    fn text(
        &mut self,
        object: &Map<String, Value>,
        name: &str,
        most: usize,
    ) -> Result<Option<String>, Faulty> {
        match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => {
                self.fault(name, "must not be empty; leave it out")
            }
            Some(Value::String(text)) if text.chars().count() > most => {
                self.fault(name, format!("is longer than {most} characters; shorten it"))
            }
            Some(Value::String(text)) if text.chars().any(char::is_control) => {
                self.fault(name, "must not hold control characters")
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => self.fault(name, "expected a text"),
        }
    }

    fn required<'v>(&mut self, object: &'v Map<String, Value>, name: &str) -> Result<&'v str, Faulty> {
        match object.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            None | Some(Value::Null | Value::String(_)) => self.fault(name, "is required"),
            Some(_) => self.fault(name, "expected a text"),
        }
    }
}

/// Whether `word` can name a type of event; otherwise what is wrong with it.
pub(crate) fn check_event_type(word: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    if word.is_empty() || word.len() > 64 || !word.bytes().all(fits) {
        return Err(format!(
            "`{}` cannot be a type of event; use 1 to 64 lower-case letters, digits, `_`, `.` and `-`",
            short(word)
        ));
    }
    if word.starts_with(REQUEST) {
        return Err(format!("types that begin with `{REQUEST}` are counted by the gateway; choose another"));
    }
    Ok(())
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Too many events are being stored already.
pub(super) fn busy() -> Refusal {
    Refusal::new(
        Class::Limited,
        "ingest_full",
        "too many events are waiting to be stored; send them again later",
    )
    .retry_after(std::time::Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
