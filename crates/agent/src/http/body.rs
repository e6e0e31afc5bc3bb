//! Bodies, read in parts.

use std::io;

use super::{Connection, Patience};

/// Longest line between chunks, in bytes.
const LINE: usize = 4 << 10;
/// What is read of a body that nobody wants, in bytes.
const SKIPPED: usize = 256 << 10;
/// Most trailers, which are read and dropped.
const TRAILERS: usize = 64;

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// After so many bytes.
    Length(u64),
    /// With an empty chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// Why a head or a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("its body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("{0}")]
    Broken(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BodyError {
    /// Whether time was over.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::TimedOut)
    }
}

/// A body that is being read from a connection.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    /// Left of the body, or of the chunk.
    left: u64,
    first: bool,
    done: bool,
    /// Whether reading failed, so that where it ends is not known any more.
    lost: bool,
    read: u64,
    most: u64,
}

impl Body {
    /// A body that may have `most` bytes.
    ///
    /// # Errors
    /// When it says itself that it has more.
    pub(crate) fn new(framing: Framing, most: u64) -> Result<Self, BodyError> {
        let left = match framing {
            Framing::Length(length) if length > most => return Err(BodyError::TooLarge(most)),
            Framing::Length(length) => length,
            _ => 0,
        };
        Ok(Self { framing, left, first: true, done: framing == Framing::Empty, lost: false, read: 0, most })
    }

    /// How many bytes it has, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Empty => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        }
    }

    /// Whether all of it was read.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Reads and drops what is left, when that is little; whether the connection is at the end of the body then.
    pub(crate) fn skip(&mut self, from: &mut Connection, patience: Patience<'_>) -> bool {
        let mut left = SKIPPED;
        while !self.done && !self.lost && left > 0 {
            let part = self.next(from, patience).ok().flatten().map_or(0, |part| part.len());
            left = left.saturating_sub(part);
        }
        self.done && !self.lost
    }

    /// The next part; `None` at its end.
    pub(crate) fn next(
        &mut self,
        from: &mut Connection,
        patience: Patience<'_>,
    ) -> Result<Option<Vec<u8>>, BodyError> {
        self.advance(from, patience).inspect_err(|_| self.lost = true)
    }

    fn advance(
        &mut self,
        from: &mut Connection,
        patience: Patience<'_>,
    ) -> Result<Option<Vec<u8>>, BodyError> {
        if self.done {
            return Ok(None);
        }
        if self.framing == Framing::Chunked && self.left == 0 && !self.chunk(from, patience)? {
            self.done = true;
            return Ok(None);
        }
        let most = if self.framing == Framing::Close { u64::MAX } else { self.left };
        let Some(part) = from.part(most, patience)? else {
            self.done = true;
            let whole = self.framing == Framing::Close;
            return if whole { Ok(None) } else { Err(BodyError::Broken("its body breaks off".into())) };
        };
        let length = part.len() as u64;
        self.read += length;
        self.left = self.left.saturating_sub(length);
        self.done = matches!(self.framing, Framing::Length(_)) && self.left == 0;
        if self.read > self.most { Err(BodyError::TooLarge(self.most)) } else { Ok(Some(part)) }
    }

    /// Reads up to the next chunk; whether there is one.
    fn chunk(&mut self, from: &mut Connection, patience: Patience<'_>) -> Result<bool, BodyError> {
        if !std::mem::take(&mut self.first) && !from.line(LINE, patience)?.is_empty() {
            return Err(BodyError::Broken("a chunk does not end where it says".to_owned()));
        }
        let line = from.line(LINE, patience)?;
        self.left = size(&line).ok_or_else(|| BodyError::Broken("a chunk has no size".to_owned()))?;
        if self.left > self.most.saturating_sub(self.read) {
            return Err(BodyError::TooLarge(self.most));
        }
        if self.left > 0 {
            return Ok(true);
        }
        for _ in 0..TRAILERS {
            if from.line(LINE, patience)?.is_empty() {
                return Ok(false);
            }
        }
        Err(BodyError::Broken("it has too many trailers".to_owned()))
    }

    /// All of it.
    pub(crate) fn whole(
        mut self,
        from: &mut Connection,
        patience: Patience<'_>,
    ) -> Result<Vec<u8>, BodyError> {
        let mut whole = Vec::new();
        while let Some(part) = self.next(from, patience)? {
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }
}

fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::connection::given;
    use super::*;

    fn read(framing: Framing, most: u64, bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
        Body::new(framing, most)?.whole(&mut given(bytes), Patience::default())
    }

    #[test]
    fn a_body_ends_where_it_says_and_not_later() {
        assert_eq!(read(Framing::Length(3), 10, b"abcdef").unwrap(), b"abc");
        assert_eq!(read(Framing::Empty, 10, b"abc").unwrap(), b"");
        assert_eq!(read(Framing::Close, 10, b"abc").unwrap(), b"abc");
        let chunks = b"3;name=value\r\nabc\r\n2 \r\nde\r\n0\r\nX: trailer\r\n\r\nGET";
        assert_eq!(read(Framing::Chunked, 10, chunks).unwrap(), b"abcde");
    }

    #[test]
    fn what_comes_after_a_body_is_left_for_the_next() {
        let mut connection = given(b"3\r\nabc\r\n0\r\n\r\nnext");
        let body = Body::new(Framing::Chunked, 10).unwrap();
        assert_eq!(body.whole(&mut connection, Patience::default()).unwrap(), b"abc");
        assert_eq!(connection.buffered(), b"next");
    }

    #[test]
    fn what_nobody_wants_is_skipped_when_it_is_little() {
        let skips = |bytes: &[u8], length: u64| {
            let mut connection = given(bytes);
            let mut body = Body::new(Framing::Length(length), u64::MAX).unwrap();
            let skipped = body.skip(&mut connection, Patience::default());
            (skipped, connection.buffered().to_vec())
        };
        assert_eq!(skips(b"abcnext", 3), (true, b"next".to_vec()));
        assert!(!skips(b"abc", 9).0);
    }

    #[test]
    fn a_body_that_is_too_large_is_refused_as_soon_as_that_is_known() {
        assert!(matches!(Body::new(Framing::Length(11), 10), Err(BodyError::TooLarge(10))));
        assert!(matches!(read(Framing::Chunked, 10, b"b\r\n"), Err(BodyError::TooLarge(10))));
        assert!(matches!(read(Framing::Close, 2, b"abc"), Err(BodyError::TooLarge(2))));
    }

    #[test]
    fn a_body_that_breaks_off_is_broken() {
        assert!(read(Framing::Length(9), 10, b"abc").is_err());
        assert!(read(Framing::Chunked, 10, b"3\r\nab").is_err());
        assert!(read(Framing::Chunked, 10, b"3\r\nabc\r\n").is_err());
    }

    #[test]
    fn chunks_that_are_none_are_broken() {
        for bytes in [&b"x\r\n"[..], b"-1\r\n", b"\r\n", b"ffffffffffffffff\r\n", b"3\r\nabcd\r\n0\r\n\r\n"] {
            assert!(read(Framing::Chunked, 10, bytes).is_err(), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_parts_come_back_as_one_body(parts in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 1..50), 0..10)) {
            let mut bytes = Vec::new();
            for part in &parts {
                bytes.extend(format!("{:x}\r\n", part.len()).bytes().chain(part.iter().copied()).chain(*b"\r\n"));
            }
            bytes.extend(b"0\r\n\r\n");
            proptest::prop_assert_eq!(read(Framing::Chunked, 1000, &bytes).unwrap(), parts.concat());
        }
    }
}
