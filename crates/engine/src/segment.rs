//! A named group of callers that rules of many flags can use.

use serde_json::{Value, json};

use crate::{Condition, Fault};

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
    /// User ids that belong whatever the conditions say.
    pub included: Vec<String>,
    /// User ids that never belong.
    pub excluded: Vec<String>,
}

impl Segment {
    /// Reads and checks everything that can be checked without knowing the environment.
    ///
    /// # Errors
    /// All faults found, each with a JSON pointer into `body`.
    pub fn from_json(body: &Value) -> Result<Segment, Vec<Fault>> {
        Err(vec![Fault::new("", format!("not readable yet: {body}"))])
    }

    /// The canonical form: [`Segment::from_json`] of it gives the same segment.
    pub fn to_json(&self) -> Value {
        json!({ "key": self.key })
    }
}
