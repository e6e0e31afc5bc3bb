use std::process::Stdio;

use super::*;

const NEVER: fn() -> bool = || false;
const ALWAYS: fn() -> bool = || true;

fn write(inode: u64, offset: usize, text: &str) -> Operation {
    Operation::Write { inode, offset, bytes: text.into() }
}

fn create(inode: u64, name: &str) -> Operation {
    Operation::Create { inode, name: name.into() }
}

/// What is left of `name`.
fn left(operations: &[Operation], mut survives: fn() -> bool, name: &str) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let mut platter = Platter::default();
    for operation in operations {
        platter.apply(operation);
    }
    platter.cut(&mut survives, directory.path());
    fs::read_to_string(directory.path().join(name)).ok()
}

#[test]
fn what_was_not_synced_is_lost_and_what_was_is_not() {
    let mut happened = vec![create(1, "a"), Operation::SyncDirectory(String::new())];
    happened.extend([write(1, 0, "first"), Operation::Sync(1), write(1, 0, "FIRST"), write(1, 5, "second")]);
    assert_eq!(left(&happened, NEVER, "a").as_deref(), Some("first"));
    assert_eq!(left(&happened, ALWAYS, "a").as_deref(), Some("FIRSTsecond"));
}

#[test]
fn a_name_needs_a_sync_of_its_own() {
    let mut happened = vec![create(1, "a"), write(1, 0, "text"), Operation::Sync(1)];
    assert_eq!(left(&happened, NEVER, "a"), None);
    happened.push(Operation::SyncDirectory(String::new()));
    happened.push(Operation::Rename("a".into(), "b".into()));
    assert_eq!(left(&happened, NEVER, "a").as_deref(), Some("text"));
    assert_eq!(left(&happened, ALWAYS, "b").as_deref(), Some("text"));
}

#[test]
fn what_a_failed_sync_left_in_doubt_stays_so_after_one_that_succeeds() {
    let mut happened = vec![create(1, "a"), Operation::SyncDirectory(String::new())];
    happened.extend([
        write(1, 0, "doubt"),
        Operation::SyncFailed(1),
        write(1, 5, "sure"),
        Operation::Sync(1),
    ]);
    assert_eq!(left(&happened, NEVER, "a").as_deref(), Some("\0\0\0\0\0sure"));
    assert_eq!(left(&happened, ALWAYS, "a").as_deref(), Some("doubtsure"));
}

#[test]
fn a_file_made_again_has_nothing_of_the_one_before() {
    let mut happened = vec![create(1, "a"), write(1, 0, "old"), Operation::Sync(1)];
    happened.extend([Operation::Remove("a".into()), create(1, "a"), write(1, 0, "n"), Operation::Sync(1)]);
    happened.push(Operation::SyncDirectory(String::new()));
    assert_eq!(left(&happened, NEVER, "a").as_deref(), Some("n"));
}

#[test]
fn another_name_needs_a_sync_of_its_directory_and_outlives_the_first() {
    let mut happened = vec![create(1, "a"), write(1, 0, "text"), Operation::Sync(1)];
    happened.extend([Operation::SyncDirectory(String::new()), Operation::Link("a".into(), "b".into())]);
    assert_eq!(left(&happened, NEVER, "b"), None);
    happened.extend([Operation::SyncDirectory(String::new()), Operation::Remove("a".into())]);
    assert_eq!(left(&happened, NEVER, "b").as_deref(), Some("text"));
    assert_eq!(left(&happened, ALWAYS, "a"), None);
}

#[test]
fn the_calls_of_a_program_are_logged_in_their_order() {
    let (disk, place) = (Disk::new(), tempfile::tempdir().unwrap());
    let script = "printf one > a; echo said; sync a; mkdir d; printf two >> a; ln a c; mv a b; rm b";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(place.path()).envs(disk.environment()).stdout(Stdio::null());
    assert!(shell.status().unwrap().success());
    let happened = disk.operations();
    let kinds: Vec<_> = happened.iter().map(|operation| format!("{operation:?}")).collect();
    let place = |start: &str| kinds.iter().position(|kind| kind.starts_with(start));
    let order =
        ["Create", "Write", "Said", "Sync(", "CreateDirectory", "Link"].map(|start| place(start).unwrap());
    assert!(order.is_sorted(), "{kinds:#?}");
}

#[test]
fn a_broken_disk_refuses_to_sync_until_it_is_mended() {
    let (disk, place) = (Disk::new(), tempfile::tempdir().unwrap());
    let sync = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf x > a; sync a"]).stderr(Stdio::null());
        shell.current_dir(place.path()).envs(disk.environment()).status().unwrap().success()
    };
    disk.break_syncs(true);
    assert!(!sync());
    disk.break_syncs(false);
    assert!(sync());
    let happened = disk.operations();
    let failed = happened.iter().filter(|operation| matches!(operation, Operation::SyncFailed(_))).count();
    assert_eq!(failed, 1, "{happened:?}");
}
