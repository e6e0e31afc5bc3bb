//! What people, keys and strangers get to see and to say on a bus whose doors are ours.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use flagbase_core::{
    accounts::Grant,
    caller::{Caller, Principal},
    catalog::{Actor, Change, DocumentId, Draft, Expect, Kind, Write},
    environments::{Environment, EnvironmentKind},
    events::{CloudEvent, Pattern, Rights, Subjects},
    feed::Feed,
    keys::ApiKey,
    permissions::Permission,
    roles::Role,
    snapshot::Snapshot,
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use serde_json::{Value, json};

const DEVELOPMENT: (&str, EnvironmentKind) = ("default", EnvironmentKind::Development);
const PRODUCTION: (&str, EnvironmentKind) = ("live", EnvironmentKind::Production);

async fn house(environments: &[(&str, EnvironmentKind)]) -> Arc<Snapshot> {
    let role = Role {
        key: "hr".into(),
        name: String::new(),
        permissions: BTreeMap::from([("*".to_owned(), vec![Permission::UserManage])]),
    };
    let made = environments.iter().map(|(key, kind)| {
        let body =
            Environment { key: (*key).into(), name: String::new(), kind: *kind, attributes: Vec::new() };
        (Kind::Environment, *key, serde_json::to_value(body).unwrap())
    });
    let drafts = made.chain([(Kind::Role, "hr", serde_json::to_value(role).unwrap())]);
    let draft = |(kind, key, body)| Draft {
        id: DocumentId::new(kind, "", key),
        verb: "created",
        expect: Expect::Absent,
        write: Write::Put(body),
        detail: Value::Null,
    };
    let (clock, random) = (Arc::new(FixedClock::default()), Arc::new(SeededRandom::new(1)));
    let feed = Feed::open(Arc::new(Memory::new()), clock, random).await.unwrap();
    feed.edit().await.commit(Actor::system(), "", drafts.map(draft).collect()).await.unwrap();
    feed.snapshots().get()
}

fn person(role: &str, grants: &[(&str, &str)]) -> Caller {
    let grant = |(environment, role): &(&str, &str)| {
        serde_json::from_value::<Grant>(json!({"environment": environment, "role": role})).unwrap()
    };
    Caller {
        principal: Principal::User,
        id: "u".into(),
        role: role.into(),
        grants: grants.iter().map(grant).collect(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn key(permissions: Vec<Permission>) -> Caller {
    let key = ApiKey {
        id: "k".into(),
        name: "ci".into(),
        environment: "live".into(),
        permissions,
        created_by: "u".into(),
        ..ApiKey::default()
    };
    Caller { principal: Principal::Key(Arc::new(key)), id: "k".into(), ..Caller::clone(&Caller::nobody()) }
}

fn has(subjects: &Subjects, subject: &str) -> bool {
    let matches = |patterns: &BTreeSet<String>| {
        patterns.iter().any(|pattern| pattern.parse::<Pattern>().unwrap().matches(subject))
    };
    matches(&subjects.allow) && !matches(&subjects.deny)
}

fn event(kind: Kind, environment: &str) -> CloudEvent {
    CloudEvent::of(&Change {
        revision: 1,
        event: uuid::Uuid::nil(),
        at: jiff::Timestamp::UNIX_EPOCH,
        actor: Actor::system(),
        reason: String::new(),
        id: DocumentId::new(kind, environment, "a.b"),
        verb: "updated".into(),
        before: None,
        after: None,
        detail: Value::Null,
    })
}

/// Which of all that is said somebody gets: about a flag and a webhook in each environment, a user, by a program.
fn gets(rights: &Rights) -> String {
    let events = [
        event(Kind::Flag, "default"),
        event(Kind::Flag, "live"),
        event(Kind::Webhook, "default"),
        event(Kind::Webhook, ""),
        event(Kind::User, ""),
    ];
    let said = ["orders".to_owned(), "$SYS.x".to_owned()];
    let all: BTreeSet<_> = events.iter().flat_map(CloudEvent::subjects).chain(said).collect();
    let got: Vec<_> = all.into_iter().filter(|subject| has(&rights.subscribe, subject)).collect();
    got.join(" ")
}

#[tokio::test]
async fn an_administrator_sees_and_uses_everything_but_speaks_for_nobody() {
    let rights = Rights::of(&person("admin", &[]), &*house(&[DEVELOPMENT, PRODUCTION]).await).unwrap();
    assert_eq!(
        gets(&rights),
        "flagbase.env.default.flag.a%2Eb.updated flagbase.env.default.webhook.a%2Eb.updated \
         flagbase.env.live.flag.a%2Eb.updated flagbase.flag.updated flagbase.user.updated \
         flagbase.webhook.updated orders"
    );
    for (subject, may) in [
        ("orders.created", true),
        ("_INBOX.a.b", true),
        ("$JS.API.INFO", true),
        ("flagbase.flag.disabled", false),
        ("flagbase.env.default.flag.a.disabled", false),
        ("$SYS.REQ", false),
    ] {
        assert_eq!(has(&rights.publish, subject), may, "{subject}");
    }
}

#[tokio::test]
async fn a_developer_sees_development_and_nothing_of_people_or_production() {
    let alone = house(&[DEVELOPMENT]).await;
    let rights = Rights::of(&person("developer", &[]), &alone).unwrap();
    let everything_here = gets(&rights);
    assert!(everything_here.contains(" flagbase.flag.updated") && everything_here.ends_with(" orders"));
    assert!(!everything_here.contains("user") && !everything_here.contains("flagbase.webhook.updated"));
    assert!(!has(&rights.publish, "flagbase.flag.updated") && !has(&rights.publish, "$JS.API.INFO"));

    let rights = Rights::of(&person("developer", &[]), &*house(&[DEVELOPMENT, PRODUCTION]).await).unwrap();
    let expected =
        "flagbase.env.default.flag.a%2Eb.updated flagbase.env.default.webhook.a%2Eb.updated orders";
    assert_eq!(gets(&rights), expected, "the plain subjects do not say where");
}

#[tokio::test]
async fn who_may_do_nothing_is_not_let_in() {
    let house = house(&[DEVELOPMENT, PRODUCTION]).await;
    assert_eq!(Rights::of(&person("user", &[]), &house), None);
    assert_eq!(Rights::of(&Caller::nobody(), &house), None);
    let granted = Rights::of(&person("user", &[("default", "developer")]), &house).unwrap();
    assert!(has(&granted.subscribe, "flagbase.env.default.flag.a.updated"));
}

#[tokio::test]
async fn a_key_sees_its_environment_and_publishes_only_when_it_says_so() {
    let house = house(&[DEVELOPMENT, PRODUCTION]).await;
    let reader = Rights::of(&key(vec![Permission::EventRead]), &house).unwrap();
    assert_eq!(gets(&reader), "flagbase.env.live.flag.a%2Eb.updated");
    assert!(!has(&reader.publish, "orders"));
    let user = Rights::of(&key(vec![Permission::BusUse]), &house).unwrap();
    assert_eq!(gets(&user), "orders");
    assert!(has(&user.publish, "orders") && !has(&user.publish, "flagbase.flag.updated"));
    assert_eq!(Rights::of(&key(vec![Permission::FlagRead]), &house), None);
}

#[tokio::test]
async fn anybody_sees_development_and_says_nothing() {
    let rights = Rights::of_anybody(&*house(&[DEVELOPMENT]).await).unwrap();
    assert!(gets(&rights).contains(" flagbase.flag.updated") && !gets(&rights).contains("user"));
    assert!(!has(&rights.publish, "orders") && !has(&rights.publish, "_INBOX.a"));
    let rights = Rights::of_anybody(&*house(&[DEVELOPMENT, PRODUCTION]).await).unwrap();
    assert!(gets(&rights).starts_with("flagbase.env.default.") && !gets(&rights).contains("live"));
    assert_eq!(Rights::of_anybody(&*house(&[PRODUCTION]).await), None);
}

#[tokio::test]
async fn whoever_manages_users_but_reads_no_events_of_flags_gets_those_of_users() {
    let house = house(&[DEVELOPMENT, PRODUCTION]).await;
    assert_eq!(gets(&Rights::of(&person("hr", &[]), &house).unwrap()), "flagbase.user.updated");
}
