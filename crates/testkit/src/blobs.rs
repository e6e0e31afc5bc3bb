//! What every `Blobs` does, and blobs in memory.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    blobs::{BlobError, Blobs, Reading},
    functions::{Body, BodyFault, BodyStream},
};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::task::JoinSet;

/// Fresh, empty blobs to test.
pub struct BlobsUnderTest {
    pub blobs: Arc<dyn Blobs>,
    _keep: Box<dyn Any + Send + Sync>,
}

impl BlobsUnderTest {
    /// `keep` (a temporary directory, say) lives as long as they are tested.
    pub fn of(blobs: impl Blobs + 'static, keep: impl Any + Send + Sync) -> Self {
        Self::shared(Arc::new(blobs), keep)
    }

    /// The same for blobs that are shared already.
    pub fn shared(blobs: Arc<dyn Blobs>, keep: impl Any + Send + Sync) -> Self {
        Self { blobs, _keep: Box::new(keep) }
    }
}

impl fmt::Debug for BlobsUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobsUnderTest").finish_non_exhaustive()
    }
}

/// One test per case of this suite. `$fresh` names an `async fn() -> BlobsUnderTest`.
#[doc(hidden)]
#[macro_export]
macro_rules! blobs_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            blobs,
            [
                what_was_put_is_read_whole,
                nothing_is_a_blob_too,
                putting_again_takes_the_place,
                what_breaks_off_leaves_what_was_there,
                a_range_is_that_part,
                a_copy_is_another_blob_with_the_same_bytes,
                deleting_removes_and_deleting_again_is_fine,
                a_reader_reads_on_while_the_blob_is_replaced,
                names_are_listed_in_order_by_prefix_and_in_pages,
                a_blob_and_blobs_below_its_name_do_not_meet,
                of_many_writers_one_wins_whole,
            ]
        );
    };
}

/// A stream of these parts.
pub fn parts(parts: &[&str]) -> BodyStream {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::copy_from_slice(part.as_bytes()))).collect();
    Box::pin(stream::iter(parts))
}

/// A stream that breaks off after `first`.
pub fn broken_off(first: &str) -> BodyStream {
    let broken = BodyFault::Broken("on purpose".into());
    Box::pin(stream::iter([Ok(Bytes::copy_from_slice(first.as_bytes())), Err(broken)]))
}

/// A stream of all of `bytes` at once.
pub fn whole(bytes: impl Into<Bytes>) -> BodyStream {
    Box::pin(stream::iter([Ok(bytes.into())]))
}

/// The bytes of `name`.
pub async fn read(blobs: &dyn Blobs, name: &str, range: Option<(u64, u64)>) -> Option<Vec<u8>> {
    let reading = blobs.get(name, range).await.unwrap()?;
    Some(Body::Stream(reading.bytes, None).collect(u64::MAX).await.unwrap().to_vec())
}

async fn text(test: &BlobsUnderTest, name: &str, range: Option<(u64, u64)>) -> Option<String> {
    Some(String::from_utf8(read(test.blobs.as_ref(), name, range).await?).unwrap())
}

pub async fn what_was_put_is_read_whole(test: &BlobsUnderTest) {
    let kept = test.blobs.put("f/a-1", parts(&["hello ", "", "world"])).await.unwrap();
    assert_eq!(kept, 11);
    assert_eq!(text(test, "f/a-1", None).await.as_deref(), Some("hello world"));
    assert_eq!(test.blobs.get("f/a-1", None).await.unwrap().unwrap().size, 11);
    assert!(test.blobs.get("f/a", None).await.unwrap().is_none());
    let large = vec![b'x'; 3 << 20];
    test.blobs.put("large", whole(large.clone())).await.unwrap();
    assert!(read(test.blobs.as_ref(), "large", None).await.unwrap() == large, "all of a large one");
}

pub async fn nothing_is_a_blob_too(test: &BlobsUnderTest) {
    assert_eq!(test.blobs.put("empty", parts(&[])).await.unwrap(), 0);
    assert_eq!(text(test, "empty", None).await.as_deref(), Some(""));
    assert_eq!(test.blobs.list("", "", 9).await.unwrap(), ["empty"]);
}

pub async fn putting_again_takes_the_place(test: &BlobsUnderTest) {
    for content in ["a long first one", "short", ""] {
        test.blobs.put("a", parts(&[content])).await.unwrap();
        assert_eq!(text(test, "a", None).await.as_deref(), Some(content));
    }
}

pub async fn what_breaks_off_leaves_what_was_there(test: &BlobsUnderTest) {
    let refused = test.blobs.put("a", broken_off("half")).await.unwrap_err();
    assert!(matches!(&refused, BlobError::Source(BodyFault::Broken(why)) if why == "on purpose"));
    assert!(test.blobs.list("", "", 9).await.unwrap().is_empty());
    test.blobs.put("a", parts(&["before"])).await.unwrap();
    test.blobs.put("a", broken_off("half")).await.unwrap_err();
    assert_eq!(text(test, "a", None).await.as_deref(), Some("before"));
}

pub async fn a_range_is_that_part(test: &BlobsUnderTest) {
    test.blobs.put("a", parts(&["0123", "456789"])).await.unwrap();
    for (range, expected) in [
        ((0, 10), "0123456789"),
        ((3, 6), "345"),
        ((9, 10), "9"),
        ((5, 99), "56789"),
        ((4, 4), ""),
        ((7, 3), ""),
        ((10, 20), ""),
        ((50, u64::MAX), ""),
    ] {
        assert_eq!(text(test, "a", Some(range)).await.as_deref(), Some(expected), "{range:?}");
    }
    assert_eq!(test.blobs.get("a", Some((2, 3))).await.unwrap().unwrap().size, 10, "of the whole");
}

pub async fn a_copy_is_another_blob_with_the_same_bytes(test: &BlobsUnderTest) {
    test.blobs.put("f/a", parts(&["bytes"])).await.unwrap();
    test.blobs.put("there", parts(&["before"])).await.unwrap();
    for to in ["f/b", "other/c", "there", "f/a"] {
        assert!(test.blobs.copy("f/a", to).await.unwrap(), "{to}");
        assert_eq!(text(test, to, None).await.as_deref(), Some("bytes"), "{to}");
    }
    assert_eq!(test.blobs.list("", "", 9).await.unwrap(), ["f/a", "f/b", "other/c", "there"]);
    test.blobs.put("f/a", parts(&["new"])).await.unwrap();
    test.blobs.delete("f/b").await.unwrap();
    assert_eq!(text(test, "other/c", None).await.as_deref(), Some("bytes"), "they go their own ways");
    assert!(!test.blobs.copy("none", "d").await.unwrap());
    assert!(text(test, "d", None).await.is_none());
}

pub async fn deleting_removes_and_deleting_again_is_fine(test: &BlobsUnderTest) {
    test.blobs.put("f/a", parts(&["x"])).await.unwrap();
    test.blobs.put("f/b", parts(&["y"])).await.unwrap();
    for _ in 0..2 {
        test.blobs.delete("f/a").await.unwrap();
        assert_eq!(text(test, "f/a", None).await, None);
    }
    assert_eq!(text(test, "f/b", None).await.as_deref(), Some("y"));
    test.blobs.put("f/a", parts(&["again"])).await.unwrap();
    assert_eq!(text(test, "f/a", None).await.as_deref(), Some("again"));
}

pub async fn a_reader_reads_on_while_the_blob_is_replaced(test: &BlobsUnderTest) {
    let old = vec![b'o'; 1 << 20];
    test.blobs.put("a", whole(old.clone())).await.unwrap();
    let reading = test.blobs.get("a", None).await.unwrap().unwrap();
    test.blobs.put("a", whole(vec![b'n'; 1 << 20])).await.unwrap();
    test.blobs.delete("a").await.unwrap();
    let seen = Body::Stream(reading.bytes, None).collect(u64::MAX).await.unwrap();
    assert!(seen == old, "never a mixture");
}

pub async fn names_are_listed_in_order_by_prefix_and_in_pages(test: &BlobsUnderTest) {
    for name in ["b", "a/2", "a/10", "a-1", "a0", "a/2/x", "c/d/e"] {
        test.blobs.put(name, parts(&[name])).await.unwrap();
    }
    let list = |prefix: &'static str, after: &'static str, limit| async move {
        test.blobs.list(prefix, after, limit).await.unwrap().join(" ")
    };
    assert_eq!(list("", "", 99).await, "a-1 a/10 a/2 a/2/x a0 b c/d/e");
    assert_eq!(list("a/", "", 99).await, "a/10 a/2 a/2/x");
    assert_eq!(list("a/", "a/10", 1).await, "a/2");
    assert_eq!(list("", "a/2", 2).await, "a/2/x a0");
    assert_eq!(list("c/d/e", "", 9).await, "c/d/e");
    assert_eq!(list("", "c/d/e", 9).await, "");
    assert_eq!(list("nothing", "", 9).await, "");
    assert_eq!(list("", "", 0).await, "");
}

pub async fn a_blob_and_blobs_below_its_name_do_not_meet(test: &BlobsUnderTest) {
    for name in ["a", "a/b", "a/b/c"] {
        test.blobs.put(name, parts(&[name])).await.unwrap();
    }
    test.blobs.delete("a").await.unwrap();
    assert_eq!(text(test, "a/b", None).await.as_deref(), Some("a/b"));
    assert_eq!(text(test, "a/b/c", None).await.as_deref(), Some("a/b/c"));
    assert_eq!(text(test, "a/b/c/d", None).await, None);
}

pub async fn of_many_writers_one_wins_whole(test: &BlobsUnderTest) {
    let mut writers = JoinSet::new();
    for writer in 0..8_u8 {
        let blobs = Arc::clone(&test.blobs);
        let parts: Vec<_> = (0..16).map(|_| Ok(Bytes::from(vec![writer; 40_000]))).collect();
        writers.spawn(async move { blobs.put("a", Box::pin(stream::iter(parts))).await.unwrap() });
    }
    assert!(writers.join_all().await.into_iter().all(|size| size == 640_000));
    let seen = read(test.blobs.as_ref(), "a", None).await.unwrap();
    assert!(seen.len() == 640_000 && seen.iter().all(|byte| Some(byte) == seen.first()));
    assert_eq!(test.blobs.list("", "", 9).await.unwrap(), ["a"]);
}

/// Blobs in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<BTreeMap<String, Bytes>>>,
    most: Option<usize>,
    away: Arc<Mutex<Away>>,
}

/// What a store does not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Away {
    /// It answers everything.
    #[default]
    Nothing,
    /// It can be listed, and nothing can be read.
    Reads,
    /// Nobody gets through to it.
    Everything,
}

impl MemoryBlobs {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// None, and room for so many bytes in each.
    pub fn with_room_for(most: usize) -> Self {
        Self { most: Some(most), ..Self::default() }
    }

    /// From now on these are not answered.
    pub fn fail(&self, away: Away) {
        *self.away.lock() = away;
    }

    fn answers(&self, unless: &[Away]) -> Result<(), BlobError> {
        let away = *self.away.lock();
        if unless.contains(&away) { Err(BlobError::Unavailable("it is away".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, name: &str, bytes: BodyStream) -> Result<u64, BlobError> {
        let bytes = Body::Stream(bytes, None).collect(u64::MAX).await?;
        if self.most.is_some_and(|most| bytes.len() > most) {
            return Err(BlobError::Full);
        }
        let size = bytes.len() as u64;
        self.blobs.lock().insert(name.to_owned(), bytes);
        Ok(size)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, BlobError> {
        let mut blobs = self.blobs.lock();
        let Some(bytes) = blobs.get(from).cloned() else { return Ok(false) };
        blobs.insert(to.to_owned(), bytes);
        Ok(true)
    }

    async fn get(&self, name: &str, range: Option<(u64, u64)>) -> Result<Option<Reading>, BlobError> {
        self.answers(&[Away::Reads, Away::Everything])?;
        let Some(bytes) = self.blobs.lock().get(name).cloned() else { return Ok(None) };
        let size = bytes.len();
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(size);
        let (from, to) = range.map_or((0, size), |(from, to)| (place(from), place(to)));
        Ok(Some(Reading { size: size as u64, bytes: whole(bytes.slice(from.min(to)..to)), file: None }))
    }

    async fn delete(&self, name: &str) -> Result<(), BlobError> {
        self.blobs.lock().remove(name);
        Ok(())
    }

    async fn list(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<String>, BlobError> {
        self.answers(&[Away::Everything])?;
        let blobs = self.blobs.lock();
        let meant = blobs.keys().filter(|name| name.starts_with(prefix) && name.as_str() > after);
        Ok(meant.take(limit as usize).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{BlobsUnderTest, MemoryBlobs};

    async fn fresh() -> BlobsUnderTest {
        std::future::ready(BlobsUnderTest::of(MemoryBlobs::new(), ())).await
    }

    crate::blobs_cases!(super::fresh);
}
