//! Logs, on standard error: text for a person, JSON for a collector.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// The form that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// Starts logging as configured.
pub(crate) fn start(config: &Config) -> Form {
    // Checked with the configuration already.
    let filter = EnvFilter::try_new(&config.log.level).unwrap_or_default();
    let form = form(config.log.format, io::stderr().is_terminal());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // A log that cannot be written, such as on a full disk, would be complained about with a panic.
        .log_internal_errors(false);
    let started = match form {
        Form::Json => {
            builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
        Form::Text => builder.with_ansi(colours()).with_target(false).try_init(),
    };
    // Only a second call can fail, and the first one's logger goes on.
    drop(started);
    form
}

fn form(configured: LogFormat, terminal: bool) -> Form {
    match (configured, terminal) {
        (LogFormat::Text, _) | (LogFormat::Auto, true) => Form::Text,
        (LogFormat::Json, _) | (LogFormat::Auto, false) => Form::Json,
    }
}

fn colours() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_text_and_collectors_json_unless_told_otherwise() {
        assert_eq!(form(LogFormat::Auto, true), Form::Text);
        assert_eq!(form(LogFormat::Auto, false), Form::Json);
        assert_eq!(form(LogFormat::Text, false), Form::Text);
        assert_eq!(form(LogFormat::Json, true), Form::Json);
    }
}
