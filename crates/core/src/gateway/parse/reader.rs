//! Typed members of JSON objects; what is wrong is noted, and reading goes on.

use std::{ops::RangeInclusive, time::Duration};

use serde_json::{Map, Value};

use crate::{engine::Fault, gateway::duration};

/// More faults than this help nobody.
const MOST_FAULTS: usize = 100;

/// Notes faults while members are read.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) faults: Vec<Fault>,
}

impl Reader {
    /// Notes a fault.
    pub(crate) fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault::new(pointer, message));
        }
    }

    /// The members of an object.
    pub(crate) fn object<'v>(&mut self, pointer: &str, value: &'v Value) -> Option<&'v Map<String, Value>> {
        let members = value.as_object();
        if members.is_none() {
            self.fault(pointer, "must be an object");
        }
        members
    }

    /// Notes every member that is not known, with the known one it was most likely meant to be.
    pub(crate) fn known(&mut self, pointer: &str, members: &Map<String, Value>, known: &[&str]) {
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let short: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            let hint = crate::gateway::routes::nearest(&short, known.iter().copied()).map_or_else(
                || format!("known are {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let step = short.replace('~', "~0").replace('/', "~1");
            self.fault(format!("{pointer}/{step}"), format!("unknown member `{short}`; {hint}"));
        }
    }

    /// A string of at most `longest` bytes; `None` when absent or null.
    pub(crate) fn text(
        &mut self,
        members: &Map<String, Value>,
        parent: &str,
        name: &str,
        longest: usize,
    ) -> Option<String> {
        match members.get(name)? {
            Value::Null => None,
            Value::String(text) if text.len() > longest => {
                self.fault(format!("{parent}/{name}"), format!("at most {longest} bytes"));
                None
            }
            Value::String(text) => Some(text.clone()),
            _ => {
                self.fault(format!("{parent}/{name}"), "must be a string");
                None
            }
        }
    }

    /// A truth value; false when absent.
    pub(crate) fn boolean(&mut self, members: &Map<String, Value>, parent: &str, name: &str) -> bool {
        match members.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(value)) => *value,
            Some(_) => {
                self.fault(format!("{parent}/{name}"), "must be true or false");
                false
            }
        }
    }

    /// A whole number in `range`; `None` when absent.
    pub(crate) fn number(
        &mut self,
        members: &Map<String, Value>,
        parent: &str,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = members.get(name).filter(|value| !value.is_null())?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = (range.start(), range.end());
            self.fault(format!("{parent}/{name}"), format!("must be a whole number from {from} to {to}"));
        }
        number
    }

    /// A duration from 1 ms to 24 h; `None` when absent.
    pub(crate) fn duration(
        &mut self,
        members: &Map<String, Value>,
        parent: &str,
        name: &str,
    ) -> Option<Duration> {
        let value = members.get(name).filter(|value| !value.is_null())?;
        let range = Duration::from_millis(1)..=Duration::from_hours(24);
        let duration = value.as_str().and_then(duration::parse).filter(|duration| range.contains(duration));
        if duration.is_none() {
            self.fault(
                format!("{parent}/{name}"),
                "must be a duration such as `2s` or `500ms`, at most `24h`",
            );
        }
        duration
    }

    /// The items of an array; none when absent.
    pub(crate) fn array<'v>(&mut self, pointer: &str, value: Option<&'v Value>, most: usize) -> &'v [Value] {
        match value {
            None | Some(Value::Null) => &[],
            Some(Value::Array(items)) if items.len() <= most => items,
            Some(Value::Array(_)) => {
                self.fault(pointer, format!("at most {most} items"));
                &[]
            }
            Some(_) => {
                self.fault(pointer, "must be an array");
                &[]
            }
        }
    }

    /// An array of strings; empty when absent.
    pub(crate) fn texts(&mut self, pointer: &str, value: Option<&Value>, most: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for (at, item) in self.array(pointer, value, most).iter().enumerate() {
            match item {
                Value::String(text) if text.len() <= 2048 => texts.push(text.clone()),
                _ => self.fault(format!("{pointer}/{at}"), "must be a string of at most 2048 bytes"),
            }
        }
        texts
    }
}
