//! What is wrong with a configuration, said so that it can be put right at once.

use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

/// All problems found, so that a person need not start the program once per mistake.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("the configuration cannot be used")]
pub(crate) struct ConfigError {
    /// At least one.
    #[related]
    pub(crate) problems: Vec<Problem>,
}

/// One problem, with the place it came from.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub(crate) struct Problem {
    message: String,
    #[help]
    help: Option<String>,
    #[source_code]
    source_code: Option<Arc<NamedSource<String>>>,
    #[label("here")]
    span: Option<SourceSpan>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, source_code: None, span: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at a key in the text of a file, of which no values are shown when `blank`.
    pub(crate) fn at(mut self, name: &str, text: &str, span: SourceSpan, blank: bool) -> Self {
        let text = if blank { without_values(text) } else { text.to_owned() };
        self.source_code = Some(Arc::new(NamedSource::new(name, text)));
        self.span = Some(span);
        self
    }
}

#[cfg(test)]
impl Problem {
    pub(crate) fn advice(&self) -> &str {
        self.help.as_deref().unwrap_or_default()
    }

    /// The line of the file this problem points at, counted from 1.
    pub(crate) fn line(&self) -> Option<usize> {
        let (source, span) = (self.source_code.as_ref()?, self.span.as_ref()?);
        Some(source.inner().get(..span.offset())?.matches('\n').count() + 1)
    }
}

/// Replaces values by stars of the same length, so that spans stay true.
fn without_values(text: &str) -> String {
    let star = |byte: u8| {
        if byte.is_ascii_whitespace() { char::from(byte) } else { '*' }
    };
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (key, value) = line.split_at(line.find(':').map_or(0, |colon| colon + 1));
        shown.push_str(key);
        shown.extend(value.bytes().map(star));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_line_never_shows_a_secret_and_keeps_its_length() {
        let text = "iam:\n  jwt_secret: |\n    hunter2é\n  jwt_sekret: hunter2\n";
        let blanked = without_values(text);
        assert_eq!(blanked.len(), text.len());
        assert!(!blanked.contains("hunter") && blanked.contains("jwt_sekret:"), "{blanked}");
    }
}
