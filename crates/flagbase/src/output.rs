//! All that the process prints. Data goes to standard output, everything said to people to standard error.
//!
//! Colours follow `NO_COLOR`, `CLICOLOR` and whether the stream is a terminal.

mod table;

use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::Value;

use crate::config::ConfigError;
use crate::exit::{Failure, Outcome};

pub(crate) use table::View;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// One JSON document; streams print one per line
    Json,
    /// YAML
    Yaml,
}

/// Prints data on standard output in the chosen form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    /// Leaves out what is only said to be friendly.
    pub(crate) quiet: bool,
}

impl Printer {
    /// Prints a document: as columns by `view`, or whole as JSON or YAML.
    pub(crate) fn print(self, data: &Value, view: &View) -> Outcome {
        match self.format {
            Format::Table => line(&view.render(data)),
            Format::Json => line(&serde_json::to_string_pretty(data).map_err(unprintable)?),
            Format::Yaml => text(&serde_norway::to_string(data).map_err(unprintable)?),
        }
    }

    /// Prints one item of an endless stream.
    pub(crate) fn print_item(self, data: &Value, summary: &str) -> Outcome {
        match self.format {
            Format::Table => line(summary),
            Format::Json => line(&data.to_string()),
            Format::Yaml => text(&format!("---\n{}", serde_norway::to_string(data).map_err(unprintable)?)),
        }
    }

    /// Says what was done, unless asked to be quiet.
    pub(crate) fn done(self, message: &str) {
        if !self.quiet {
            say(message);
        }
    }

    /// Says what to do next, unless asked to be quiet.
    pub(crate) fn hint(self, message: &str) {
        if !self.quiet {
            say(&format!("{HINT}hint:{HINT:#} {message}"));
        }
    }
}

/// Writes one line of data.
pub(crate) fn line(data: &str) -> Outcome {
    text(&format!("{data}\n"))
}

/// Writes data as it is.
pub(crate) fn text(data: &str) -> Outcome {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush()) {
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::plain(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Says something to the person. Nobody to hear it is no failure.
pub(crate) fn say(message: &str) {
    let _ = writeln!(anstream::stderr(), "{message}");
}

/// Says that something is allowed but probably not meant.
pub(crate) fn warn(message: &str) {
    say(&format!("{WARNING}warning:{WARNING:#} {message}"));
}

/// Says what failed, where, and what to do.
pub(crate) fn error(message: &str, details: &[String], hint: Option<&str>) {
    say(&format!("{ERROR}error:{ERROR:#} {message}"));
    for detail in details {
        say(&format!("  {detail}"));
    }
    if let Some(hint) = hint {
        say(&format!("{HINT}hint:{HINT:#} {hint}"));
    }
}

/// Shows every problem of a configuration with its place.
pub(crate) fn report(error: &ConfigError) {
    let terminal = io::stderr().is_terminal();
    let theme = if terminal { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::none() };
    let handler = miette::GraphicalReportHandler::new_themed(theme)
        .with_context_lines(0)
        .with_links(false)
        .without_syntax_highlighting();
    let mut shown = String::new();
    for problem in &error.problems {
        // Rendering into a string fails only for broken spans; the message alone is better than nothing.
        if handler.render_report(&mut shown, problem).is_err() {
            shown.push_str(&problem.to_string());
        }
    }
    self::error(&error.to_string(), &[], None);
    say(shown.trim_end());
}

/// Whether data goes to a terminal, where people look at it.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person can be asked something.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn unprintable(error: impl std::fmt::Display) -> Failure {
    Failure::plain(format!("the answer cannot be printed: {error}"))
}
