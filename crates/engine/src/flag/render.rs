//! From a flag to JSON.

use serde_json::{Value, json};

use crate::Flag;

pub(super) fn flag(flag: &Flag) -> Value {
    json!({ "key": flag.key })
}
