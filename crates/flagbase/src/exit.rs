//! How the process ends: documented exit codes, and failures that say what to do.

use std::fmt;
use std::process::ExitCode;

use flagbase_core::refusal::{Class, Refusal};

use crate::config::ConfigError;
use crate::output;

/// The exit codes, as `flagbase --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything that has no code of its own.
    Failure = 1,
    /// The command line was wrong.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// Not logged in, or not allowed.
    NotAllowed = 4,
    /// It exists already, or somebody changed it in between.
    Conflict = 5,
    /// The configuration cannot be used.
    Configuration = 78,
}

/// The same list, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed
   2  wrong command line
   3  not found
   4  not logged in, or not allowed
   5  conflict: it exists already, or was changed in between
  78  the configuration cannot be used
 130  `start` was told twice to stop";

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    /// One line each, such as the fields a server found fault with.
    details: Vec<String>,
    hint: Option<String>,
    /// The code of the problem that a server answered with, such as `bucket_not_found`.
    problem: Option<String>,
    config: Option<Box<ConfigError>>,
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hint: None, problem: None, config: None }
    }

    /// A failure without a code of its own.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// A wrong command line that clap could not see.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn without_hint(mut self) -> Self {
        self.hint = None;
        self
    }

    pub(crate) fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    pub(crate) fn problem(mut self, code: Option<&str>) -> Self {
        self.problem = code.map(str::to_owned);
        self
    }

    /// Whether it is this problem that a server answered with.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.problem.as_deref() == Some(code)
    }

    /// Which kind of failure it is.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The code the process ends with.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// Tells the person on standard error.
    pub(crate) fn report(self) -> ExitCode {
        let code = self.code();
        match self.config {
            Some(error) => output::report(&error),
            None => output::error(&self.message, &self.details, self.hint.as_deref()),
        }
        code
    }
}

#[cfg(test)]
impl Failure {
    /// What is listed below the message.
    pub(crate) fn listed(&self) -> &[String] {
        &self.details
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let message = error.to_string();
        Self { config: Some(Box::new(error)), ..Self::new(Exit::Configuration, message) }
    }
}

/// What a use case refused, told as the API would tell it.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.class {
            Class::Unauthenticated | Class::Forbidden => Exit::NotAllowed,
            Class::NotFound => Exit::NotFound,
            Class::Conflict | Class::Stale => Exit::Conflict,
            Class::Malformed | Class::Invalid => Exit::Usage,
            Class::Limited | Class::Unavailable | Class::Internal => Exit::Failure,
        };
        let cause = std::error::Error::source(&refusal).map(|cause| format!(": {cause}")).unwrap_or_default();
        let details = match refusal.faults.as_slice() {
            [] | [_] => Vec::new(),
            many => many.iter().map(ToString::to_string).collect(),
        };
        Self::new(exit, format!("{}{cause}", refusal.message)).details(details)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::plain(format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_help() {
        let all = [
            Exit::Failure,
            Exit::Usage,
            Exit::NotFound,
            Exit::NotAllowed,
            Exit::Conflict,
            Exit::Configuration,
        ];
        for exit in all {
            let code = exit as u8;
            assert!(EXIT_CODES.contains(&format!("{code:>4}  ")), "{exit:?}");
        }
    }

    #[test]
    fn a_failure_reads_as_one_line_with_its_hint() {
        let failure = Failure::plain("no server").hint("start one");
        assert_eq!(failure.to_string(), "no server (start one)");
    }
}
