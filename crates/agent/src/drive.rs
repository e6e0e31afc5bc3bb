//! The drive a function comes on: a header of 4 KiB, then an [`Archive`].
//!
//! No file system, so that every kernel can read it; the agent checks the digest and unpacks it into memory.
//! The header is three lines of text: what it is, the length of the archive in bytes, and its SHA-256.

use std::io::{self, Read, Seek, SeekFrom};

use sha2::{Digest as _, Sha256};

use crate::archive::{Archive, ArchiveError, Found, unpack};

/// Bytes before the archive.
pub const HEADER: usize = 4096;
/// Drives are read in units of so many bytes, so a drive's length is a multiple of it.
pub const SECTOR: usize = 512;
/// Largest archive that is read, in bytes.
pub const LARGEST: u64 = 1 << 30;
const MAGIC: &str = "flagbase-function-drive 1";

/// Why a drive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// It does not begin as drives of functions do.
    #[error("there is no function on the drive")]
    Absent,
    /// The header makes no sense.
    #[error("the drive's header cannot be read")]
    Header,
    /// What is on it is not what was written.
    #[error("the drive holds {found}, but its header says {expected}; write it again")]
    Digest {
        /// What the header says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Its archive is broken.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It cannot be read at all.
    #[error("the drive cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The bytes of a drive with `archive` on it.
///
/// # Errors
/// As [`Archive::write`].
pub fn write(archive: &Archive) -> Result<Vec<u8>, ArchiveError> {
    let content = archive.write()?;
    let header = format!("{MAGIC}\n{}\n{}\n", content.len(), digest(&content[..])?);
    let mut out = header.into_bytes();
    out.resize(HEADER, 0);
    out.extend_from_slice(&content);
    out.resize(out.len().next_multiple_of(SECTOR), 0);
    Ok(out)
}

/// Checks that a drive is whole, then gives what is on it to `take`, one after the other. Returns `sha256:` and the
/// digest of the archive. Little of it is in memory at once.
///
/// # Errors
/// [`DriveError::Absent`] when it is empty or something else; the others when it is damaged.
pub fn read(
    mut from: impl Read + Seek,
    take: &mut dyn FnMut(&str, Found<'_>) -> Result<(), ArchiveError>,
) -> Result<String, DriveError> {
    let mut header = Vec::with_capacity(HEADER);
    from.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
    let text = header.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut lines = std::str::from_utf8(text).unwrap_or_default().lines();
    if lines.next() != Some(MAGIC) {
        return Err(DriveError::Absent);
    }
    let length: u64 = lines.next().and_then(|line| line.parse().ok()).ok_or(DriveError::Header)?;
    let expected = lines.next().ok_or(DriveError::Header)?.to_owned();
    if length > LARGEST {
        return Err(DriveError::Header);
    }
    let found = digest(from.by_ref().take(length))?;
    if found != expected {
        return Err(DriveError::Digest { expected, found });
    }
    from.seek(SeekFrom::Start(HEADER as u64))?;
    unpack(from.take(length), take)?;
    Ok(found)
}

fn digest(mut from: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut part = vec![0; 256 << 10];
    loop {
        let read = from.read(&mut part)?;
        if read == 0 {
            return Ok(format!("sha256:{}", hex::encode(hash.finalize())));
        }
        hash.update(part.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn sample() -> Archive {
        let mut archive = Archive::default();
        archive.file("function", true, vec![7; 1000]).unwrap();
        archive
    }

    fn files(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, DriveError> {
        let mut files = Vec::new();
        read(Cursor::new(bytes), &mut |name, found| {
            if let Found::File { mut content, .. } = found {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                files.push((name.to_owned(), bytes));
            }
            Ok(())
        })?;
        Ok(files)
    }

    #[test]
    fn a_drive_is_read_back_and_fills_whole_sectors() {
        let bytes = write(&sample()).unwrap();
        assert_eq!(bytes.len() % SECTOR, 0);
        assert_eq!(files(&bytes).unwrap(), [("function".to_owned(), vec![7; 1000])]);
        let digest = read(Cursor::new(&bytes), &mut |_, _| Ok(())).unwrap();
        assert!(digest.starts_with("sha256:"), "{digest}");
    }

    #[test]
    fn what_comes_after_the_archive_does_not_matter() {
        let mut bytes = write(&sample()).unwrap();
        bytes.extend([9; 5000]);
        assert_eq!(files(&bytes).unwrap().len(), 1);
    }

    #[test]
    fn an_empty_drive_has_no_function() {
        assert!(matches!(files(&[]), Err(DriveError::Absent)));
        assert!(matches!(files(&[0; 9000]), Err(DriveError::Absent)));
    }

    #[test]
    fn one_changed_byte_is_noticed() {
        let mut bytes = write(&sample()).unwrap();
        bytes[HEADER + 300] ^= 1;
        let error = files(&bytes).unwrap_err();
        assert!(matches!(error, DriveError::Digest { .. }), "{error}");
    }

    #[test]
    fn a_cut_drive_is_noticed() {
        let bytes = write(&sample()).unwrap();
        assert!(matches!(files(&bytes[..HEADER + 100]), Err(DriveError::Digest { .. })));
    }

    #[test]
    fn a_header_that_asks_for_too_much_is_refused_before_anything_is_read() {
        let header = format!("{MAGIC}\n{}\nsha256:00\n", u64::MAX);
        assert!(matches!(files(header.as_bytes()), Err(DriveError::Header)));
    }
}
