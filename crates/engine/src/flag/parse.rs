//! From JSON to a flag.

use serde_json::Value;

use crate::{Fault, Flag};

pub(super) fn flag(body: &Value) -> Result<Flag, Vec<Fault>> {
    Err(vec![Fault::new("", format!("not readable yet: {body}"))])
}
