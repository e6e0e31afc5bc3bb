//! The contract, on a directory.

use std::{fs, os::unix::fs::PermissionsExt as _};

use flagbase_testkit::blobs::{BlobsUnderTest, broken_off, parts, read};
use futures_util::FutureExt as _;
use tempfile::tempdir;

use bytes::Bytes;

use super::*;

async fn fresh() -> BlobsUnderTest {
    let directory = tempdir().unwrap();
    let files = Files::open(&directory.path().join("blobs")).unwrap();
    std::future::ready(BlobsUnderTest::of(files, directory)).await
}

flagbase_testkit::blobs_cases!(super::fresh);

fn files_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn nothing_half_written_stays_beside_what_is_kept() {
    let directory = tempdir().unwrap();
    let files = Files::open(directory.path()).unwrap();
    files.put("f/a", parts(&["one", "two"])).await.unwrap();
    assert!(files.put("f/b", broken_off("half")).await.is_err());
    assert_eq!(files_in(&directory.path().join("f")), ["a.blob"]);
    let mode = fs::metadata(directory.path().join("f/a.blob")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_nothing() {
    let directory = tempdir().unwrap();
    let files = Files::open(directory.path()).unwrap();
    let never = futures_util::stream::iter([Ok(Bytes::from(vec![7; STEP]))]);
    let never = Box::pin(never.chain(futures_util::stream::pending()));
    let mut put = Box::pin(files.put("f/a", never));
    while files_in(directory.path()).is_empty() || files_in(&directory.path().join("f")).is_empty() {
        assert!((&mut put).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(put);
    // A step that was under way on its thread ends by itself, and takes the file with it.
    while !files_in(&directory.path().join("f")).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(files.list("", "", 9).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_crash_left_half_written_goes_at_the_next_start() {
    let directory = tempdir().unwrap();
    let base = directory.path().join("blobs");
    Files::open(&base).unwrap().put("f/a", parts(&["whole"])).await.unwrap();
    for stale in [".0.part", "f/.1.part"] {
        fs::write(base.join(stale), "half").unwrap();
    }
    fs::write(base.join("f/foreign.txt"), "not ours").unwrap();
    let files = Files::open(&base).unwrap();
    assert_eq!(files_in(&base), ["f"]);
    assert_eq!(files_in(&base.join("f")), ["a.blob", "foreign.txt"]);
    assert_eq!(files.list("", "", 9).await.unwrap(), ["f/a"], "what is not ours is not listed");
    files.put("f/b", parts(&["more"])).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_gone_is_told_and_not_made_again() {
    let directory = tempdir().unwrap();
    let base = directory.path().join("blobs");
    let files = Files::open(&base).unwrap();
    fs::remove_dir_all(&base).unwrap();
    let refused = files.put("f/a", parts(&["x"])).await.unwrap_err();
    assert!(matches!(&refused, BlobError::Unavailable(cause) if cause.to_string().contains("is gone")));
    assert!(!base.exists());
    assert!(files.get("f/a", None).await.unwrap().is_none());
}

#[tokio::test]
async fn names_that_are_not_ours_are_refused() {
    let directory = tempdir().unwrap();
    let files = Files::open(directory.path()).unwrap();
    for name in ["../a", "", "a/../../b", "/etc/passwd"] {
        assert!(files.put(name, parts(&["x"])).await.is_err(), "{name}");
        assert!(files.get(name, None).await.is_err(), "{name}");
        assert!(files.delete(name).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_stream_of_many_small_parts_and_one_of_few_large_ones_are_kept_alike() {
    let directory = tempdir().unwrap();
    let files = Files::open(directory.path()).unwrap();
    let whole: Vec<u8> = (0..3 * STEP + 17).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let cut = |size: usize| -> BodyStream {
        let parts: Vec<_> = whole.chunks(size).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        Box::pin(futures_util::stream::iter(parts))
    };
    let mut kept = Vec::new();
    for (name, size) in [("a", 1_000), ("b", STEP), ("c", 3 * STEP), ("d", STEP - 1)] {
        kept.push(files.put(name, cut(size)).await.unwrap());
        assert_eq!(read(&files, name, None).await.unwrap(), whole);
    }
    assert!(kept.iter().all(|size| *size == whole.len() as u64));
}
