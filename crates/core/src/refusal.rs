//! Why a use case did not do what it was asked: one type for all of them, turned into HTTP in one place.

use std::{fmt, time::Duration};

use flagbase_engine::Fault;

use crate::{
    accounts::AccountsError,
    catalog::{BoxError, CatalogError, Expect, Revision},
    ledger::LedgerError,
};

/// When to try again what is unavailable now: long enough for a restart, short enough to be worth waiting for.
const RECOVERY: Duration = Duration::from_secs(5);

/// The class of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request cannot be understood.
    Malformed,
    /// It is understood and makes no sense; the faults say where.
    Invalid,
    /// Nobody knows who is asking.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// It does not exist.
    NotFound,
    /// It collides with what exists.
    Conflict,
    /// It was written since the caller read it.
    Stale,
    /// Too much, too fast.
    Limited,
    /// A part that is needed does not answer.
    Unavailable,
    /// A fault of ours.
    Internal,
}

/// Why a use case did not do what it was asked.
#[derive(Debug)]
pub struct Refusal {
    /// The class, which decides the HTTP status.
    pub class: Class,
    /// A stable word for programs, such as `flag_not_found`.
    pub code: &'static str,
    /// One sentence for people: what was expected, what came, what to do.
    pub message: String,
    /// Where in the request's body; empty when that is not the point.
    pub faults: Vec<Fault>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    source: Option<BoxError>,
}

impl Refusal {
    /// A refusal of `class`, called `code`, told as `message`.
    pub fn new(class: Class, code: &'static str, message: impl Into<String>) -> Self {
        let retry_after = (class == Class::Unavailable).then_some(RECOVERY);
        Self { class, code, message: message.into(), faults: Vec::new(), retry_after, source: None }
    }

    /// The body makes no sense at these places.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let message = match faults.as_slice() {
            [only] => only.to_string(),
            many => format!("{} faults in the body, see `errors`", many.len()),
        };
        Self { faults, ..Self::new(Class::Invalid, "invalid", message) }
    }

    /// The body makes no sense at one place.
    pub fn fault(pointer: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![Fault { pointer: pointer.to_owned(), message: message.into() }])
    }

    /// There is no such thing.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::NotFound, code, message)
    }

    /// The same refusal with a time to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same refusal with the error behind it.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn unavailable(source: BoxError) -> Self {
        Self::new(
            Class::Unavailable,
            "store_unavailable",
            "the store cannot do this now; nothing was changed, try again later",
        )
        .because(source)
    }

    pub(crate) fn corrupt(source: BoxError) -> Self {
        Self::new(Class::Internal, "store_corrupt", "what is stored makes no sense; see the server's log")
            .because(source)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Conflict { id, current: Some(revision) } => Self::new(
                Class::Stale,
                "revision_mismatch",
                format!("{id} is at revision {revision}; read it again and repeat the change"),
            ),
            CatalogError::Conflict { id, current: None } => {
                Self::not_found("not_found", format!("{id} does not exist"))
            }
            CatalogError::NotEmpty(id) => Self::new(
                Class::Conflict,
                "bucket_not_empty",
                format!(
                    "bucket `{}` still holds objects, older versions or delete markers; delete them first",
                    id.key
                ),
            ),
            CatalogError::Unavailable(source) => Self::unavailable(source),
            CatalogError::Corrupt(source) => Self::corrupt(source),
        }
    }
}

impl From<AccountsError> for Refusal {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::Exists => {
                Self::new(Class::Conflict, "user_exists", "user already exists; log in, or use another email")
            }
            AccountsError::AdminExists => Self::new(
                Class::Conflict,
                "setup_done",
                "an administrator exists already; ask for an invitation",
            ),
            AccountsError::Conflict => Self::new(
                Class::Stale,
                "revision_mismatch",
                "written by someone else in the meantime; read it again and repeat the change",
            ),
            AccountsError::Unavailable(source) => Self::unavailable(source),
            AccountsError::Corrupt(source) => Self::corrupt(source),
        }
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable(source) => Self::unavailable(source),
            LedgerError::Corrupt(source) => Self::corrupt(source),
        }
    }
}

/// What a caller says about the revision that he saw (HTTP `If-Match`, `If-None-Match: *`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Nothing: the revision at the time of the request is taken.
    #[default]
    None,
    /// It must be at this revision.
    Match(Revision),
    /// It must not exist.
    Absent,
}

impl Precondition {
    /// What the commit expects of a document that is now at `current`, or why it cannot succeed.
    pub fn expect(self, what: &str, current: Option<Revision>) -> Result<Expect, Refusal> {
        match (self, current) {
            (Self::None | Self::Absent, None) => Ok(Expect::Absent),
            (Self::None, Some(revision)) => Ok(Expect::At(revision)),
            (Self::Match(seen), Some(revision)) if seen == revision => Ok(Expect::At(revision)),
            (Self::Match(seen), Some(revision)) => Err(Self::stale(format!(
                "{what} is at revision {revision}, not {seen}; read it again and repeat the change"
            ))),
            (Self::Match(_), None) => Err(Self::stale(format!("{what} does not exist any more"))),
            (Self::Absent, Some(_)) => {
                Err(Self::stale(format!("{what} exists already; change it, or choose another name")))
            }
        }
    }

    fn stale(message: String) -> Refusal {
        Refusal::new(Class::Stale, "revision_mismatch", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_revision_is_refused_and_says_where_it_is_now() {
        let refusal = Precondition::Match(3).expect("flag `a`", Some(5)).unwrap_err();
        assert_eq!(refusal.class, Class::Stale);
        assert!(refusal.message.contains("revision 5, not 3"), "{refusal}");
    }

    #[test]
    fn without_a_precondition_the_revision_read_now_is_the_one_expected() {
        assert_eq!(Precondition::None.expect("x", Some(7)).unwrap(), Expect::At(7));
        assert_eq!(Precondition::None.expect("x", None).unwrap(), Expect::Absent);
    }

    #[test]
    fn what_is_unavailable_now_says_when_to_try_again() {
        let refusal = Refusal::from(CatalogError::Unavailable("no space left".into()));
        assert_eq!(refusal.retry_after, Some(RECOVERY));
        assert_eq!(Refusal::new(Class::Internal, "internal", "no").retry_after, None);
    }

    #[test]
    fn one_fault_is_told_in_the_message_itself() {
        let refusal = Refusal::fault("/rules/0/operator", "unknown operator `foo`");
        assert_eq!(refusal.message, "/rules/0/operator: unknown operator `foo`");
        assert_eq!(Refusal::fault("", "expected an object").message, "expected an object");
    }
}
