//! Keeps state: the adapters of `Catalog`, `Accounts`, `Ledger`, and what else is kept.
//!
//! [`Sqlite`] implements all of them on one file. Driver errors stop here: callers see the ports' errors, and
//! [`StoreError`] for what is done to the file as a whole (open, back up, restore).
#![forbid(unsafe_code)]

mod sqlite;

pub use sqlite::{
    Access, Sqlite, SqliteConfig,
    backup::{Progress, backup},
    error::StoreError,
    restore::{Restored, restore},
};
