//! A text that must never be shown.

use std::fmt;

use serde::Deserialize;

/// A secret: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// What is shown instead of a secret.
    pub(crate) const REDACTED: &str = "[redacted]";

    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself; the caller must not print it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_secret() {
        let shown = format!("{:?}", Secret::new("hunter2"));
        assert_eq!(shown, "[redacted]");
    }
}
