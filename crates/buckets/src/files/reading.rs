//! A file being read.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use bytes::Bytes;
use flagbase_core::{
    blobs::FilePart,
    functions::{BodyFault, BodyStream},
};
use futures_util::stream;

use super::{blocking, is_missing, opened::Opened};

/// Bytes read by one step.
const STEP: u64 = 256 << 10;

/// Bytes that are not worth a buffer that is used again.
const SMALL: usize = 16 << 10;

/// Buffers that a thread keeps for the next steps.
const KEPT: usize = 8;

/// Opens the file at `path`; `None` when there is none. Blocks.
pub(super) fn open(path: &Path) -> io::Result<Option<Arc<Opened>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    Ok(Some(Arc::new(Opened { file: Arc::new(file), size })))
}

/// Bytes of a file that are wanted still.
#[derive(Debug)]
pub(super) struct Wanted {
    opened: Arc<Opened>,
    from: u64,
    to: u64,
}

impl Wanted {
    pub(super) fn new(opened: Arc<Opened>, range: Option<(u64, u64)>) -> Self {
        let (from, to) = range.unwrap_or((0, opened.size));
        let to = to.min(opened.size);
        Self { opened, from: from.min(to), to }
    }

    /// Where the bytes lie.
    pub(super) fn part(&self) -> FilePart {
        FilePart { file: Arc::clone(&self.opened.file), from: self.from, to: self.to }
    }

    /// The bytes, in steps.
    pub(super) fn stream(self) -> BodyStream {
        Box::pin(stream::unfold(Some(self), |wanted| async move {
            let mut wanted = wanted.filter(|wanted| wanted.from < wanted.to)?;
            if let Some(bytes) = wanted.read_at_once() {
                return Some((Ok(bytes), Some(wanted)));
            }
            let step = blocking(move || wanted.read().map(|bytes| (bytes, wanted))).await;
            match step {
                Ok((bytes, wanted)) => Some((Ok(bytes), Some(wanted))),
                Err(error) => Some((Err(BodyFault::Broken(error.to_string())), None)),
            }
        }))
    }

    /// The next bytes, when they are in memory: then no other thread has to be asked.
    fn read_at_once(&mut self) -> Option<Bytes> {
        let mut buffer = Buffer::of(self.step());
        let read = available(&self.opened.file, &mut buffer.bytes, self.from)?;
        buffer.bytes.truncate(read);
        self.from += read as u64;
        Some(Bytes::from_owner(buffer))
    }

    /// The next bytes, wherever they are. Blocks.
    fn read(&mut self) -> io::Result<Bytes> {
        let mut buffer = Buffer::of(self.step());
        self.opened.file.read_exact_at(&mut buffer.bytes, self.from).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file is shorter than it was"),
            _ => error,
        })?;
        self.from += buffer.bytes.len() as u64;
        Ok(Bytes::from_owner(buffer))
    }

    fn step(&self) -> usize {
        usize::try_from((self.to - self.from).min(STEP)).unwrap_or_default()
    }
}

/// Reads what is in memory of a file, without waiting for a disk; `None` when nothing is, or nobody can tell.
#[cfg(target_os = "linux")]
fn available(file: &File, buffer: &mut [u8], at: u64) -> Option<usize> {
    let mut parts = [io::IoSliceMut::new(buffer)];
    let read = rustix::io::preadv2(file, &mut parts, at, rustix::io::ReadWriteFlags::NOWAIT);
    read.ok().filter(|read| *read > 0)
}

#[cfg(not(target_os = "linux"))]
fn available(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes to read into. Large ones are used again by the thread that was the last to have them, because clearing new
/// memory costs as much as reading into it.
struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    fn of(length: usize) -> Self {
        let mut bytes = if length > SMALL {
            BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(length))
        } else {
            Vec::new()
        };
        bytes.resize(length, 0);
        Self { bytes }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.capacity() <= SMALL {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        // A thread that is ending keeps nothing.
        let _ = BUFFERS.try_with(|buffers| {
            let mut buffers = buffers.borrow_mut();
            if buffers.len() < KEPT {
                buffers.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use std::io::Write as _;

    use super::*;

    fn wanted(bytes: &[u8], range: Option<(u64, u64)>) -> Wanted {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Wanted::new(Arc::new(Opened { file: Arc::new(file), size: bytes.len() as u64 }), range)
    }

    fn content() -> Vec<u8> {
        (0..STEP * 2 + 77).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_range_over_several_steps_is_read_whole() {
        let content = content();
        let (from, to) = (STEP - 3, STEP * 2 + 5);
        let parts: Vec<Bytes> =
            wanted(&content, Some((from, to))).stream().map(Result::unwrap).collect().await;
        let expected = &content[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
        assert_eq!(parts.concat(), expected);
    }

    #[test]
    fn bytes_from_a_disk_are_those_from_memory() {
        let content = content();
        let (mut slow, mut quick) = (wanted(&content, None), wanted(&content, None));
        let slow = slow.read().unwrap();
        if let Some(quick) = quick.read_at_once() {
            assert_eq!(slow[..quick.len()], quick);
        }
        assert_eq!(slow, content[..slow.len()]);
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_a_fault() {
        let mut short = wanted(b"abc", None);
        short.to = 9;
        let parts: Vec<_> = short.stream().collect().await;
        assert!(matches!(parts.last(), Some(Err(BodyFault::Broken(_)))), "{parts:?}");
    }

    #[test]
    fn a_buffer_that_is_used_again_has_the_length_that_is_asked_for() {
        drop(Buffer::of(SMALL + 9));
        assert_eq!(Buffer::of(SMALL + 1).as_ref().len(), SMALL + 1);
        assert_eq!(Buffer::of(3).as_ref(), [0; 3]);
    }
}
