//! A named group of callers that rules of many flags can use.

mod json;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::fault::{At, Faults};
use crate::flag::{check_description, check_key, in_one_line};
use crate::{Condition, Fault};

/// The most groups of conditions, and the most conditions in one.
const MOST_GROUPS: usize = 50;

/// The most user ids listed; a larger group is better described by an attribute.
const MOST_LISTED: usize = 100_000;

/// A named group of callers.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Unique in its environment, formed like a flag key.
    pub key: String,
    /// For people; the key when none was given.
    pub name: String,
    /// For people.
    pub description: String,
    /// A caller belongs when all conditions of any one group hold.
    pub conditions: Vec<Vec<Condition>>,
    /// User ids that belong whatever the conditions say, compared regardless of case.
    pub included: Vec<String>,
    /// User ids that never belong, not even when included.
    pub excluded: Vec<String>,
}

impl Segment {
    /// Reads and checks everything that can be checked without knowing the environment.
    ///
    /// # Errors
    /// All faults found, each with a JSON pointer into `body`.
    pub fn from_json(body: &Value) -> Result<Segment, Vec<Fault>> {
        json::parse(body)
    }

    /// The canonical form: [`Segment::from_json`] of it gives the same segment.
    pub fn to_json(&self) -> Value {
        json::render(self)
    }
}

/// Notes everything that can be seen without knowing the environment. Conditions are checked where they are compiled.
pub(crate) fn check(segment: &Segment, faults: &mut Faults) {
    let at = At::ROOT;
    check_key(&segment.key, &at.member("key"), faults);
    let length = segment.name.chars().count();
    if length > 200 {
        let message = format!("a name has at most 200 characters, this one has {length}");
        faults.add(&at.member("name"), message);
    }
    check_description(&segment.description, &at.member("description"), faults);
    let at = At::ROOT.member("conditions");
    if segment.conditions.len() > MOST_GROUPS {
        let count = segment.conditions.len();
        faults.add(&at, format!("at most {MOST_GROUPS} groups are possible, these are {count}"));
    }
    for (index, group) in segment.conditions.iter().enumerate() {
        if group.is_empty() {
            let message = "a group without conditions would hold everybody; add one or remove the group";
            faults.add(&at.item(index), message);
        }
        if group.len() > MOST_GROUPS {
            let count = group.len();
            let message = format!("at most {MOST_GROUPS} conditions are possible, these are {count}");
            faults.add(&at.item(index), message);
        }
    }
    check_listed(&segment.included, &At::ROOT.member("included"), faults);
    check_listed(&segment.excluded, &At::ROOT.member("excluded"), faults);
}

fn check_listed(users: &[String], at: &At<'_>, faults: &mut Faults) {
    if users.len() > MOST_LISTED {
        let count = users.len();
        faults.add(at, format!("at most {MOST_LISTED} users can be listed, these are {count}"));
    }
    for (index, user) in users.iter().enumerate() {
        let length = user.chars().count();
        if length == 0 || length > 1000 {
            let message = format!("a user id has 1 to 1000 characters, this one has {length}");
            faults.add(&at.item(index), message);
        }
    }
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Segment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Segment, D::Error> {
        let body = Value::deserialize(deserializer)?;
        Segment::from_json(&body).map_err(|faults| D::Error::custom(in_one_line(&faults)))
    }
}

#[cfg(test)]
mod tests;
