//! The store, and blobs that are written to it in parts.

use std::env;

use bytes::Bytes;
use flagbase_buckets::{probe, remote};
use flagbase_core::{
    functions::BodyFault,
    random::{Random as _, SystemRandom},
    tasks::Tasks,
};
use flagbase_testkit::blobs::{BlobsUnderTest, read};
use futures_util::stream;

/// Bytes that arrive at once.
const PIECE: usize = 100_003;

/// So many are more than two parts, and no whole number of them.
const PIECES: u8 = 200;

/// A place of its own in the store.
pub(crate) async fn fresh() -> BlobsUnderTest {
    let url = env::var_os("S3_STORE").expect("set `S3_STORE`, or run `cargo xtask test --only s3`");
    let url = url.into_string().unwrap();
    let (address, options) = url.split_once('?').unwrap_or((&url, ""));
    let mut place = [0; 8];
    SystemRandom.fill(&mut place);
    let place = u64::from_ne_bytes(place);
    let tasks = Tasks::new();
    let blobs = remote(&format!("{address}/{place:x}?{options}"), &tasks).unwrap();
    std::future::ready(BlobsUnderTest::shared(blobs, tasks)).await
}

fn piece(number: u8) -> Bytes {
    Bytes::from(vec![number; PIECE])
}

#[tokio::test]
async fn what_is_written_in_parts_is_read_as_one() {
    let test = fresh().await;
    let pieces = (0..PIECES).map(|number| Ok(piece(number)));
    let size = test.blobs.put("large", Box::pin(stream::iter(pieces))).await.unwrap();
    assert_eq!(size, PIECE as u64 * u64::from(PIECES));
    let expected: Vec<u8> = (0..PIECES).flat_map(|number| piece(number).to_vec()).collect();
    assert!(read(test.blobs.as_ref(), "large", None).await.unwrap() == expected);
    let across = ((8 << 20) - 5, (8 << 20) + 5);
    let (from, to) = (usize::try_from(across.0).unwrap(), usize::try_from(across.1).unwrap());
    assert_eq!(read(test.blobs.as_ref(), "large", Some(across)).await.unwrap(), expected[from..to]);
    assert!(test.blobs.copy("large", "copy").await.unwrap());
    assert!(read(test.blobs.as_ref(), "copy", None).await.unwrap() == expected);
}

#[tokio::test]
async fn what_breaks_off_after_some_parts_leaves_what_was_there() {
    let test = fresh().await;
    test.blobs.put("large", flagbase_testkit::blobs::whole("before")).await.unwrap();
    let broken = [Err(BodyFault::Broken("on purpose".to_owned()))];
    let pieces = (0..PIECES).map(|number| Ok(piece(number))).chain(broken);
    test.blobs.put("large", Box::pin(stream::iter(pieces))).await.unwrap_err();
    assert_eq!(read(test.blobs.as_ref(), "large", None).await.unwrap(), b"before");
    assert_eq!(test.blobs.list("", "", 9).await.unwrap(), ["large"]);
}

#[tokio::test]
async fn a_probe_finds_it_usable() {
    let test = fresh().await;
    probe(test.blobs.as_ref(), "1").await.unwrap();
    assert!(test.blobs.list("", "", 9).await.unwrap().is_empty());
}
