//! Every step of keeping a blob fails in turn: what was there stays, whole, or the new one is there, whole.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use flagbase_core::blobs::{BlobError, Blobs as _};
use flagbase_testkit::blobs::{broken_off, parts, read};
use tempfile::tempdir;

use super::Files;

/// Files with the blob `f/a`, and where it is.
async fn with_one(base: &Path) -> Files {
    let files = Files::open(base).unwrap();
    files.put("f/a", parts(&["before"])).await.unwrap();
    files
}

fn no_halves(base: &Path) -> bool {
    fs::read_dir(base.join("f")).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        !name.to_str().unwrap().contains(".part")
    })
}

#[tokio::test]
async fn a_file_that_cannot_be_made_leaves_the_old_one() {
    let directory = tempdir().unwrap();
    let files = with_one(directory.path()).await;
    // What the next write makes is there already, and is not a file.
    for number in 1..4 {
        fs::create_dir(directory.path().join(format!("f/.{number}.part"))).unwrap();
    }
    let refused = files.put("f/a", parts(&["after"])).await;
    assert!(matches!(refused, Err(BlobError::Unavailable(_))), "{refused:?}");
    assert_eq!(read(&files, "f/a", None).await.unwrap(), b"before");
    assert!(files.copy("f/a", "f/b").await.is_err());
    assert_eq!(files.list("", "", 9).await.unwrap(), ["f/a"]);
}

#[tokio::test]
async fn a_name_that_cannot_be_taken_leaves_what_is_there_and_no_half() {
    let directory = tempdir().unwrap();
    let files = with_one(directory.path()).await;
    // A directory in the place of the file: it cannot be renamed over.
    fs::create_dir_all(directory.path().join("f/b.blob/full")).unwrap();
    assert!(files.put("f/b", parts(&["after"])).await.is_err());
    assert!(files.copy("f/a", "f/b").await.is_err());
    assert!(no_halves(directory.path()));
    assert_eq!(read(&files, "f/a", None).await.unwrap(), b"before");
}

#[tokio::test]
async fn a_body_that_fails_at_any_step_leaves_the_old_one_and_no_half() {
    let directory = tempdir().unwrap();
    let files = with_one(directory.path()).await;
    let large = "x".repeat(super::STEP + 1);
    for first in ["", "few", large.as_str()] {
        let refused = files.put("f/a", broken_off(first)).await;
        assert!(matches!(refused, Err(BlobError::Source(_))), "{refused:?}");
        assert_eq!(read(&files, "f/a", None).await.unwrap(), b"before");
        assert!(no_halves(directory.path()));
    }
}

#[tokio::test]
async fn a_copy_is_the_same_file_and_goes_its_own_way() {
    let directory = tempdir().unwrap();
    let files = with_one(directory.path()).await;
    assert!(files.copy("f/a", "g/b").await.unwrap());
    let inode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().ino();
    assert_eq!(inode("f/a.blob"), inode("g/b.blob"), "no byte was moved");
    files.put("f/a", parts(&["after"])).await.unwrap();
    assert_eq!(read(&files, "g/b", None).await.unwrap(), b"before");
    assert!(files.copy("g/b", "g/b").await.unwrap(), "onto itself");
    assert_eq!(fs::read_dir(directory.path().join("g")).unwrap().count(), 1, "nothing stays beside it");
    let mode = fs::metadata(directory.path().join("g/b.blob")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_became_shorter_while_it_was_read_is_a_fault_not_an_end() {
    use futures_util::StreamExt as _;
    let directory = tempdir().unwrap();
    let files = Files::open(directory.path()).unwrap();
    let large = vec![7; 3 * super::STEP];
    files.put("f/a", flagbase_testkit::blobs::whole(large)).await.unwrap();
    let mut reading = files.get("f/a", None).await.unwrap().unwrap().bytes;
    assert!(reading.next().await.unwrap().is_ok());
    fs::File::options().write(true).open(directory.path().join("f/a.blob")).unwrap().set_len(10).unwrap();
    let rest: Vec<_> = reading.collect().await;
    assert!(matches!(rest.as_slice(), [Err(_)]), "{rest:?}");
}
