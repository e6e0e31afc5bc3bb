//! Bodies in chunks (RFC 9112 §7.1), as they arrive from an upstream.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest line with a chunk's size, extensions included.
const LONGEST_LINE: usize = 4096;

/// All trailers together, in bytes.
const MOST_TRAILERS: usize = 32 * 1024;

/// Trailer fields.
const MOST_FIELDS: usize = 100;

/// Reads one body.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    place: Place,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a line with a size.
    #[default]
    Size,
    /// In a chunk with so many bytes to come.
    Data(u64),
    /// Before the line end of a chunk.
    DataEnd,
    /// Before the trailers, or the empty line when there are none.
    Trailers,
    End,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// More bytes are needed.
    More,
}

/// The framing makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

impl Chunked {
    /// Whether the body is over.
    pub(super) fn ended(&self) -> bool {
        self.place == Place::End
    }

    /// Takes the next part out of `bytes`.
    pub(super) fn next(&mut self, bytes: &mut BytesMut) -> Result<Part, Nonsense> {
        loop {
            match self.place {
                Place::Size => match size_line(bytes)? {
                    None => return Ok(Part::More),
                    Some((line, 0)) => {
                        bytes.advance(line);
                        self.place = Place::Trailers;
                    }
                    Some((line, size)) => {
                        bytes.advance(line);
                        self.place = Place::Data(size);
                    }
                },
                Place::Data(_) if bytes.is_empty() => return Ok(Part::More),
                Place::Data(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left - count as u64;
                    self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                    return Ok(Part::Data(bytes.split_to(count).freeze()));
                }
                Place::DataEnd => match line_end(bytes)? {
                    None => return Ok(Part::More),
                    Some(length) => {
                        bytes.advance(length);
                        self.place = Place::Size;
                    }
                },
                Place::Trailers => return self.trailers(bytes),
                Place::End => return Ok(Part::End),
            }
        }
    }

    fn trailers(&mut self, bytes: &mut BytesMut) -> Result<Part, Nonsense> {
        if let Some(length) = match bytes.first() {
            None => return Ok(Part::More),
            Some(b'\r' | b'\n') => line_end(bytes)?,
            Some(_) => None,
        } {
            bytes.advance(length);
            self.place = Place::End;
            return Ok(Part::End);
        }
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let (length, trailers) = match httparse::parse_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete((length, fields))) => (length, map(fields)?),
            Ok(httparse::Status::Partial) if bytes.len() <= MOST_TRAILERS => return Ok(Part::More),
            _ => return Err(Nonsense),
        };
        bytes.advance(length);
        self.place = Place::End;
        Ok(Part::Trailers(trailers))
    }
}

fn map(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Nonsense> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Nonsense)?;
        map.append(name, HeaderValue::from_bytes(field.value).map_err(|_| Nonsense)?);
    }
    Ok(map)
}

/// The length of a whole line with a size, and the size.
fn size_line(bytes: &[u8]) -> Result<Option<(usize, u64)>, Nonsense> {
    match httparse::parse_chunk_size(bytes) {
        Ok(httparse::Status::Complete((line, size))) => Ok(Some((line, size))),
        Ok(httparse::Status::Partial) if bytes.len() <= LONGEST_LINE => Ok(None),
        _ => Err(Nonsense),
    }
}

/// The length of the line end that `bytes` begin with.
fn line_end(bytes: &[u8]) -> Result<Option<usize>, Nonsense> {
    match bytes {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [b'\n', ..] => Ok(Some(1)),
        _ => Err(Nonsense),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Data, trailers, whether the body ended, and what was left.
    type Read = (Vec<u8>, Option<HeaderMap>, bool, Vec<u8>);

    /// What `bytes` are read as, fed in pieces that end at `cuts`.
    fn read(bytes: &[u8], cuts: &[usize]) -> Result<Read, Nonsense> {
        let (mut chunked, mut inbox) = (Chunked::default(), BytesMut::new());
        let (mut data, mut trailers) = (Vec::new(), None);
        let mut from = 0;
        for to in cuts.iter().copied().chain([bytes.len()]) {
            let to = to.clamp(from, bytes.len());
            inbox.extend_from_slice(&bytes[from..to]);
            from = to;
            loop {
                match chunked.next(&mut inbox)? {
                    Part::Data(part) => data.extend_from_slice(&part),
                    Part::Trailers(found) => trailers = Some(found),
                    Part::More | Part::End => break,
                }
            }
        }
        Ok((data, trailers, chunked.ended(), inbox.to_vec()))
    }

    #[test]
    fn chunks_are_joined_and_what_follows_is_left_alone() {
        let whole = b"4;name=value\r\nwiki\r\n5\r\npedia\r\n0\r\n\r\nHTTP/1.1";
        assert_eq!(read(whole, &[]), Ok((b"wikipedia".to_vec(), None, true, b"HTTP/1.1".to_vec())));
    }

    #[test]
    fn trailers_come_after_the_last_chunk() {
        let (data, trailers, ended, _) = read(b"1\r\nx\r\n0\r\ngrpc-status: 0\r\nA: b\r\n\r\n", &[]).unwrap();
        let trailers = trailers.unwrap();
        assert_eq!((data.as_slice(), ended, trailers.len()), (&b"x"[..], true, 2));
        assert_eq!(trailers["grpc-status"], "0");
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for nonsense in [
            &b"x\r\n"[..],
            b"-1\r\n",
            b"fffffffffffffffff\r\n",
            b"1\r\nab\r\n",
            b"1\r\nx\rx",
            b"0\r\nno field\r\n\r\n",
        ] {
            assert_eq!(read(nonsense, &[]).err(), Some(Nonsense), "{}", nonsense.escape_ascii());
        }
        assert_eq!(read(&[b"1;".as_slice(), &vec![b'x'; LONGEST_LINE]].concat(), &[]).err(), Some(Nonsense));
        let endless = [b"0\r\na: ".as_slice(), &vec![b'x'; MOST_TRAILERS]].concat();
        assert_eq!(read(&endless, &[]).err(), Some(Nonsense));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_network_cuts(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            mut cuts in prop::collection::vec(0..300_usize, 0..8),
            trailer in any::<bool>(),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(if trailer { b"0\r\nt: v\r\n\r\n" } else { b"0\r\n\r\n" });
            cuts.sort_unstable();
            let (data, trailers, ended, rest) = read(&wire, &cuts).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(trailers.is_some(), trailer);
            prop_assert!(ended && rest.is_empty());
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
            let _ = read(&bytes, &[cut]);
        }
    }
}
