//! Reading an object.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{StreamExt as _, stream};

use super::{Bucket, Object, Objects, Piece};
use crate::{
    blobs::{Blobs, Direct, FilePart, LEAST_SENT, Reading},
    functions::{BodyFault, BodyStream},
    refusal::{Class, Refusal},
};

/// How often an object is looked for again that was replaced while it was being opened.
const LOOKS: usize = 5;

/// Which bytes of an object are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// All of them.
    Whole,
    /// From this byte up to before that one.
    Range(u64, u64),
    /// None: only what is known of it.
    Nothing,
}

/// An object, and the bytes that were picked.
pub struct Part {
    /// What is known of the object.
    pub object: Arc<Object>,
    /// The bytes.
    pub bytes: BodyStream,
    /// Where the same bytes lie, when that is one file.
    pub file: Option<FilePart>,
}

impl Part {
    /// The bytes, for the body of an answer; `direct` sends them without reading them where that pays.
    pub fn body(self, direct: Option<&Direct>) -> BodyStream {
        match (self.file, direct) {
            (Some(file), Some(direct)) if file.to.saturating_sub(file.from) >= LEAST_SENT => {
                Arc::clone(&direct.0).body(file)
            }
            _ => self.bytes,
        }
    }
}

impl Objects {
    /// An object, or a version of it, and what `pick` chooses of its bytes; `None` when there is none. A delete marker is
    /// told only when its version is asked for. `pick` may be asked again when the object was replaced meanwhile.
    pub async fn get(
        &self,
        bucket: &Bucket,
        (key, version): (&str, Option<&str>),
        pick: &(dyn Fn(&Object) -> Pick + Send + Sync),
    ) -> Result<Option<Part>, Refusal> {
        for _ in 0..LOOKS {
            let Some(object) = self.head(bucket, key, version).await? else { return Ok(None) };
            let range = match pick(&object) {
                Pick::Whole => (0, object.size),
                Pick::Range(from, to) => (from, to.min(object.size)),
                Pick::Nothing => (0, 0),
            };
            if let Some((bytes, file)) = self.opened(&object.pieces, range).await? {
                return Ok(Some(Part { object, bytes, file }));
            }
            // Replaced or removed since the index was read.
            self.cache.forget(bucket, key);
        }
        let message = format!(
            "the bytes of {} are not where they should be; write it again",
            crate::buckets::shown(key)
        );
        Err(Refusal::new(Class::Internal, "object_lost", message))
    }

    /// Bytes of pieces, one after another. The first piece is opened now; `None` when it is not there.
    pub(super) async fn bytes(
        &self,
        pieces: &[Piece],
        range: (u64, u64),
    ) -> Result<Option<BodyStream>, Refusal> {
        Ok(self.opened(pieces, range).await?.map(|(bytes, _)| bytes))
    }

    async fn opened(
        &self,
        pieces: &[Piece],
        range: (u64, u64),
    ) -> Result<Option<(BodyStream, Option<FilePart>)>, Refusal> {
        let mut wanted = within(pieces, range);
        let Some((blob, range)) = wanted.pop_front() else {
            return Ok(Some((Box::pin(stream::empty()), None)));
        };
        let Some(Reading { bytes, file, .. }) = self.blobs.get(&blob, range).await? else { return Ok(None) };
        if wanted.is_empty() {
            return Ok(Some((bytes, file)));
        }
        let blobs = Arc::clone(&self.blobs);
        let rest = stream::unfold((blobs, wanted), |(blobs, mut wanted)| async move {
            let (blob, range) = wanted.pop_front()?;
            Some((open(blobs.as_ref(), &blob, range).await, (blobs, wanted)))
        });
        Ok(Some((Box::pin(bytes.chain(rest.flatten())), None)))
    }
}

async fn open(blobs: &dyn Blobs, blob: &str, range: Option<(u64, u64)>) -> BodyStream {
    let fault = match blobs.get(blob, range).await {
        Ok(Some(reading)) => return reading.bytes,
        Ok(None) => "a piece of the object is gone".to_owned(),
        Err(error) => error.to_string(),
    };
    Box::pin(stream::iter([Err(BodyFault::Broken(fault))]))
}

/// The blobs that hold the bytes from `from` up to before `to`, each with the part that is meant.
fn within(pieces: &[Piece], (from, to): (u64, u64)) -> VecDeque<(String, Option<(u64, u64)>)> {
    let mut start: u64 = 0;
    let mut wanted = VecDeque::new();
    for piece in pieces {
        let end = start.saturating_add(piece.size);
        let (first, last) = (from.max(start), to.min(end));
        if first < last {
            let part = (first - start, last - start);
            let range = (part != (0, piece.size)).then_some(part);
            wanted.push_back((piece.blob.clone(), range));
        }
        start = end;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_over_pieces_is_the_same_as_over_the_whole(
            sizes in proptest::collection::vec(0_u64..9, 0..6), from in 0_u64..40, to in 0_u64..40,
        ) {
            let mut number = 0_u64;
            let mut blobs = std::collections::BTreeMap::new();
            let mut pieces = Vec::new();
            for (at, size) in sizes.iter().enumerate() {
                let bytes: Vec<u64> = (number..number + size).collect();
                number += size;
                blobs.insert(at.to_string(), bytes);
                pieces.push(Piece { blob: at.to_string(), size: *size, crc64: 0 });
            }
            let whole: Vec<u64> = (0..number).filter(|at| (from..to).contains(at)).collect();
            let mut read: Vec<u64> = Vec::new();
            for (blob, range) in within(&pieces, (from, to)) {
                let bytes = &blobs[&blob];
                let (first, last) = range.unwrap_or((0, bytes.len() as u64));
                prop_assert!(first < last, "nothing is opened for nothing");
                read.extend(&bytes[usize::try_from(first).unwrap()..usize::try_from(last).unwrap()]);
            }
            prop_assert_eq!(read, whole);
        }
    }
}
