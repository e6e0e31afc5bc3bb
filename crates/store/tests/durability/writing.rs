//! The process that writes, and says on its standard output what was acknowledged.

use flagbase_core::{
    accounts::{Accounts as _, Session, User, UserWrite},
    catalog::{Actor, Catalog as _, Commit, DocumentId, Draft, Expect, Kind, Write},
    clock::Clock as _,
    ledger::{Ledger as _, RecordedEvent},
};
use flagbase_store::{Sqlite, SqliteConfig};
use flagbase_testkit::FixedClock;
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) const DATABASE: &str = "FLAGBASE_CRASH_DATABASE";
pub(super) const ROUND: &str = "FLAGBASE_CRASH_ROUND";
/// How often each task writes; without it, for ever.
pub(super) const TIMES: &str = "FLAGBASE_CRASH_TIMES";

pub(super) fn commit(drafts: Vec<Draft>) -> Commit {
    let events = drafts.iter().map(|_| Uuid::nil()).collect();
    let at = FixedClock::default().now();
    Commit { drafts, actor: Actor::system(), reason: String::new(), at, events }
}

pub(super) fn put(key: &str, expect: Expect, number: u64) -> Commit {
    let id = DocumentId::new(Kind::Flag, "default", key);
    let write = Write::Put(json!({ "key": key, "number": number, "text": "x".repeat(500) }));
    commit(vec![Draft { id, verb: "updated", expect, write, detail: Value::Null }])
}

pub(super) fn event(id: &str) -> RecordedEvent {
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

pub(super) fn user(id: &str) -> User {
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

/// The process that is killed or whose power is cut. It says on stdout what was acknowledged; run without its environment, by hand,
/// it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by other tests"]
async fn writer_process() {
    let (Some(path), Some(round)) = (std::env::var_os(DATABASE), std::env::var_os(ROUND)) else {
        return;
    };
    let store = Sqlite::open(&SqliteConfig::new(path), &FixedClock::default()).unwrap();
    let times = std::env::var_os(TIMES).map_or(u64::MAX, |text| text.to_str().unwrap().parse().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..6 {
        let (store, name) = (store.clone(), format!("r{}-t{task}", round.to_string_lossy()));
        tasks.spawn(async move {
            for number in 0..times {
                write_and_tell(&store, &format!("{name}-{number}")).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    // In the middle of everything, as far as the database knows.
    std::process::exit(0);
}

pub(super) async fn write_and_tell(store: &Sqlite, name: &str) {
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
