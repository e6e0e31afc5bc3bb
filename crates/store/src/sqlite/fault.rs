//! What can go wrong with one read or write, in words an operator can act on.

use flagbase_core::{
    accounts::AccountsError,
    buckets::IndexError,
    catalog::CatalogError,
    functions::{triggers::OccasionsError, vault::VaultError},
    keyvalue::KeyValueError,
    ledger::LedgerError,
    webhooks::DeliveriesError,
};
use rusqlite::{Error, ErrorCode, ffi};

/// A failure of the driver. It can be told to many waiters, hence `Clone`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the disk is full: free some space, writing resumes by itself")]
    Full,
    #[error("the disk refused to read or write ({0}): check the disk and its limits")]
    Disk(String),
    #[error(
        "the disk did not confirm a write ({0}): nothing is written any more, check the disk and restart flagbase"
    )]
    Unconfirmed(String),
    #[error("another process keeps the database locked: end it or wait")]
    Busy,
    #[error("the store is closed")]
    Closed,
    #[error("the operation was abandoned because of a fault in flagbase: see the log")]
    Abandoned,
    #[error("{0}")]
    Driver(String),
    #[error("{0}")]
    Corrupt(String),
}

impl Fault {
    /// Whether the disk failed, rather than this one statement.
    pub(crate) const fn of_the_disk(&self) -> bool {
        matches!(self, Self::Full | Self::Disk(_) | Self::Unconfirmed(_))
    }

    /// Whether what the kernel holds and what the disk holds may now differ.
    pub(crate) const fn unconfirmed(&self) -> bool {
        matches!(self, Self::Unconfirmed(_))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match &error {
            Error::SqliteFailure(failure, _) => from_code(*failure, &error),
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => Self::Corrupt(error.to_string()),
            _ => Self::Driver(error.to_string()),
        }
    }
}

fn from_code(failure: ffi::Error, error: &Error) -> Fault {
    match (failure.code, failure.extended_code) {
        (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => Fault::Unconfirmed(error.to_string()),
        (ErrorCode::DiskFull, _) => Fault::Full,
        (ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen, _) => {
            Fault::Disk(error.to_string())
        }
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Fault::Busy,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Fault::Corrupt(error.to_string()),
        _ => Fault::Driver(error.to_string()),
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// Tells a port's error from a fault: what is stored is bad, or the store does not answer.
macro_rules! into_port_error {
    ($($error:ident),*) => {$(
        impl From<Fault> for $error {
            fn from(fault: Fault) -> Self {
                match fault {
                    Fault::Corrupt(_) => Self::Corrupt(fault.into()),
                    _ => Self::Unavailable(fault.into()),
                }
            }
        }
    )*};
}

into_port_error!(
    CatalogError,
    AccountsError,
    LedgerError,
    DeliveriesError,
    KeyValueError,
    VaultError,
    IndexError,
    OccasionsError
);

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: i32) -> Fault {
        Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn a_full_disk_says_that_writing_resumes() {
        assert_eq!(sqlite(ffi::SQLITE_FULL), Fault::Full);
        assert!(Fault::Full.to_string().contains("free some space"));
    }

    #[test]
    fn only_a_failed_sync_leaves_the_disk_in_doubt() {
        assert!(sqlite(ffi::SQLITE_IOERR_FSYNC).unconfirmed());
        assert!(sqlite(ffi::SQLITE_IOERR_DIR_FSYNC).unconfirmed());
        assert!(!sqlite(ffi::SQLITE_IOERR_WRITE).unconfirmed());
        assert!(!sqlite(ffi::SQLITE_FULL).unconfirmed());
    }

    #[test]
    fn damage_is_corrupt_and_everything_else_is_unavailable() {
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            assert!(matches!(CatalogError::from(sqlite(code)), CatalogError::Corrupt(_)));
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR, ffi::SQLITE_BUSY, ffi::SQLITE_ERROR] {
            assert!(matches!(CatalogError::from(sqlite(code)), CatalogError::Unavailable(_)));
        }
        let unreadable = serde_json::from_str::<u8>("{").unwrap_err();
        assert!(matches!(LedgerError::from(Fault::from(unreadable)), LedgerError::Corrupt(_)));
    }
}
