use super::*;

fn told(source: &str) -> BlobError {
    fault(Error::Generic { store: "S3", source: source.into() })
}

#[test]
fn a_store_without_room_is_full_whatever_it_calls_that() {
    for source in
        ["507 Insufficient Storage: ", "<Code>QuotaExceeded</Code>", "<Code>XMinioStorageFull</Code>"]
    {
        assert!(matches!(told(source), BlobError::Full), "{source}");
    }
    assert!(matches!(told("403 Forbidden: <Code>AccessDenied</Code>"), BlobError::Unavailable(_)));
}

#[test]
fn a_bucket_may_be_part_of_the_host() {
    assert_eq!(with_host("https://s3.example.com:9000", "photos"), "https://photos.s3.example.com:9000");
}

#[test]
fn a_secret_is_not_printed() {
    let target = Target::parse("s3://id:hunter2@bucket?region=eu-1").unwrap();
    let remote = Remote::open(&target, &Tasks::new()).unwrap();
    assert!(!format!("{remote:?}").contains("hunter2"), "{remote:?}");
}

#[test]
fn names_stay_below_the_prefix() {
    let target = Target::parse("s3://id:secret@bucket/a/b?region=eu-1").unwrap();
    let remote = Remote::open(&target, &Tasks::new()).unwrap();
    assert_eq!(remote.path("objects/1f/1").unwrap().as_ref(), "a/b/objects/1f/1");
    for name in ["..", "x/../../y", "a//b"] {
        assert!(remote.path(name).is_err(), "{name}");
    }
}
