//! Flags, segments and environments through their use cases, on the fakes.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;

use flagbase_core::{
    accounts::Grant,
    caller::{Caller, Principal},
    catalog::{Actor, Page},
    engine::Reason,
    environments::{DeclaredAttribute, Environment, EnvironmentKind, Environments},
    feed::Feed,
    flags::{Asked, Flags, HistoryPage, Revert, Switch},
    refusal::{Class, Precondition},
    segments::Segments,
    snapshot::Snapshot,
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use serde_json::{Value, json};

struct Product {
    feed: Arc<Feed>,
    flags: Flags,
    segments: Segments,
    environments: Environments,
}

async fn product() -> Product {
    on(Memory::new()).await
}

async fn on(memory: Memory) -> Product {
    let feed = Feed::open(Arc::new(memory), Arc::new(FixedClock::default()), Arc::new(SeededRandom::new(1)));
    let feed = Arc::new(feed.await.unwrap());
    let environments = Environments::new(Arc::clone(&feed));
    environments.ensure_default(EnvironmentKind::Development).await.unwrap();
    Product {
        flags: Flags::new(Arc::clone(&feed)),
        segments: Segments::new(Arc::clone(&feed)),
        environments,
        feed,
    }
}

fn caller(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: format!("id-of-{role}").as_str().into(),
        email: "alice@example.com".into(),
        role: role.into(),
        groups: Arc::new(["beta".into()]),
        session: Some("session".into()),
        ..Caller::clone(&Caller::nobody())
    }
}

fn asks<'a>(caller: &'a Caller, environment: &'a str) -> Asked<'a> {
    Asked { caller, environment, reason: "because" }
}

fn checkout() -> Value {
    json!({
        "key": "checkout", "name": "New checkout", "enabled": true, "default_value": false,
        "rules": [{"attribute": "role", "operator": "equals", "value": "Developer", "variant": true, "priority": 1}]
    })
}

fn seen(snapshot: &Snapshot, environment: &str, caller: &Caller, key: &str) -> (Value, Reason) {
    let environment = snapshot.environment(environment).unwrap();
    let context = caller.context(environment, |_| None);
    let seen = environment.see(caller, key, &context).unwrap();
    (seen.evaluation.variant.value.clone(), seen.evaluation.reason)
}

#[tokio::test]
async fn an_edit_acts_on_the_very_next_look() {
    let product = product().await;
    let developer = caller("developer");
    product.flags.create(asks(&developer, "default"), &checkout()).await.unwrap();
    let now = product.feed.snapshots().get();
    assert_eq!(seen(&now, "default", &developer, "checkout"), (json!(true), Reason::TargetingMatch));
    assert_eq!(seen(&now, "default", &caller("user"), "checkout"), (json!(false), Reason::Default));

    product.flags.set_enabled(asks(&developer, "default"), "checkout", false).await.unwrap();
    let now = product.feed.snapshots().get();
    assert_eq!(seen(&now, "default", &developer, "checkout"), (json!(false), Reason::Disabled));
}

#[tokio::test]
async fn a_node_that_starts_sees_what_another_left() {
    let memory = Memory::new();
    let first = on(memory.clone()).await;
    let developer = caller("developer");
    let segment = json!({"key": "staff", "conditions": [[{"attribute": "email", "operator": "ends_with", "value": "@example.com"}]]});
    first.segments.create(asks(&developer, "default"), &segment).await.unwrap();
    let mut flag = checkout();
    flag["rules"] = json!([{"operator": "in_segment", "value": "staff", "variant": true}]);
    first.flags.create(asks(&developer, "default"), &flag).await.unwrap();

    let second = on(memory).await;
    let now = second.feed.snapshots().get();
    assert_eq!(now.revision, first.feed.snapshots().get().revision);
    assert_eq!(seen(&now, "default", &developer, "checkout"), (json!(true), Reason::TargetingMatch));
}

#[tokio::test]
async fn put_replaces_rules_too_and_says_when_it_made_the_flag() {
    let product = product().await;
    let developer = caller("developer");
    let asked = asks(&developer, "default");
    let (made, new) = product.flags.put(asked, "checkout", checkout(), Precondition::None).await.unwrap();
    assert!(new);
    let without_rules = json!({"name": "Checkout", "enabled": true, "default_value": true});
    let seen = Precondition::Match(made.revision);
    let (replaced, new) = product.flags.put(asked, "checkout", without_rules, seen).await.unwrap();
    assert!(!new);
    assert_eq!(replaced.body["rules"].as_array().map_or(0, Vec::len), 0);
    assert_eq!(replaced.body["default_value"], json!(true));
}

#[tokio::test]
async fn whoever_comes_second_with_an_old_revision_is_told_and_changes_nothing() {
    let product = product().await;
    let developer = caller("developer");
    let asked = asks(&developer, "default");
    let made = product.flags.create(asked, &checkout()).await.unwrap();
    let stale = Precondition::Match(made.revision);
    product.flags.patch(asked, "checkout", &json!({"name": "First"}), stale).await.unwrap();
    let refusal =
        product.flags.patch(asked, "checkout", &json!({"name": "Second"}), stale).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code), (Class::Stale, "revision_mismatch"));
    let now = product.flags.get(&developer, "default", "checkout").await.unwrap();
    assert_eq!(now.body["name"], json!("First"));
}

#[tokio::test]
async fn a_second_flag_under_the_same_key_is_a_conflict() {
    let product = product().await;
    let developer = caller("developer");
    product.flags.create(asks(&developer, "default"), &checkout()).await.unwrap();
    let refusal = product.flags.create(asks(&developer, "default"), &checkout()).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code), (Class::Conflict, "flag_exists"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_place_and_nothing_is_written() {
    let product = product().await;
    let developer = caller("developer");
    let before = product.feed.catalog().head().await.unwrap();
    for (body, pointer) in [
        (json!({"key": "", "default_value": false}), "/key"),
        (
            json!({"key": "a", "default_value": false, "rules": [{"attribute": "role", "operator": "is", "value": "x", "variant": true}]}),
            "/rules/0/operator",
        ),
        (
            json!({"key": "a", "default_value": false, "rules": [{"attribute": "rolle", "operator": "equals", "value": "x", "variant": true}]}),
            "/rules/0/attribute",
        ),
        (
            json!({"key": "a", "default_value": false, "rules": [{"attribute": "email", "operator": "matches", "value": "(", "variant": true}]}),
            "/rules/0/value",
        ),
        (
            json!({"key": "a", "default_value": false, "prerequisites": [{"flag": "nope", "variant": "true"}]}),
            "/prerequisites/0/flag",
        ),
    ] {
        let refusal = product.flags.create(asks(&developer, "default"), &body).await.unwrap_err();
        assert_eq!(refusal.class, Class::Invalid, "{body}");
        assert!(refusal.faults.iter().any(|fault| fault.pointer == pointer), "{body}: {:?}", refusal.faults);
    }
    assert_eq!(product.feed.catalog().head().await.unwrap(), before);
}

#[tokio::test]
async fn a_flag_that_others_need_cannot_go() {
    let product = product().await;
    let developer = caller("developer");
    let asked = asks(&developer, "default");
    product.flags.create(asked, &checkout()).await.unwrap();
    let child = json!({"key": "child", "enabled": true, "default_value": true, "prerequisites": [{"flag": "checkout", "variant": "true"}]});
    product.flags.create(asked, &child).await.unwrap();
    let refusal = product.flags.delete(asked, "checkout", Precondition::None).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code), (Class::Conflict, "flag_in_use"));
    let cycle = json!({"prerequisites": [{"flag": "child", "variant": "true"}]});
    let refusal = product.flags.patch(asked, "checkout", &cycle, Precondition::None).await.unwrap_err();
    assert_eq!(refusal.class, Class::Invalid);
}

#[tokio::test]
async fn a_deleted_flag_comes_back_as_it_was() {
    let product = product().await;
    let developer = caller("developer");
    let asked = asks(&developer, "default");
    let made = product.flags.create(asked, &checkout()).await.unwrap();
    product.flags.delete(asked, "checkout", Precondition::None).await.unwrap();
    let page = HistoryPage { before: None, limit: 10 };
    let history = product.flags.history(&developer, "default", "checkout", page).await.unwrap();
    assert_eq!(history.iter().map(|change| change.verb.as_str()).collect::<Vec<_>>(), ["deleted", "created"]);
    assert_eq!(history[0].reason, "because");
    let revert = Revert { revision: made.revision, seen: Precondition::None };
    let back = product.flags.revert(asked, "checkout", revert).await.unwrap();
    assert_eq!(back.body, made.body);
    let refusal = product
        .flags
        .revert(asked, "checkout", Revert { revision: 1, seen: Precondition::None })
        .await
        .unwrap_err();
    assert_eq!(refusal.code, "revision_not_found");
}

#[tokio::test]
async fn switching_a_flag_the_way_it_is_changes_nothing() {
    let product = product().await;
    let developer = caller("developer");
    product.flags.create(asks(&developer, "default"), &checkout()).await.unwrap();
    let off = || Switch {
        environment: "default",
        key: "checkout",
        enabled: false,
        actor: Actor::system(),
        reason: "",
        detail: json!({"count": 11}),
        seen: None,
    };
    let (first, changed) = product.flags.switch(off()).await.unwrap();
    let (second, again) = product.flags.switch(off()).await.unwrap();
    assert!(changed && !again);
    assert_eq!(first.revision, second.revision);
}

#[tokio::test]
async fn many_flags_are_written_together_or_not_at_all() {
    let product = product().await;
    let developer = caller("developer");
    let asked = asks(&developer, "default");
    let flag = |key: &str| json!({"key": key, "enabled": true, "default_value": true});
    let mixed = [flag("a"), json!({"key": "b", "default_value": 1, "type": "boolean"}), flag("c")];
    let refusal = product.flags.put_many(asked, &mixed).await.unwrap_err();
    assert!(refusal.faults.iter().all(|fault| fault.pointer.starts_with("/1/")), "{:?}", refusal.faults);
    assert!(
        product
            .flags
            .list(&developer, "default", Page { limit: 10, ..Page::default() })
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(product.flags.put_many(asked, &[flag("a"), flag("c")]).await.unwrap(), (2, 0));
    assert_eq!(product.flags.put_many(asked, &[flag("a"), flag("d")]).await.unwrap(), (1, 1));
}

#[tokio::test]
async fn in_production_a_developer_looks_until_granted_more() {
    let product = product().await;
    let admin = caller("admin");
    let production = Environment {
        key: "production".into(),
        name: "Production".into(),
        kind: EnvironmentKind::Production,
        attributes: Vec::new(),
    };
    product.environments.put(asks(&admin, ""), production, Precondition::Absent).await.unwrap();
    let mut developer = caller("developer");
    let refusal = product.flags.create(asks(&developer, "production"), &checkout()).await.unwrap_err();
    assert_eq!(refusal.class, Class::Forbidden);
    product.flags.create(asks(&admin, "production"), &checkout()).await.unwrap();
    product.flags.get(&developer, "production", "checkout").await.unwrap();
    developer.grants.push(Grant { environment: "production".into(), role: "admin".into() });
    product.flags.set_enabled(asks(&developer, "production"), "checkout", false).await.unwrap();
    let nobody = Caller::nobody();
    let refusal = product.flags.get(&nobody, "production", "checkout").await.unwrap_err();
    assert_eq!(refusal.class, Class::Unauthenticated);
}

#[tokio::test]
async fn a_declared_header_fills_its_attribute_and_cannot_be_taken_away_while_used() {
    let product = product().await;
    let admin = caller("admin");
    let environment = |attributes| Environment {
        key: "default".into(),
        name: String::new(),
        kind: EnvironmentKind::Development,
        attributes,
    };
    let country = DeclaredAttribute { name: "country".into(), header: Some("X-Country".into()) };
    let asked = asks(&admin, "default");
    product.environments.put(asked, environment(vec![country]), Precondition::None).await.unwrap();
    let flag = json!({"key": "f", "enabled": true, "default_value": false, "rules": [
        {"attribute": "country", "operator": "in", "value": "ch, de", "variant": true}]});
    product.flags.create(asked, &flag).await.unwrap();

    let now = product.feed.snapshots().get();
    let scope = now.environment("default").unwrap();
    let context = admin.context(scope, |name| (name == "x-country").then_some("CH"));
    assert_eq!(scope.see(&admin, "f", &context).unwrap().evaluation.variant.value, json!(true));
    let refusal =
        product.environments.put(asked, environment(Vec::new()), Precondition::None).await.unwrap_err();
    assert_eq!(refusal.code, "attribute_in_use");
}

#[tokio::test]
async fn two_edits_that_are_wrong_together_do_not_both_pass() {
    let product = Arc::new(product().await);
    let developer = caller("developer");
    for key in ["a", "b"] {
        let flag = json!({"key": key, "enabled": true, "default_value": true});
        product.flags.create(asks(&developer, "default"), &flag).await.unwrap();
    }
    let needs = |flag: &str| json!({"prerequisites": [{"flag": flag, "variant": "true"}]});
    let (needs_a, needs_b) = (needs("a"), needs("b"));
    let asked = asks(&developer, "default");
    let (one, two) = tokio::join!(
        product.flags.patch(asked, "a", &needs_b, Precondition::None),
        product.flags.patch(asked, "b", &needs_a, Precondition::None),
    );
    assert!(one.is_ok() != two.is_ok(), "one of them closes a cycle");
}
