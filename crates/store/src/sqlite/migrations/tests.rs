//! New, old, newer and foreign files.

use flagbase_testkit::FixedClock;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::sqlite::Sqlite;

const SECOND: Migration = "ALTER TABLE notes ADD COLUMN read_at INTEGER;";
const BROKEN: Migration = "CREATE TABLE half_done (n INTEGER); INSERT INTO missing VALUES (1);";

fn place() -> (TempDir, SqliteConfig) {
    let directory = tempdir().unwrap();
    let config = SqliteConfig::new(directory.path().join("flagbase.db"));
    (directory, config)
}

/// A database at version 1 with one note in it.
fn version_one() -> (TempDir, SqliteConfig) {
    let (directory, config) = place();
    drop(Sqlite::open(&config, &FixedClock::default()).unwrap());
    let connection = connect::plain(&config.path).unwrap();
    connection.execute("INSERT INTO notes (name, body) VALUES ('kept', '1')", []).unwrap();
    (directory, config)
}

fn steps(more: &[Migration]) -> Vec<Migration> {
    [MIGRATIONS, more].concat()
}

fn stored_version(path: &Path) -> u32 {
    version(&connect::plain(path).unwrap()).unwrap()
}

fn has_column(path: &Path) -> bool {
    connect::plain(path).unwrap().prepare("SELECT read_at FROM notes").is_ok()
}

#[test]
fn a_new_database_gets_every_step_and_needs_no_backup() {
    let (_keep, config) = place();
    connect::create(&config.path).unwrap();
    let saved = migrate(&config, &steps(&[SECOND]), &FixedClock::default()).unwrap();
    assert_eq!(saved, None);
    assert_eq!(stored_version(&config.path) as usize, MIGRATIONS.len() + 1);
    assert!(has_column(&config.path));
    assert!(!config.backup_dir.exists());
}

#[test]
fn an_old_database_is_backed_up_and_keeps_its_data() {
    let (_keep, config) = version_one();
    let saved = migrate(&config, &steps(&[SECOND]), &FixedClock::default()).unwrap().unwrap();

    let target = MIGRATIONS.len() + 1;
    let name = format!("flagbase-before-v{target}-20260101T000000Z.db");
    assert_eq!(saved, config.backup_dir.join(name));
    assert!(has_column(&config.path));
    assert!(!has_column(&saved), "the backup is of the old schema");
    for path in [&config.path, &saved] {
        let connection = connect::plain(path).unwrap();
        let notes: u32 = connection
            .query_row("SELECT count(*) FROM notes WHERE name = 'kept'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(notes, 1);
    }
    // A second time there is nothing to do.
    assert_eq!(migrate(&config, &steps(&[SECOND]), &FixedClock::default()).unwrap(), None);
}

#[test]
fn a_step_that_fails_leaves_the_database_as_it_was() {
    let (_keep, config) = version_one();
    let failed = migrate(&config, &steps(&[SECOND, BROKEN]), &FixedClock::default());
    assert!(matches!(failed, Err(StoreError::Failed { action: "migrate", .. })), "{failed:?}");
    assert_eq!(stored_version(&config.path) as usize, MIGRATIONS.len() + 1, "steps are apart");
    let connection = connect::plain(&config.path).unwrap();
    assert!(connection.prepare("SELECT n FROM half_done").is_err());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (_keep, config) = version_one();
    migrate(&config, &steps(&[SECOND]), &FixedClock::default()).unwrap();
    let before = std::fs::read(&config.path).unwrap();
    let refused = Sqlite::open(&config, &FixedClock::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { .. }), "{refused:?}");
    assert!(refused.to_string().contains("upgrade flagbase"), "{refused}");
    assert_eq!(std::fs::read(&config.path).unwrap(), before);
}

#[test]
fn a_command_does_not_migrate_under_a_running_server() {
    let (_keep, config) = version_one();
    let server = Lock::take(&config.path).unwrap();
    let command = config.clone().beside();
    let refused = migrate(&command, &steps(&[SECOND]), &FixedClock::default());
    assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    assert!(!has_column(&config.path));
    drop(server);
    assert!(migrate(&command, &steps(&[SECOND]), &FixedClock::default()).unwrap().is_some());
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_alone() {
    let (keep, config) = place();
    let text = keep.path().join("text.db");
    std::fs::write(&text, "a text that is long enough to be no header of a database\n".repeat(99)).unwrap();
    let other = keep.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    for path in [text, other] {
        let before = std::fs::read(&path).unwrap();
        let config = SqliteConfig { path: path.clone(), ..config.clone() };
        let refused = Sqlite::open(&config, &FixedClock::default()).unwrap_err();
        assert!(matches!(refused, StoreError::NotOurs { .. }), "{refused:?}");
        assert!(refused.to_string().contains(&*path.to_string_lossy()), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn two_that_open_a_new_database_at_once_both_get_the_schema() {
    let (_keep, config) = place();
    let config = config.beside();
    let open = || Sqlite::open(&config, &FixedClock::default()).map(drop);
    std::thread::scope(|scope| {
        let racers = [(); 4].map(|()| scope.spawn(open));
        for racer in racers {
            racer.join().unwrap().unwrap();
        }
    });
    assert_eq!(stored_version(&config.path) as usize, MIGRATIONS.len());
}
