//! Makes sure, at the start, that the disk has what the kernel says it has.
//!
//! After a sync that failed, the kernel takes what it could not write for written and hands it out from memory. The process
//! that saw the error writes nothing more; the next one knows nothing of it, finds the write in SQLite's log and would build
//! on it. So a log that was left behind is written once more, as it is, and synced, before anything reads it.

use std::{fs, io, os::unix::fs::FileExt as _, path::Path};

use rusqlite::ErrorCode;

use super::{
    connect::{self, beside},
    error::StoreError,
};

/// Writes the log of the database at `path` again, if there is one.
pub(super) fn settle(path: &Path) -> Result<(), StoreError> {
    let log = beside(path, "-wal");
    // Whatever else it is, the one who looks at it next says so; opened here, SQLite would take its log away.
    if fs::metadata(&log).map_or(0, |found| found.len()) == 0 || !is_database(path) {
        return Ok(());
    }
    let connection = connect::plain(path).map_err(StoreError::failed("open", path))?;
    // While this connection may write, nobody else does: not even a command that runs beside.
    match connection.execute_batch("BEGIN IMMEDIATE") {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => return Ok(()),
        begun => begun.map_err(StoreError::failed("open", path))?,
    }
    rewrite(&log).map_err(StoreError::failed("write", &log))?;
    connection.execute_batch("ROLLBACK").map_err(StoreError::failed("open", path))
}

/// Whether the file begins as every database does (<https://www.sqlite.org/fileformat2.html#the_database_header>).
fn is_database(path: &Path) -> bool {
    let mut begin = [0; 16];
    let read = fs::File::open(path).and_then(|file| file.read_exact_at(&mut begin, 0));
    read.is_ok() && begin == *b"SQLite format 3\0"
}

fn rewrite(log: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).open(log)?;
    let mut part = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        let length = file.read_at(&mut part, offset)?;
        let Some(bytes) = part.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
        file.write_all_at(bytes, offset)?;
        offset += bytes.len() as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_any_length_is_written_again_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("log");
        for length in [1, 4096, (1 << 20) + 7] {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            fs::write(&log, &bytes).unwrap();
            rewrite(&log).unwrap();
            assert!(fs::read(&log).unwrap() == bytes, "{length} bytes");
        }
    }

    #[test]
    fn without_a_log_or_a_database_there_is_nothing_to_settle() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.db");
        settle(&path).unwrap();
        fs::write(&path, "no database at all, but long enough to be looked at as one").unwrap();
        fs::write(beside(&path, "-wal"), "no log").unwrap();
        settle(&path).unwrap();
        assert_eq!(fs::read(beside(&path, "-wal")).unwrap(), b"no log");
    }
}
