//! API keys: one environment each, no more than their maker, gone when revoked.

use std::sync::Arc;

use flagbase_core::{
    caller::Caller,
    catalog::Kind,
    identity::{KeyRequest, NewKey},
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
};

use crate::house::{House, house, refused, set};

fn ask(environment: &str, permissions: &[Permission]) -> KeyRequest {
    KeyRequest {
        name: "ci".into(),
        environment: environment.into(),
        permissions: permissions.to_vec(),
        expires_in: None,
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
async fn keys_are_seen_where_they_may_be_managed_and_outlive_a_restart() {
    let house = house().await;
    let alice = developer(&house).await;
    let admin = house.admin().await;
    let mine = make(&house, &alice, "staging", &[Permission::FlagRead]).await.unwrap();
    make(&house, &admin, "live", &[Permission::FlagRead]).await.unwrap();
    let seen: Vec<_> = house.identity.keys(&alice).unwrap().iter().map(|key| key.id.clone()).collect();
    assert_eq!(seen, [&*mine.key.id]);
    assert_eq!(house.identity.keys(&admin).unwrap().len(), 2);
    let user = house.join("bob@example.com", "user").await.1;
    assert_eq!(refused(house.identity.keys(&user)).class, Class::Forbidden);
    let reloaded = flagbase_core::snapshot::Snapshot::load(&house.memory).await.unwrap();
    assert_eq!(**reloaded.key(&mine.key.id).unwrap(), *mine.key);
}
