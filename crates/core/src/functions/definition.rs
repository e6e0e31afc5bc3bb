//! A function as the catalog keeps it: its settings, and all its versions, in one document.

mod read;
mod size;
mod trigger;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Digest, Grants, Limits, Serves, Settings, Shape};
use crate::{
    engine::Fault,
    gateway::{Require, show_duration},
};

pub use read::is_name;
pub use trigger::{On, Trigger};

/// Versions of a function that are kept, at most.
pub const MOST_VERSIONS: usize = 100;

/// Former current versions that are remembered, at most.
const MOST_BEFORE: usize = MOST_VERSIONS;

/// A function: what runs under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Unique within its environment: lower-case letters, digits and `-`, at most 63.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// The version that runs when no flag decides; none before the first was promoted.
    pub current: Option<u32>,
    /// Those that were current before, the latest last.
    pub before: Vec<u32>,
    /// The highest number ever given: numbers are not used twice.
    pub last_number: u32,
    /// The flag whose variants name versions.
    pub flag_key: Option<String>,
    /// Those there are, by number.
    pub versions: Vec<Version>,
    /// Who may call it over HTTP.
    pub require: Require,
    /// Whether it sees the caller's token.
    pub forward_token: bool,
    /// Limits, grants, variables, whether instances stay warm.
    pub settings: Settings,
    /// What starts it besides requests.
    pub triggers: Vec<Trigger>,
}

/// One version: code that never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// From 1.
    pub number: u32,
    /// Its code.
    pub digest: Digest,
    /// What kind of code it is.
    pub shape: Shape,
    /// The name of the file that was uploaded; may be empty.
    #[serde(default)]
    pub file: String,
    /// Of the file, in bytes.
    pub size: u64,
    /// What it can be called for.
    pub serves: Vec<Serves>,
    /// Interfaces it imports.
    #[serde(default)]
    pub imports: Vec<String>,
    /// When it was deployed.
    pub created_at: Timestamp,
    /// By whom: the email, the key's name.
    #[serde(default)]
    pub created_by: String,
    /// What was said about it; may be empty.
    #[serde(default)]
    pub note: String,
}

impl Definition {
    /// A function that was only given a name: it may evaluate flags and use the key-value store `default`.
    pub fn named(name: &str) -> Self {
        let grants = Grants { flags: true, keyvalue: vec!["default".to_owned()], ..Grants::default() };
        Self {
            name: name.to_owned(),
            description: String::new(),
            current: None,
            before: Vec::new(),
            last_number: 0,
            flag_key: None,
            versions: Vec::new(),
            require: Require::Anyone,
            forward_token: false,
            settings: Settings { grants, ..Settings::default() },
            triggers: Vec::new(),
        }
    }

    /// Reads what the catalog keeps.
    ///
    /// # Errors
    /// All faults found, each with a JSON pointer into `body`.
    pub fn from_stored(body: &Value) -> Result<Self, Vec<Fault>> {
        read::stored(body)
    }

    /// This function with the settings that `body` says in place of its own; what `body` leaves out is as in a new
    /// function. What is not a setting (versions, which of them is current) is as it was, whatever `body` says.
    ///
    /// # Errors
    /// All faults found, each with a JSON pointer into `body`.
    pub fn with_settings(&self, body: &Value) -> Result<Self, Vec<Fault>> {
        let read = read::settings(body, &self.name)?;
        Ok(Self {
            current: self.current,
            before: self.before.clone(),
            last_number: self.last_number,
            versions: self.versions.clone(),
            ..read
        })
    }

    /// The settings alone, as people write them: what [`Definition::with_settings`] reads.
    pub fn settings_json(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        put("name", json!(self.name));
        put("description", json!(self.description));
        put("flag_key", json!(self.flag_key));
        put("require", json!(self.require));
        put("forward_token", json!(self.forward_token));
        put("limits", limits_json(&self.settings.limits));
        put("grants", json!(self.settings.grants));
        put("environment", json!(self.settings.variables));
        put("warm", json!(self.settings.warm));
        put("triggers", self.triggers.iter().map(Trigger::to_json).collect());
        if self.flag_key.is_none() {
            members.remove("flag_key");
        }
        members
    }

    /// The canonical form: [`Definition::from_stored`] of it gives the same function.
    pub fn to_json(&self) -> Value {
        let mut members = self.settings_json();
        members.insert("current".to_owned(), json!(self.current));
        members.insert("before".to_owned(), json!(self.before));
        members.insert("last_number".to_owned(), json!(self.last_number));
        members.insert("versions".to_owned(), json!(self.versions));
        Value::Object(members)
    }

    /// The version of this number.
    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The version that was current before, as far as it is still there.
    pub fn previous(&self) -> Option<u32> {
        let there = |number: &&u32| Some(**number) != self.current && self.version(**number).is_some();
        self.before.iter().rev().find(there).copied()
    }

    /// Makes `number` the current version.
    pub(super) fn promote(&mut self, number: u32) {
        let Some(old) = self.current.replace(number) else { return };
        if old != number {
            self.before.push(old);
            let over = self.before.len().saturating_sub(MOST_BEFORE);
            self.before.drain(..over);
        }
    }

    /// Goes back to `number`; what came after it is forgotten, so that going back again goes further back.
    pub(super) fn roll_back(&mut self, number: u32) {
        match self.before.iter().rposition(|before| *before == number) {
            Some(at) => {
                self.before.truncate(at);
                self.current = Some(number);
            }
            None => self.promote(number),
        }
    }

    /// Takes `version` out.
    pub(super) fn forget(&mut self, number: u32) {
        self.versions.retain(|version| version.number != number);
        self.before.retain(|before| *before != number);
    }
}

/// Only what differs from the limits that everybody has.
fn limits_json(limits: &Limits) -> Value {
    let common = Limits::default();
    let mut members = Map::new();
    let mut put = |name: &str, differs: bool, value: Value| {
        if differs {
            members.insert(name.to_owned(), value);
        }
    };
    put("timeout", limits.timeout != common.timeout, show_duration(limits.timeout).into());
    put("memory", limits.memory != common.memory, size::show(limits.memory).into());
    put("request_body", limits.request_body != common.request_body, size::show(limits.request_body).into());
    put(
        "response_body",
        limits.response_body != common.response_body,
        size::show(limits.response_body).into(),
    );
    put("log", limits.log != common.log, size::show(limits.log).into());
    let outbound = limits.outbound_requests;
    put("outbound_requests", outbound != common.outbound_requests, outbound.into());
    put("concurrency", limits.concurrency != common.concurrency, limits.concurrency.into());
    put("queue", limits.queue != common.queue, limits.queue.into());
    Value::Object(members)
}

/// Variables by name.
type Variables = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
