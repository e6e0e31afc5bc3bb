//! Logs, on standard error: text for a person, JSON for a collector.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::config::{Config, LogFormat};

/// What speaks to external buses, and says at each attempt what the relay says once; what reads S3's protocol, and says each
/// refusal as an error.
const CHATTY: &str = "async_nats=error,rskafka=error,s3s=off";

/// The form that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// Starts logging as configured.
pub(crate) fn start(config: &Config) -> Form {
    // Checked with the configuration already.
    let filter = EnvFilter::try_new(directives(&config.log.level)).unwrap_or_default();
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

/// The filter for `level`, which is a level or a filter itself. What it says of a target goes before what is said here.
fn directives(level: &str) -> String {
    let mut overall = level.split(',').filter_map(|directive| directive.trim().parse::<LevelFilter>().ok());
    match overall.next_back() {
        Some(LevelFilter::WARN | LevelFilter::INFO) => format!("{CHATTY},{level}"),
        _ => level.to_owned(),
    }
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
    fn clients_of_buses_are_quiet_unless_somebody_looks_closer() {
        for level in ["info", "WARN", "flagbase_gateway=debug,info"] {
            assert_eq!(directives(level), format!("{CHATTY},{level}"));
        }
        for level in ["debug", "trace,hyper=info", "error", "off", "flagbase=info"] {
            assert_eq!(directives(level), level);
        }
        let asked_for = EnvFilter::try_new(directives("info,rskafka=debug")).unwrap().to_string();
        assert!(asked_for.contains("rskafka=debug") && !asked_for.contains("rskafka=error"), "{asked_for}");
    }

    #[test]
    fn people_get_text_and_collectors_json_unless_told_otherwise() {
        assert_eq!(form(LogFormat::Auto, true), Form::Text);
        assert_eq!(form(LogFormat::Auto, false), Form::Json);
        assert_eq!(form(LogFormat::Text, false), Form::Text);
        assert_eq!(form(LogFormat::Json, true), Form::Json);
    }
}
