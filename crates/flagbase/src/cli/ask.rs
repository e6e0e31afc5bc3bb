//! Asking a person, or saying which flag to give when there is none to ask.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use inquire::CustomUserError;
use inquire::validator::Validation;

use crate::config::Secret;
use crate::exit::{Failure, Outcome};
use crate::output;

/// The fewest characters the server accepts; checked here only to spare a person a round trip.
const SHORTEST_PASSWORD: usize = 8;

/// Asks for a line of text. `flag` is what to give instead where nobody can be asked.
pub(crate) fn text(question: &str, flag: &str) -> Outcome<String> {
    needs_person(flag)?;
    inquire::Text::new(question).prompt().map_err(cancelled)
}

/// A password that exists: from a file, from standard input (`-`), or asked for once.
pub(crate) fn password(file: Option<&Path>) -> Outcome<Secret> {
    if let Some(file) = file {
        return from_file(file);
    }
    secret("Password:", "--password-file FILE (or - for standard input)")
}

/// Something that nobody may look at, asked for once. `flag` is what to give instead where nobody can be asked.
pub(crate) fn secret(question: &str, flag: &str) -> Outcome<Secret> {
    needs_person(flag)?;
    inquire::Password::new(question).without_confirmation().prompt().map(Secret::new).map_err(cancelled)
}

/// The same, but where standard input is no terminal, it is what comes there.
pub(crate) fn piped_secret(question: &str, flag: &str) -> Outcome<Secret> {
    if io::stdin().is_terminal() {
        return secret(question, flag);
    }
    let piped = from_file(Path::new("-"))?;
    if piped.reveal().is_empty() {
        return Err(Failure::usage("nothing came on standard input").hint(format!("give {flag}")));
    }
    Ok(piped)
}

/// A password to be set: as [`password`], but typed twice.
pub(crate) fn new_password(file: Option<&Path>) -> Outcome<Secret> {
    if let Some(file) = file {
        return from_file(file);
    }
    needs_person("--password-file FILE (or - for standard input)")?;
    let prompt = inquire::Password::new("New password:")
        .with_validator(long_enough)
        .with_custom_confirmation_message("Again:");
    prompt.prompt().map(Secret::new).map_err(cancelled)
}

/// Asks before something that cannot be undone easily; `yes` answers beforehand.
pub(crate) fn confirm(question: &str, yes: bool) -> Outcome {
    if yes {
        return Ok(());
    }
    needs_person("--yes")?;
    match inquire::Confirm::new(question).with_default(false).prompt() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::plain("cancelled; nothing was changed")),
        Err(error) => Err(cancelled(error)),
    }
}

/// Reads a secret from a file, or from standard input when the file is `-`.
pub(crate) fn from_file(file: &Path) -> Outcome<Secret> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|content| text = content)
    };
    read.map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", file.display())))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

#[expect(clippy::unnecessary_wraps, reason = "the form validators have")]
fn long_enough(password: &str) -> Result<Validation, CustomUserError> {
    if password.chars().count() >= SHORTEST_PASSWORD {
        return Ok(Validation::Valid);
    }
    Ok(Validation::Invalid(format!("at least {SHORTEST_PASSWORD} characters").into()))
}

fn needs_person(flag: &str) -> Outcome {
    if output::can_ask() {
        return Ok(());
    }
    Err(Failure::usage("there is no terminal to ask on").hint(format!("give {flag}")))
}

fn cancelled(error: inquire::InquireError) -> Failure {
    match error {
        inquire::InquireError::OperationCanceled | inquire::InquireError::OperationInterrupted => {
            Failure::plain("cancelled; nothing was changed")
        }
        other => Failure::plain(format!("cannot ask: {other}")),
    }
}
