//! What is wrong with a definition, and where.

use std::fmt;

use serde::Serialize;

/// One thing wrong with a flag or a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// JSON pointer into the body, such as `/rules/0/operator`; empty for the body as a whole.
    pub pointer: String,
    /// What was expected, what came and what to do: lower case, no full stop.
    pub message: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault { pointer: pointer.into(), message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            return out.write_str(&self.message);
        }
        write!(out, "{}: {}", self.pointer, self.message)
    }
}

impl std::error::Error for Fault {}
