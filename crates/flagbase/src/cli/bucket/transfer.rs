//! What transfers have in common: reading files, checksums, several at once.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flagbase_core::buckets::{Piece, crc64, crc64_of};
use futures_util::{Stream, StreamExt as _, stream};

use super::progress::Bar;
use crate::exit::{Failure, Outcome};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// How often a transfer is tried that a broken connection ended.
pub(super) const ATTEMPTS: u32 = 5;

/// CRC-64/NVME of a file in base64.
pub(super) fn checksum(path: &Path) -> Outcome<String> {
    let mut file = open(path)?;
    let mut buffer = vec![0; CHUNK];
    let mut all = Piece { blob: String::new(), size: 0, crc64: 0 };
    loop {
        let read = file.read(&mut buffer).map_err(|error| unreadable(path, &error))?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        let next = Piece { blob: String::new(), size: bytes.len() as u64, crc64: crc64(bytes) };
        all = Piece { size: all.size + next.size, crc64: crc64_of(&[all, next]), blob: String::new() };
    }
    Ok(STANDARD.encode(all.crc64.to_be_bytes()))
}

/// The bytes of a file from `offset`, at most `most`, in parts.
pub(super) fn parts(
    path: &Path,
    (offset, most): (u64, u64),
    bar: Bar,
) -> Outcome<impl Stream<Item = std::io::Result<Vec<u8>>> + Send + 'static> {
    let mut file = open(path)?;
    file.seek(SeekFrom::Start(offset)).map_err(|error| unreadable(path, &error))?;
    Ok(stream::unfold(Some((file, most)), move |state| {
        let bar = bar.clone();
        async move {
            let (mut file, left) = state?;
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            if want == 0 {
                return None;
            }
            let mut buffer = vec![0; want];
            match file.read(&mut buffer) {
                Ok(0) => None,
                Ok(read) => {
                    buffer.truncate(read);
                    bar.add(read as u64);
                    Some((Ok(buffer), Some((file, left - read as u64))))
                }
                Err(error) => Some((Err(error), None)),
            }
        }
    }))
}

/// Does all of `work`, so many at once. Goes on when one fails, and tells all that did at the end.
pub(super) async fn together<F: Future<Output = Result<(), (String, Failure)>>>(
    work: Vec<F>,
    at_once: usize,
    what: &str,
) -> Outcome {
    let count = work.len();
    let done: Vec<_> = stream::iter(work).buffer_unordered(at_once.max(1)).collect().await;
    let mut failed: Vec<(String, Failure)> = done.into_iter().filter_map(Result::err).collect();
    match (failed.len(), count) {
        (0, _) => Ok(()),
        (1, 1) => Err(failed.pop().map_or_else(|| Failure::plain("failed"), |(_, failure)| failure)),
        (wrong, _) => {
            let lines = failed.iter().map(|(name, failure)| format!("{name}: {failure}")).collect();
            Err(Failure::plain(format!("{wrong} of {count} {what}")).details(lines))
        }
    }
}

pub(super) fn open(path: &Path) -> Outcome<File> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("`{}` cannot be read: {error}", path.display()))
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::plain(format!("`{}` cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_file_does_not_depend_on_how_it_is_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x");
        let bytes: Vec<u8> = (0..CHUNK * 2 + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(checksum(&path).unwrap(), STANDARD.encode(crc64(&bytes).to_be_bytes()));
        std::fs::write(&path, "").unwrap();
        assert_eq!(checksum(&path).unwrap(), STANDARD.encode([0; 8]));
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_read_from_where_it_begins() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x");
        std::fs::write(&path, "0123456789").unwrap();
        let read: Vec<_> = parts(&path, (3, 4), Bar::new(0, true)).unwrap().collect().await;
        assert_eq!(read.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat(), b"3456");
    }

    #[tokio::test]
    async fn what_fails_does_not_keep_the_others_from_being_done() {
        let work = (0..3).map(|number| async move {
            if number == 1 { Err(("b".to_owned(), Failure::plain("broken"))) } else { Ok(()) }
        });
        let failure = together(work.collect(), 2, "objects could not be sent").await.unwrap_err();
        assert_eq!(
            (failure.to_string().as_str(), failure.listed()),
            ("1 of 3 objects could not be sent", &["b: broken".to_owned()][..])
        );
    }
}
