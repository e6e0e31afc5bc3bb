//! Cutting a stream into parts of one size.

use bytes::{Bytes, BytesMut};
use flagbase_core::{blobs::BlobError, functions::BodyStream};
use futures_util::StreamExt as _;

/// Bytes of a part, of every one but the last: more than the 5 MiB that S3 asks for.
pub(super) const PART: usize = 8 << 20;

/// Parts of this size come after so many small ones: S3 takes 10 000 parts at most.
const LARGE: usize = 128 << 20;
const SMALL_PARTS: usize = 5_000;

/// A stream in parts.
pub(super) struct Parts {
    bytes: BodyStream,
    /// Arrived already, and belongs to the next part.
    rest: Bytes,
    taken: usize,
}

impl Parts {
    pub(super) fn of(bytes: BodyStream) -> Self {
        Self { bytes, rest: Bytes::new(), taken: 0 }
    }

    /// The next part; the one that is smaller than the others is the last, and may be empty.
    pub(super) async fn next(&mut self) -> Result<Bytes, BlobError> {
        let most = if self.taken < SMALL_PARTS { PART } else { LARGE };
        self.taken += 1;
        // Copied, because pieces of a few bytes would hold on to the buffers they arrived in.
        let mut part = BytesMut::new();
        loop {
            let missing = most - part.len();
            part.extend_from_slice(&self.rest.split_to(missing.min(self.rest.len())));
            if part.len() == most {
                return Ok(part.freeze());
            }
            match self.bytes.next().await {
                Some(arrived) => self.rest = arrived?,
                None => return Ok(part.freeze()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flagbase_testkit::blobs::{broken_off, whole};
    use futures_util::stream;

    use super::*;

    async fn sizes(bytes: BodyStream) -> Vec<usize> {
        let (mut parts, mut sizes) = (Parts::of(bytes), Vec::new());
        loop {
            sizes.push(parts.next().await.unwrap().len());
            if sizes.last().is_some_and(|size| *size < PART) {
                return sizes;
            }
        }
    }

    #[tokio::test]
    async fn every_part_but_the_last_has_one_size_however_bytes_arrive() {
        assert_eq!(sizes(whole("")).await, [0]);
        assert_eq!(sizes(whole("abc")).await, [3]);
        assert_eq!(sizes(whole(vec![0; PART])).await, [PART, 0]);
        assert_eq!(sizes(whole(vec![0; 2 * PART + 1])).await, [PART, PART, 1]);
        let pieces = (0..3).map(|_| Ok(Bytes::from(vec![1; PART / 2 + 7])));
        assert_eq!(sizes(Box::pin(stream::iter(pieces))).await, [PART, PART / 2 + 21]);
    }

    #[tokio::test]
    async fn bytes_keep_their_order() {
        let bytes: Vec<u8> = (0..PART + 1000).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let pieces: Vec<_> = bytes.chunks(9_973).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut parts = Parts::of(Box::pin(stream::iter(pieces)));
        let (first, last) = (parts.next().await.unwrap(), parts.next().await.unwrap());
        assert!([first, last].concat() == bytes);
    }

    #[tokio::test]
    async fn what_breaks_off_is_no_part() {
        assert!(matches!(Parts::of(broken_off("half")).next().await, Err(BlobError::Source(_))));
    }
}
