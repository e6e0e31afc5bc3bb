//! A process that writes is killed, again and again: whatever it had acknowledged is there.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "all of it is a test, its helpers and its child process included"
)]

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use flagbase_core::{
    accounts::{Accounts as _, Session, User, UserWrite},
    catalog::{Actor, Catalog as _, Change, Commit, DocumentId, Draft, Expect, Kind, Revision, Write},
    clock::Clock as _,
    ledger::{Ledger as _, RecordedEvent, Resolution, RollupQuery},
};
use flagbase_store::{Sqlite, SqliteConfig};
use flagbase_testkit::{FixedClock, SeededRandom};
use serde_json::{Value, json};
use uuid::Uuid;

const ROUNDS: u64 = 24;
const DATABASE: &str = "FLAGBASE_CRASH_DATABASE";
const ROUND: &str = "FLAGBASE_CRASH_ROUND";

fn commit(drafts: Vec<Draft>) -> Commit {
    let events = drafts.iter().map(|_| Uuid::nil()).collect();
    let at = FixedClock::default().now();
    Commit { drafts, actor: Actor::system(), reason: String::new(), at, events }
}

fn put(key: &str, expect: Expect, number: u64) -> Commit {
    let id = DocumentId::new(Kind::Flag, "default", key);
    let write = Write::Put(json!({ "key": key, "number": number, "text": "x".repeat(500) }));
    commit(vec![Draft { id, verb: "updated", expect, write, detail: Value::Null }])
}

fn event(id: &str) -> RecordedEvent {
    RecordedEvent {
        environment: "default".into(),
        event_id: id.to_owned(),
        flag: "f".into(),
        variant: "on".into(),
        event_type: "error".into(),
        value: Some(1.0),
        unit: None,
        at: FixedClock::default().now(),
        received_at: FixedClock::default().now(),
        recorded_by: "u".into(),
    }
}

fn user(id: &str) -> User {
    let now = FixedClock::default().now();
    User {
        id: id.into(),
        email: format!("{id}@example.com").into(),
        password_hash: "hash".into(),
        role: "user".into(),
        groups: Vec::new(),
        grants: Vec::new(),
        disabled: false,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// The process that is killed. It says on stdout what was acknowledged; run without its environment, by hand,
/// it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started and killed by the test below"]
async fn writer_process() {
    let (Some(path), Some(round)) = (std::env::var_os(DATABASE), std::env::var_os(ROUND)) else {
        return;
    };
    let store = Sqlite::open(&SqliteConfig::new(path), &FixedClock::default()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..6 {
        let (store, name) = (store.clone(), format!("r{}-t{task}", round.to_string_lossy()));
        tasks.spawn(async move {
            for number in 0.. {
                write_and_tell(&store, &format!("{name}-{number}")).await;
            }
        });
    }
    tasks.join_next().await.unwrap().unwrap();
}

async fn write_and_tell(store: &Sqlite, name: &str) {
    let created = store.commit(put(name, Expect::Absent, 1)).await.unwrap();
    let revision = created[0].revision;
    println!("ack flag {name} {revision}");
    let updated = store.commit(put(name, Expect::At(revision), 2)).await.unwrap();
    println!("ack flag {name} {}", updated[0].revision);

    assert_eq!(store.record(vec![event(name)]).await.unwrap(), [true]);
    println!("ack event {name}");

    let create = UserWrite::Create { user: user(name), invitation: None, first_admin: false };
    store.write_user(create, commit(Vec::new())).await.unwrap();
    let session = Session {
        id: name.into(),
        user_id: name.into(),
        created_at: FixedClock::default().now(),
        expires_at: jiff::Timestamp::MAX,
        revoked_at: None,
        client: String::new(),
        overrides: Vec::new(),
    };
    store.write_session(session, commit(Vec::new())).await.unwrap();
    println!("ack session {name}");
}

/// Starts the process, kills it after `acknowledgements`, and returns all it had said by then.
fn run_and_kill(path: &Path, round: u64, acknowledgements: u64) -> Vec<String> {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["writer_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DATABASE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut line = String::new();
    // A line cut short by the kill has no end and says nothing.
    while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        // The test harness may have begun the line.
        if let Some((_, acknowledged)) = line.trim_end().split_once("ack ") {
            said.push(acknowledged.to_owned());
        }
        if said.len() as u64 == acknowledgements {
            process.kill().unwrap();
        }
        line.clear();
    }
    let status = process.wait().unwrap();
    assert!(!status.success(), "it was killed, it did not end");
    said
}

struct Found {
    changes: Vec<Change>,
    events: BTreeSet<String>,
    store: Sqlite,
}

async fn read_back(path: &Path) -> Found {
    let store = Sqlite::open(&SqliteConfig::new(path), &FixedClock::default()).unwrap();
    let changes = store.changes(0, u32::MAX).await.unwrap();
    let events = store.events("default", "f", u32::MAX).await.unwrap();
    let events = events.into_iter().map(|event| event.event_id).collect();
    Found { changes, events, store }
}

impl Found {
    async fn assert_holds(&self, acknowledged: &str) {
        let words: Vec<_> = acknowledged.split(' ').collect();
        match words[..] {
            ["flag", key, revision] => {
                let revision: Revision = revision.parse().unwrap();
                let place = usize::try_from(revision).unwrap() - 1;
                let change = &self.changes[place];
                assert_eq!((change.revision, &*change.id.key), (revision, key));
                let document = self.store.get(&change.id).await.unwrap().unwrap();
                assert!(document.revision >= revision, "{acknowledged}");
            }
            ["event", id] => assert!(self.events.contains(id), "{acknowledged}"),
            ["session", id] => {
                let (session, user) = self.store.session(id).await.unwrap().unwrap();
                assert_eq!((&*session.user_id, &*user.id), (id, id));
            }
            _ => unreachable!("`{acknowledged}` is cut short"),
        }
    }

    async fn assert_consistent(&self) {
        let revisions: Vec<_> = self.changes.iter().map(|change| change.revision).collect();
        let head = self.store.head().await.unwrap();
        assert_eq!(revisions, (1..=head).collect::<Vec<_>>(), "no gap, nothing twice");
        let query = RollupQuery {
            environment: "default".into(),
            flag: None,
            route: None,
            resolution: Resolution::Hour,
            from: 0,
            until: i64::MAX,
        };
        let rolled_up = self.store.rollups(query).await.unwrap();
        let count: u64 = rolled_up.iter().map(|rollup| rollup.totals.count).sum();
        assert_eq!(count, self.events.len() as u64, "events and rollups go together");
        self.store.check().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_being_killed() {
    let directory = tempfile::tempdir().unwrap();
    let path: Arc<Path> = directory.path().join("flagbase.db").into();
    let random = SeededRandom::new(9);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let (path_there, limit) = (Arc::clone(&path), 1 + random.below(150));
        let run = move || run_and_kill(&path_there, round, limit);
        let said = tokio::task::spawn_blocking(run).await.unwrap();
        assert!(said.len() as u64 >= limit);
        acknowledged += said.len();

        let found = read_back(&path).await;
        for line in &said {
            found.assert_holds(line).await;
        }
        found.assert_consistent().await;
        found.store.close().await;
    }
    println!("{ROUNDS} kills, {acknowledged} acknowledged writes, none lost");
}
