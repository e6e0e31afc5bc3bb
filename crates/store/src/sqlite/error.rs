//! What can go wrong with the file as a whole.

use std::path::{Path, PathBuf};

use flagbase_core::catalog::BoxError;

/// Why a database could not be opened, backed up or restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is something else.
    #[error("`{}` is not a flagbase database: choose another path", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer version.
    #[error(
        "`{}` was written by a newer flagbase (schema {found}, this one knows {known}): \
         upgrade flagbase, or restore the backup that was made before the upgrade",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest schema version this binary knows.
        known: u32,
    },
    /// Another process uses it.
    #[error("`{}` is used by another process: stop that one first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// SQLite found it damaged.
    #[error("`{}` is damaged ({finding}): restore a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check said first.
        finding: String,
    },
    /// It could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Failed {
        /// What was tried: `open`, `back up to`, `restore`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BoxError,
    },
}

impl StoreError {
    /// A [`StoreError::Failed`], as an adapter for `map_err`.
    pub(crate) fn failed<E: Into<BoxError>>(action: &'static str, path: &Path) -> impl Fn(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Failed { action, path: path.clone(), source: source.into() }
    }
}
