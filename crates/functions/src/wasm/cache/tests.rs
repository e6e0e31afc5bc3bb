use std::os::unix::fs::PermissionsExt as _;

use flagbase_core::random::SystemRandom;

use super::*;

fn open() -> (tempfile::TempDir, Cache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path(), &SystemRandom).unwrap();
    (directory, cache)
}

#[test]
fn what_was_kept_is_found_also_by_the_next_process() {
    let (directory, cache) = open();
    assert_eq!(cache.find("a-1"), None);
    let path = cache.keep("a-1", b"machine code").unwrap();
    assert_eq!(cache.find("a-1"), Some(path.clone()));
    assert_eq!(Cache::open(directory.path(), &SystemRandom).unwrap().find("a-1"), Some(path));
}

#[test]
fn only_the_owner_reads_key_and_code() {
    let (directory, cache) = open();
    cache.keep("a", b"code").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path().join(KEY_FILE)), 0o600);
    assert_eq!(mode(&directory.path().join("a.cwasm")) & 0o077, 0);
}

#[test]
fn code_that_was_changed_cut_off_or_lengthened_is_removed() {
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let (_directory, cache) = open();
    let path = cache.keep("a", b"machine code").unwrap();
    let whole = fs::read(&path).unwrap();
    let changes: [Change<'_>; 5] = [
        &|bytes| bytes[3] ^= 1,
        &|bytes| bytes.truncate(bytes.len() - 1),
        &|bytes| bytes.truncate(10),
        &|bytes| bytes.push(0),
        &|bytes| bytes.clear(),
    ];
    for change in changes {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(cache.find("a"), None);
        assert!(!path.exists(), "it was not removed");
    }
    fs::write(&path, &whole).unwrap();
    assert!(cache.find("a").is_some());
}

#[test]
fn code_under_another_name_or_from_another_server_is_refused() {
    let (_here, cache) = open();
    let (_there, other) = open();
    let path = cache.keep("a", b"machine code").unwrap();
    fs::copy(&path, cache.path("b")).unwrap();
    assert_eq!(cache.find("b"), None);
    fs::copy(&path, other.path("a")).unwrap();
    assert_eq!(other.find("a"), None);
}

#[test]
fn a_key_that_was_cut_off_is_made_anew() {
    let (directory, cache) = open();
    cache.keep("a", b"machine code").unwrap();
    fs::write(directory.path().join(KEY_FILE), b"half").unwrap();
    let again = Cache::open(directory.path(), &SystemRandom).unwrap();
    assert_eq!(again.find("a"), None);
    again.keep("a", b"machine code").unwrap();
    assert!(again.find("a").is_some());
}

#[test]
fn what_is_not_alive_is_swept_and_the_key_stays() {
    let (directory, cache) = open();
    let (alive, dead) = (Digest::of(b"alive"), Digest::of(b"dead"));
    cache.keep(&format!("{}-1", alive.hex()), b"code").unwrap();
    cache.keep(&format!("{}-1", dead.hex()), b"code").unwrap();
    cache.keep("nonsense", b"code").unwrap();
    cache.retain(&|digest| *digest == alive).unwrap();
    let mut names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected = [format!("{}-1.cwasm", alive.hex()), KEY_FILE.to_owned()];
    expected.sort();
    assert_eq!(names, expected);
}
