//! The change log followed and relayed, on the fakes: no gap, nothing twice, nothing for the wrong eyes.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use flagbase_core::{
    caller::{Caller, Principal},
    catalog::{Actor, Commit, DocumentId, Draft, Expect, Kind, Write},
    environments::{Environment, EnvironmentKind, Environments},
    events::{
        CloudEvent, EventBus, Events, Follow, Following, Halted, MessageError, Messages, Pattern, Verify,
    },
    feed::Feed,
    flags::{Asked, Flags},
    metrics::Meters,
    refusal::{Class, Precondition, Refusal},
    relay::Relay,
    tasks::Tasks,
    trace::TraceParent,
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use futures_util::FutureExt as _;
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};

struct Product {
    memory: Memory,
    feed: Arc<Feed>,
    flags: Flags,
    events: Events,
    clock: FixedClock,
    tasks: Tasks,
    admitted: Arc<AtomicBool>,
}

async fn product() -> Product {
    on(Memory::new()).await
}

async fn on(memory: Memory) -> Product {
    let clock = FixedClock::default();
    let random = Arc::new(SeededRandom::new(1));
    let feed = Feed::open(Arc::new(memory.clone()), Arc::new(clock.clone()), random).await.unwrap();
    let feed = Arc::new(feed);
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let tasks = Tasks::new();
    Product {
        flags: Flags::new(Arc::clone(&feed)),
        events: Events::new(Arc::clone(&feed), Arc::new(Meters::default()), tasks.clone()),
        admitted: Arc::new(AtomicBool::new(true)),
        memory,
        feed,
        clock,
        tasks,
    }
}

fn caller(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: "alice".into(),
        email: "alice@example.com".into(),
        role: role.into(),
        session: Some("session-1".into()),
        ..Caller::clone(&Caller::nobody())
    }
}

fn everything(after: Option<u64>) -> Follow {
    Follow { environment: None, pattern: Pattern::all(), after, until: None }
}

fn only(pattern: &str) -> Follow {
    Follow { pattern: pattern.parse().unwrap(), ..everything(Some(0)) }
}

impl Product {
    async fn create(&self, key: &str) {
        let developer = caller("developer");
        let asked = Asked { caller: &developer, environment: "default", reason: "" };
        let body = json!({"key": key, "name": key, "enabled": true, "default_value": true});
        self.flags.create(asked, &body).await.unwrap();
    }

    async fn disable(&self, key: &str) {
        let developer = caller("developer");
        let asked = Asked { caller: &developer, environment: "default", reason: "" };
        self.flags.set_enabled(asked, key, false).await.unwrap();
    }

    /// Appends a change about something that is no document here.
    async fn notice(&self, kind: Kind, key: &str) {
        let draft = Draft {
            id: DocumentId::new(kind, "", key),
            verb: "revoked",
            expect: Expect::Any,
            write: Write::Nothing,
            detail: json!({"token_hash": "s3cr3t"}),
        };
        let commit: Commit = self.feed.draft(Actor::system(), "", vec![draft]);
        let changes = self.feed.catalog().commit(commit).await.unwrap();
        self.feed.applied(changes).await.unwrap();
    }

    fn follow(&self, caller: &Caller, follow: Follow) -> Result<Following, Refusal> {
        let (admitted, known) = (Arc::clone(&self.admitted), Arc::new(caller.clone()));
        let verify: Verify = Arc::new(move || {
            let (admitted, known) = (admitted.load(Ordering::SeqCst), Arc::clone(&known));
            async move { if admitted { Ok(known) } else { Err(Refusal::unauthenticated()) } }.boxed()
        });
        self.events.follow(Arc::new(caller.clone()), verify, follow)
    }
}

/// What is there now, without waiting for more.
fn ready(following: &mut Following) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(Some(event)) = following.next().now_or_never() {
        seen.push(format!("{} {}", event.event_type, event.subject));
    }
    seen
}

#[tokio::test]
async fn a_follower_sees_every_change_once_and_in_order_while_it_happens() {
    let product = product().await;
    let mut following = product.follow(&caller("developer"), everything(None)).unwrap();
    assert_eq!(ready(&mut following), Vec::<String>::new());
    product.create("a").await;
    product.create("b").await;
    assert_eq!(ready(&mut following), ["flagbase.flag.created a", "flagbase.flag.created b"]);
    product.disable("a").await;
    assert_eq!(ready(&mut following), ["flagbase.flag.disabled a"]);
}

#[tokio::test]
async fn resuming_anywhere_leaves_no_gap_and_repeats_nothing() {
    let product = product().await;
    for n in 0..100 {
        product.create(&format!("f{n}")).await;
    }
    let mut whole = product.follow(&caller("admin"), everything(Some(0))).unwrap();
    let all = ready(&mut whole);
    assert_eq!(all.len(), 102, "two changes made the environment");
    for cut in [0, 1, 31, 32, 33, 64, 101, 102] {
        let mut first = product.follow(&caller("admin"), everything(Some(0))).unwrap();
        let mut seen = Vec::new();
        for _ in 0..cut {
            let event = first.next().await.unwrap();
            seen.push(format!("{} {}", event.event_type, event.subject));
        }
        let place = first.position();
        drop(first);
        let mut second = product.follow(&caller("admin"), everything(Some(place))).unwrap();
        seen.extend(ready(&mut second));
        assert_eq!(seen, all, "cut after {cut}");
    }
}

#[tokio::test]
async fn only_the_types_and_the_environment_that_were_asked_for_come() {
    let product = product().await;
    product.create("a").await;
    product.disable("a").await;
    let mut disabled = product.follow(&caller("admin"), only("flagbase.flag.disabled")).unwrap();
    assert_eq!(ready(&mut disabled), ["flagbase.flag.disabled a"]);
    let mut guards = product.follow(&caller("admin"), only("flagbase.guard.>")).unwrap();
    assert_eq!(ready(&mut guards), ["flagbase.guard.created errors"]);
    let elsewhere = Follow { environment: Some("nowhere".into()), ..everything(None) };
    assert_eq!(product.follow(&caller("admin"), elsewhere).unwrap_err().code, "environment_not_found");
}

#[tokio::test]
async fn people_see_the_events_of_their_environments_and_global_ones_only_who_manage_users() {
    let product = product().await;
    let production = Environment {
        key: "live".into(),
        name: String::new(),
        kind: EnvironmentKind::Production,
        attributes: Vec::new(),
    };
    let admin = caller("admin");
    let environments = Environments::new(Arc::clone(&product.feed));
    let asked = Asked { caller: &admin, environment: "live", reason: "" };
    environments.put(asked, production, Precondition::Absent).await.unwrap();
    product.notice(Kind::User, "bob").await;
    let mut developer = product.follow(&caller("developer"), everything(Some(0))).unwrap();
    assert_eq!(ready(&mut developer), ["flagbase.guard.created errors"]);
    let mut all = product.follow(&admin, everything(Some(0))).unwrap();
    let seen = ready(&mut all);
    assert!(seen.contains(&"flagbase.user.revoked bob".to_owned()), "{seen:?}");
    assert!(seen.contains(&"flagbase.environment.created live".to_owned()), "{seen:?}");
    for role in ["user", "guest"] {
        assert_eq!(product.follow(&caller(role), everything(None)).unwrap_err().class, Class::Forbidden);
    }
    let live = Follow { environment: Some("live".into()), ..everything(None) };
    assert_eq!(product.follow(&caller("developer"), live).unwrap_err().class, Class::Forbidden);
}

#[tokio::test]
async fn a_stream_ends_when_the_session_is_revoked_and_tells_nothing_after() {
    let product = product().await;
    let mut following = product.follow(&caller("developer"), everything(None)).unwrap();
    product.create("before").await;
    assert_eq!(ready(&mut following), ["flagbase.flag.created before"]);
    product.notice(Kind::Session, "somebody-elses").await;
    assert_eq!(ready(&mut following), Vec::<String>::new());
    product.admitted.store(false, Ordering::SeqCst);
    product.notice(Kind::Session, "session-1").await;
    product.create("after").await;
    assert_eq!(following.next().await, None);
}

#[tokio::test]
async fn a_token_withdrawn_between_check_and_stream_opens_nothing() {
    let product = product().await;
    product.create("a").await;
    product.admitted.store(false, Ordering::SeqCst);
    let mut following = product.follow(&caller("developer"), everything(Some(0))).unwrap();
    assert_eq!(following.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_token_and_at_shutdown() {
    let product = product().await;
    let mut brief = caller("developer");
    let soon = flagbase_core::clock::Clock::now(&product.clock) + SignedDuration::from_secs(60);
    brief.expires_at = Some(soon);
    let mut following = product.follow(&brief, everything(None)).unwrap();
    assert_eq!(following.next().await, None);
    let mut other = product.follow(&caller("developer"), everything(None)).unwrap();
    product.tasks.stopping().cancel();
    assert_eq!(other.next().await, None);
}

#[tokio::test]
async fn a_place_beyond_the_end_goes_on_from_now() {
    let product = product().await;
    let mut following = product.follow(&caller("developer"), everything(Some(9999))).unwrap();
    product.create("a").await;
    assert_eq!(ready(&mut following), ["flagbase.flag.created a"]);
}

#[tokio::test]
async fn the_log_is_listed_in_pages_that_fit_together() {
    let product = product().await;
    for n in 0..7 {
        product.create(&format!("f{n}")).await;
    }
    let admin = caller("admin");
    let (mut revisions, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let page = product.events.changes(&admin, &everything(Some(from)), 4).await.unwrap();
        assert!(page.changes.len() <= 4);
        revisions.extend(page.changes.iter().map(|change| change.revision));
        after = page.next;
    }
    assert_eq!(revisions, (1..=9).collect::<Vec<_>>());
    let developer = product.events.changes(&caller("developer"), &only("flagbase.*.created"), 100).await;
    assert!(developer.unwrap().changes.iter().all(|change| &*change.id.environment == "default"));
}

/// A bus that takes so many events, then fails.
#[derive(Default)]
struct Flaky {
    taken: Mutex<Vec<u64>>,
    room: AtomicUsize,
}

#[async_trait]
impl EventBus for Flaky {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        for (taken, event) in events.iter().enumerate() {
            let room = self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            room.map_err(|_| Halted::unavailable(taken, "down"))?;
            self.taken.lock().push(event.flagbaseseq);
        }
        Ok(())
    }
}

fn relay(product: &Product, bus: &Arc<Flaky>) -> Relay {
    let ledger = Arc::new(product.memory.clone());
    let bus: Arc<dyn EventBus> = bus.clone();
    Relay::new(Arc::clone(&product.feed), ledger, ("test", bus), Arc::new(Meters::default()))
}

#[tokio::test]
async fn the_relay_hands_everything_over_in_order_and_goes_on_where_it_was() {
    let product = product().await;
    for n in 0..150 {
        product.create(&format!("f{n}")).await;
    }
    let bus = Arc::new(Flaky::default());
    bus.room.store(120, Ordering::SeqCst);
    let first = relay(&product, &bus);
    assert!(first.drain().await.is_err());
    assert!(first.drain().await.is_err());
    bus.room.store(1000, Ordering::SeqCst);
    assert_eq!(relay(&product, &bus).drain().await.unwrap(), 152);
    assert_eq!(*bus.taken.lock(), (1..=152).collect::<Vec<_>>());
    assert_eq!(relay(&product, &bus).drain().await.unwrap(), 152);
    assert_eq!(bus.taken.lock().len(), 152);
}

#[tokio::test(start_paused = true)]
async fn the_relay_tries_again_by_itself_and_ends_at_shutdown() {
    let product = product().await;
    let bus = Arc::new(Flaky::default());
    Arc::new(relay(&product, &bus)).start(&product.tasks);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(bus.taken.lock().is_empty());
    bus.room.store(1000, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    product.create("a").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(*bus.taken.lock(), [1, 2, 3]);
    assert!(product.tasks.shutdown(std::time::Duration::from_secs(5)).await);
}

#[tokio::test]
async fn no_secret_leaves_with_an_event() {
    let product = product().await;
    product.notice(Kind::ApiKey, "key-1").await;
    let page = product.events.changes(&caller("admin"), &everything(None), 100).await.unwrap();
    let last = CloudEvent::of(page.changes.last().unwrap());
    let text = serde_json::to_string(&last).unwrap();
    assert!(text.contains("flagbase.api_key.revoked") && !text.contains("s3cr3t"), "{text}");
    assert_eq!(last.data["before"], Value::Null);
}

#[tokio::test]
async fn a_replay_ends_where_it_was_asked_to_or_at_the_end_there_was() {
    let product = product().await;
    for key in ["a", "b", "c"] {
        product.create(key).await;
    }
    for (until, expected) in [(3, &["a"][..]), (4, &["a", "b"]), (u64::MAX, &["a", "b", "c"])] {
        let which = Follow { until: Some(until), ..only("flagbase.env.default.flag.*.created") };
        let mut replay = product.follow(&caller("developer"), which).unwrap();
        let mut keys = Vec::new();
        while let Some(event) = replay.next().await {
            keys.push(event.subject);
        }
        assert_eq!(keys, expected, "until {until}");
        assert!(replay.is_over());
    }
}

/// Keeps what was sent.
#[derive(Default)]
struct Sent(Mutex<Vec<(String, Vec<u8>)>>);

impl Messages for Sent {
    fn send(&self, subject: &str, payload: Vec<u8>) -> Result<(), MessageError> {
        if payload.len() > 4 {
            return Err(MessageError::TooLarge(4));
        }
        self.0.lock().push((subject.to_owned(), payload));
        Ok(())
    }
}

#[tokio::test]
async fn programs_speak_on_the_bus_but_never_for_flagbase() {
    let product = product().await;
    let meters = Arc::new(Meters::default());
    let without = Events::new(Arc::clone(&product.feed), meters, product.tasks.clone());
    let developer = caller("developer");
    let code = |refused: Result<(), Refusal>| refused.unwrap_err().code;
    assert_eq!(code(without.send(&developer, "orders", b"1".to_vec())), "no_embedded_bus");

    let sent = Arc::new(Sent::default());
    let bus: Arc<dyn Messages> = sent.clone();
    let events = without.with_buses(Arc::default(), Some(bus));
    events.send(&developer, "orders.created", b"1".to_vec()).unwrap();
    assert_eq!(*sent.0.lock(), [("orders.created".to_owned(), b"1".to_vec())]);
    for (subject, expected) in [
        ("flagbase.flag.disabled", "reserved_subject"),
        ("flagbase", "reserved_subject"),
        ("$SYS.REQ", "reserved_subject"),
        ("$JS.API.STREAM.DELETE.x", "reserved_subject"),
        ("orders.*", "invalid"),
        ("", "invalid"),
    ] {
        assert_eq!(code(events.send(&developer, subject, Vec::new())), expected, "{subject}");
    }
    assert_eq!(code(events.send(&developer, "orders", b"12345".to_vec())), "body_too_large");
    assert_eq!(code(events.send(&caller("user"), "orders", Vec::new())), "forbidden");
    assert_eq!(code(events.send(&Caller::nobody(), "orders", Vec::new())), "unauthenticated");
    assert_eq!(sent.0.lock().len(), 1);
}

#[tokio::test]
async fn the_trace_of_a_request_is_in_the_event_of_what_it_changed() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let product = product().await;
    TraceParent::scope(TRACE.parse().ok(), product.create("a")).await;
    product.create("b").await;
    let page = product.events.changes(&caller("admin"), &only("flagbase.flag.created"), 10).await.unwrap();
    let events: Vec<_> = page.changes.iter().map(CloudEvent::of).collect();
    assert_eq!(events[0].traceparent.as_deref(), Some(TRACE));
    assert_eq!((&events[0].data["detail"], &events[1].traceparent), (&Value::Null, &None));
    let ids: Vec<uuid::Uuid> = events.iter().map(|event| event.id.parse().unwrap()).collect();
    assert!(ids.iter().all(|id| id.get_version_num() == 7), "{ids:?}");
    assert!(events[1].traceparent.is_none() && !serde_json::to_string(&events[1]).unwrap().contains("trace"));
}
