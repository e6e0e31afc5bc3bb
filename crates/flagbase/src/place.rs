//! Where this installation keeps its files, and what opening them can run into.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use flagbase_core::clock::SystemClock;
use flagbase_store::{Sqlite, SqliteConfig, StoreError};

use crate::config::Config;
use crate::exit::{Failure, Outcome};
use crate::output;

/// How the database of this configuration is opened. Copies made before migrations go to the data directory.
pub(crate) fn database(config: &Config) -> SqliteConfig {
    let mut database = SqliteConfig::new(&config.database.path);
    database.backup_dir = config.server.data_dir.join("backups");
    database
}

/// Opens the database, off the async threads because it blocks.
pub(crate) async fn open(database: SqliteConfig) -> Outcome<Sqlite> {
    tokio::task::spawn_blocking(move || Sqlite::open(&database, &SystemClock))
        .await
        .map_err(|error| Failure::plain(format!("cannot open the database: {error}")))?
        .map_err(|error| failure(&error))
}

/// Makes the data directory, readable by its owner alone, and proves that files can be written there.
pub(crate) fn prepare(data_dir: &Path) -> Outcome {
    let wrong = |error: std::io::Error| {
        Failure::plain(format!("the data directory `{}` cannot be written: {error}", data_dir.display()))
            .hint("make it writable, or choose another with `server.data_dir` or FLAGBASE_SERVER__DATA_DIR")
    };
    if !data_dir.is_dir() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(wrong)?;
    }
    let probe = data_dir.join(format!(".probe-{}", std::process::id()));
    std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(wrong)
}

/// Says what the store found, with its cause, and what to do.
pub(crate) fn failure(error: &StoreError) -> Failure {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    let failure = Failure::plain(message);
    match error {
        StoreError::Failed { .. } => {
            failure.hint("check that the path is right, writable, and that the disk is not full; `flagbase doctor` looks closer")
        }
        StoreError::InUse { .. } => failure.hint("only one server may use a database at a time"),
        _ => failure,
    }
}

/// Says which database was worked on. One that was not there before is probably not the one that was meant.
pub(crate) fn tell(database: &Path, was_there: bool) {
    output::say(&format!("database: {}", absolute(database).display()));
    if !was_there {
        output::warn(
            "there was no database, so that a new one was made; to work on the one of a server, run this in the \
             directory of its `flagbase start`, or name it with --database",
        );
    }
}

/// The path as people can use it from anywhere.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_made_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("a/b");
        prepare(&data).unwrap();
        let mode = std::fs::metadata(&data).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "the probe is gone");
    }

    #[test]
    fn a_data_directory_that_is_a_file_says_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("file");
        std::fs::write(&data, "").unwrap();
        let failure = prepare(&data).unwrap_err();
        assert!(failure.to_string().contains("server.data_dir"), "{failure}");
    }
}
