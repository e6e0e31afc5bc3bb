//! A file being read.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use bytes::Bytes;
use flagbase_core::functions::{BodyFault, BodyStream};
use futures_util::{StreamExt as _, stream};

use super::{blocking, is_missing};

/// Bytes read by one step; the first one is read where the file is opened.
const STEP: u64 = 256 << 10;

/// A file that is being read, and how much of it is still wanted.
#[derive(Debug)]
pub(super) struct Open {
    file: File,
    size: u64,
    left: u64,
}

/// Opens the file at `path` at the beginning of `range`, and reads the first bytes; `None` when there is none.
pub(super) fn open(path: &Path, range: Option<(u64, u64)>) -> io::Result<Option<(Open, Bytes)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let (from, to) = range.unwrap_or((0, size));
    if from > 0 {
        file.seek(SeekFrom::Start(from.min(size)))?;
    }
    let mut open = Open { file, size, left: to.min(size).saturating_sub(from) };
    let first = open.read()?;
    Ok(Some((open, first)))
}

impl Open {
    /// Of the whole file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes, `first` first.
    pub(super) fn stream(self, first: Bytes) -> BodyStream {
        if self.left == 0 {
            let all = (!first.is_empty()).then_some(Ok(first));
            return Box::pin(stream::iter(all));
        }
        let rest = stream::unfold(Some(self), |open| async move {
            let mut open = open.filter(|open| open.left > 0)?;
            let step = blocking(move || open.read().map(|bytes| (bytes, open))).await;
            match step {
                Ok((bytes, open)) => Some((Ok(bytes), Some(open))),
                Err(error) => Some((Err(BodyFault::Broken(error.to_string())), None)),
            }
        });
        Box::pin(stream::iter([Ok(first)]).chain(rest))
    }

    /// The next bytes.
    fn read(&mut self) -> io::Result<Bytes> {
        let wanted = self.left.min(STEP);
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
        let read = (&mut self.file).take(wanted).read_to_end(&mut bytes)? as u64;
        if read < wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        self.left -= read;
        Ok(bytes.into())
    }
}
