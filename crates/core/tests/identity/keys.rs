//! API keys: one environment each, no more than their maker, gone when revoked.

use std::sync::Arc;

use flagbase_core::{
    accounts::Grant,
    caller::Caller,
    catalog::Kind,
    clock::Clock as _,
    identity::{KeyRequest, NewKey, UserPatch},
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
};

use serde_json::{Value, json};

use crate::house::{House, house, refused, set};

fn ask(environment: &str, permissions: &[Permission]) -> KeyRequest {
    KeyRequest {
        name: "ci".into(),
        environment: environment.into(),
        permissions: permissions.to_vec(),
        ..KeyRequest::default()
    }
}

async fn make(
    house: &House,
    caller: &Caller,
    environment: &str,
    permissions: &[Permission],
) -> Result<NewKey, Refusal> {
    house.identity.create_key(caller, ask(environment, permissions), "").await
}

async fn developer(house: &House) -> Arc<Caller> {
    house.join("alice@example.com", "developer").await.1
}

#[tokio::test]
async fn a_key_admits_to_its_environment_and_to_no_other() {
    let house = house().await;
    let alice = developer(&house).await;
    let made =
        make(&house, &alice, "staging", &[Permission::FlagEvaluate, Permission::MetricRecord]).await.unwrap();
    let caller = house.identity.authenticate(&made.token).await.unwrap();
    assert_eq!(house.may(&caller, "staging"), set(&[Permission::FlagEvaluate, Permission::MetricRecord]));
    for elsewhere in ["default", "live"] {
        assert_eq!(house.may(&caller, elsewhere), set(&[]), "{elsewhere}");
        let snapshot = house.feed.snapshots().get();
        let place = snapshot.environment(elsewhere).unwrap();
        let refusal = refused(caller.require(&snapshot, place, Permission::FlagEvaluate));
        assert_eq!(refusal.class, Class::Forbidden);
    }
    let snapshot = house.feed.snapshots().get();
    assert!(caller.require_everywhere(&snapshot, Permission::UserManage).is_err());
    assert!(Arc::ptr_eq(&house.identity.cached(&made.token).unwrap(), &caller));
}

#[tokio::test]
async fn the_token_has_the_documented_form_and_is_stored_nowhere() {
    let house = house().await;
    let alice = developer(&house).await;
    let made = make(&house, &alice, "default", &[Permission::FlagRead]).await.unwrap();
    let parts: Vec<_> = made.token.split('_').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 16, 64]);
    assert!(parts[1..].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())));
    let log = house.changes().await;
    let change = log.iter().find(|change| change.id.kind == Kind::ApiKey).unwrap();
    assert_eq!((&*change.id.key, &*change.verb), (&*made.key.id, "created"));
    assert!(!format!("{log:?}").contains(parts[2]));
}

#[tokio::test]
async fn a_key_with_a_wrong_secret_is_nobody() {
    let house = house().await;
    let alice = developer(&house).await;
    let made = make(&house, &alice, "default", &[Permission::FlagRead]).await.unwrap();
    let (id, secret) = (&made.key.id, made.token.rsplit('_').next().unwrap());
    let other = make(&house, &alice, "default", &[Permission::FlagRead]).await.unwrap();
    for forged in [
        format!("fb_{id}_{}", "0".repeat(64)),
        format!("fb_{id}_{}", &secret[1..]),
        format!("fb_{id}_{secret}0"),
        format!("fb_{id}_"),
        format!("fb_{id}"),
        format!("fb__{secret}"),
        "fb_".to_owned(),
        format!("fb_{}_{secret}", other.key.id),
        format!("fb_{id}_{}", made.key.secret_hash),
        format!("fb_{id}_{}", "x".repeat(10_000)),
    ] {
        assert_eq!(
            refused(house.identity.authenticate(&forged).await).class,
            Class::Unauthenticated,
            "{forged}"
        );
    }
}

#[tokio::test]
async fn nobody_puts_more_into_a_key_than_he_may_do_there() {
    let house = house().await;
    let alice = developer(&house).await;
    let in_production = refused(make(&house, &alice, "live", &[Permission::FlagEvaluate]).await.map(|_| ()));
    assert_eq!((in_production.class, in_production.code), (Class::Forbidden, "forbidden"));
    let admin = house.admin().await;
    for people_only in [Permission::UserManage, Permission::KeyManage, Permission::EnvironmentWrite] {
        let refusal = refused(make(&house, &admin, "default", &[people_only]).await.map(|_| ()));
        assert_eq!(refusal.faults[0].pointer, "/permissions/0");
    }
    let role =
        serde_json::json!({"key": "keys", "permissions": {"environment:live": ["key.manage", "flag.read"]}});
    let role = serde_json::from_value(role).unwrap();
    house.identity.put_role(&admin, role, Precondition::None, "").await.unwrap();
    let patch = flagbase_core::identity::UserPatch { role: Some("keys".into()), ..Default::default() };
    house.identity.update_user(&admin, (&alice.id, Precondition::None), patch, "").await.unwrap();
    let (_, alice) = house.enter("alice@example.com").await;
    let refusal = refused(make(&house, &alice, "live", &[Permission::FlagUpdate]).await.map(|_| ()));
    assert_eq!(refusal.code, "beyond_own_role");
    assert!(make(&house, &alice, "live", &[Permission::FlagRead]).await.is_ok());
    let user = house.join("bob@example.com", "user").await.1;
    assert_eq!(
        refused(make(&house, &user, "default", &[Permission::FlagRead]).await.map(|_| ())).code,
        "forbidden"
    );
    let nowhere = refused(make(&house, &admin, "nowhere", &[Permission::FlagRead]).await.map(|_| ()));
    assert_eq!(nowhere.code, "environment_not_found");
}

#[tokio::test]
async fn a_revoked_key_admits_nobody_from_the_next_request_on() {
    let house = house().await;
    let alice = developer(&house).await;
    let made = make(&house, &alice, "default", &[Permission::FlagRead]).await.unwrap();
    house.identity.authenticate(&made.token).await.unwrap();
    let user = house.join("bob@example.com", "user").await.1;
    assert_eq!(refused(house.identity.revoke_key(&user, &made.key.id, "").await).class, Class::Forbidden);
    house.identity.revoke_key(&alice, &made.key.id, "leaked").await.unwrap();
    assert!(house.identity.cached(&made.token).is_none());
    assert_eq!(refused(house.identity.authenticate(&made.token).await).class, Class::Unauthenticated);
    assert_eq!(refused(house.identity.revoke_key(&alice, &made.key.id, "").await).code, "key_not_found");
}

#[tokio::test]
async fn a_key_ends_with_its_time_also_when_it_is_remembered() {
    let house = house().await;
    let alice = developer(&house).await;
    let ask = KeyRequest { expires_in: Some("1h".into()), ..ask("default", &[Permission::FlagRead]) };
    let made = house.identity.create_key(&alice, ask, "").await.unwrap();
    house.identity.authenticate(&made.token).await.unwrap();
    house.clock.advance_seconds(3599);
    assert!(house.identity.cached(&made.token).is_some());
    house.clock.advance_seconds(1);
    assert!(house.identity.cached(&made.token).is_none());
    assert_eq!(refused(house.identity.authenticate(&made.token).await).code, "key_expired");
}

#[tokio::test]
async fn whoever_made_a_key_sees_and_revokes_it_and_administrators_do_so_with_all() {
    let house = house().await;
    let alice = developer(&house).await;
    let admin = house.admin().await;
    let (_, carol) = house.join("carol@example.com", "developer").await;
    let mine = make(&house, &alice, "staging", &[Permission::FlagRead]).await.unwrap();
    let hers = make(&house, &carol, "staging", &[Permission::FlagRead]).await.unwrap();
    make(&house, &admin, "live", &[Permission::FlagRead]).await.unwrap();
    let seen: Vec<_> = house.identity.keys(&alice).unwrap().iter().map(|key| key.id.clone()).collect();
    assert_eq!(seen, [&*mine.key.id]);
    assert_eq!(house.identity.keys(&admin).unwrap().len(), 3);
    let not_hers = refused(house.identity.revoke_key(&alice, &hers.key.id, "").await);
    assert_eq!(not_hers.code, "key_not_found");
    house.identity.revoke_key(&admin, &hers.key.id, "").await.unwrap();
    let user = house.join("bob@example.com", "user").await.1;
    assert_eq!(refused(house.identity.keys(&user)).class, Class::Forbidden);
}

#[tokio::test]
async fn a_key_tells_when_and_by_whom_it_was_made_also_after_a_restart() {
    let house = house().await;
    let alice = developer(&house).await;
    let made = make(&house, &alice, "staging", &[Permission::FlagRead]).await.unwrap();
    assert_eq!((made.key.created_at, &*made.key.created_by), (Some(house.clock.now()), &*alice.id));
    let reloaded = flagbase_core::snapshot::Snapshot::load(&house.memory).await.unwrap();
    assert_eq!(**reloaded.key(&made.key.id).unwrap(), *made.key);
}

/// Keys of a developer: one that only reads, one that changes flags, and one of somebody else.
async fn three_keys(house: &House, maker: &Caller) -> [NewKey; 3] {
    let reading = make(house, maker, "staging", &[Permission::FlagRead]).await.unwrap();
    let changing =
        make(house, maker, "staging", &[Permission::FlagRead, Permission::FlagUpdate]).await.unwrap();
    let (_, other) = house.join("other@example.com", "developer").await;
    let others = make(house, &other, "staging", &[Permission::FlagUpdate]).await.unwrap();
    [reading, changing, others]
}

/// Which of the keys still admit somebody, and what the log says of those that were withdrawn.
async fn left(house: &House, keys: &[NewKey; 3]) -> ([bool; 3], Vec<(String, String, Value)>) {
    let mut good = [false; 3];
    for (good, key) in good.iter_mut().zip(keys) {
        *good = house.identity.authenticate(&key.token).await.is_ok();
    }
    let log = house.changes().await.into_iter();
    let told = log
        .filter(|change| change.id.kind == Kind::ApiKey && change.verb == "deleted")
        .map(|change| {
            (
                change.id.key.to_string(),
                change.reason,
                change.detail.get("reason").cloned().unwrap_or_default(),
            )
        })
        .collect();
    (good, told)
}

#[tokio::test]
async fn the_keys_of_somebody_who_is_disabled_end_in_the_same_step() {
    let house = house().await;
    let (alice, admin) = (developer(&house).await, house.admin().await);
    let keys = three_keys(&house, &alice).await;
    let disable = UserPatch { disabled: Some(true), ..UserPatch::default() };
    house.identity.update_user(&admin, (&alice.id, Precondition::None), disable, "left").await.unwrap();
    let (good, told) = left(&house, &keys).await;
    assert_eq!(good, [false, false, true]);
    assert_eq!(told.len(), 2);
    for (_, reason, why) in told {
        assert_eq!((reason.as_str(), why), ("left", json!("its maker was disabled")));
    }
}

#[tokio::test]
async fn the_keys_of_somebody_who_is_removed_end_in_the_same_step() {
    let house = house().await;
    let (alice, admin) = (developer(&house).await, house.admin().await);
    let keys = three_keys(&house, &alice).await;
    house.identity.delete_user(&admin, (&alice.id, Precondition::None), "").await.unwrap();
    let (good, told) = left(&house, &keys).await;
    assert_eq!(good, [false, false, true]);
    assert!(told.iter().all(|(_, _, why)| *why == json!("its maker was removed")), "{told:?}");
}

#[tokio::test]
async fn a_key_that_permits_more_than_its_maker_after_his_demotion_ends() {
    let house = house().await;
    let (alice, admin) = (developer(&house).await, house.admin().await);
    let keys = three_keys(&house, &alice).await;
    let same = UserPatch { groups: Some(vec!["beta".into()]), ..UserPatch::default() };
    house.change(&admin, &alice.id, same).await.unwrap();
    assert_eq!(left(&house, &keys).await.0, [true, true, true]);
    let grant = Grant { environment: "staging".into(), role: "developer".into() };
    let granted = UserPatch { role: Some("user".into()), grants: Some(vec![grant]), ..UserPatch::default() };
    house.change(&admin, &alice.id, granted).await.unwrap();
    assert_eq!(left(&house, &keys).await.0, [true, true, true], "he may still do it, by a grant");
    house
        .change(&admin, &alice.id, UserPatch { grants: Some(Vec::new()), ..UserPatch::default() })
        .await
        .unwrap();
    let (good, told) = left(&house, &keys).await;
    assert_eq!(good, [true, false, true]);
    assert_eq!(
        told,
        [(keys[1].key.id.clone(), String::new(), json!("it permits more than its maker may do now"),)]
    );
}

#[tokio::test]
async fn a_role_that_permits_less_withdraws_the_keys_of_its_holders_that_permit_more() {
    let house = house().await;
    let (alice, admin) = (developer(&house).await, house.admin().await);
    let keys = three_keys(&house, &alice).await;
    house
        .change(&admin, &alice.id, UserPatch { role: Some("admin".into()), ..UserPatch::default() })
        .await
        .unwrap();
    let role = json!({"key": "developer", "permissions": {"development": ["flag.read"]}});
    let role = serde_json::from_value(role).unwrap();
    let stored = house.identity.put_role(&admin, role, Precondition::None, "").await.unwrap();
    let change = house.changes().await.into_iter().find(|change| change.revision == stored.revision).unwrap();
    assert_eq!(change.id.kind, Kind::Role);
    let (good, told) = left(&house, &keys).await;
    assert_eq!(good, [true, true, false], "the first two are an administrator's now");
    assert_eq!(told[0].2, json!("the role of its maker permits less now"));
}

#[tokio::test]
async fn somebody_who_was_demoted_a_moment_ago_makes_no_key_with_what_he_had() {
    let house = house().await;
    let (alice, admin) = (developer(&house).await, house.admin().await);
    house
        .change(&admin, &alice.id, UserPatch { role: Some("user".into()), ..UserPatch::default() })
        .await
        .unwrap();
    let late = refused(make(&house, &alice, "staging", &[Permission::FlagUpdate]).await.map(|_| ()));
    assert_eq!((late.class, late.code), (Class::Conflict, "user_changed"));
}
