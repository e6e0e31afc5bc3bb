//! Roles act at once, and the built-in ones are always there.

use flagbase_core::{
    permissions::Permission,
    refusal::{Class, Precondition},
    roles::Role,
};
use serde_json::json;

use crate::house::{house, refused};

fn role(key: &str, permissions: &serde_json::Value) -> Role {
    serde_json::from_value(json!({"key": key, "name": "A role", "permissions": permissions})).unwrap()
}

#[tokio::test]
async fn a_changed_role_acts_on_the_next_request_of_whoever_holds_it() {
    let house = house().await;
    let admin = house.admin().await;
    let (token, alice) = house.join("alice@example.com", "developer").await;
    assert!(house.may(&alice, "default").allow(Permission::FlagDelete));
    let smaller =
        role("developer", &json!({"development": ["flag.read"], "environment:live": ["flag.update"]}));
    let stored = house.identity.put_role(&admin, smaller, Precondition::Match(0), "").await.unwrap();
    let cached = house.identity.cached(&token).unwrap();
    assert!(
        !house.may(&cached, "default").allow(Permission::FlagDelete),
        "nothing needs to be verified anew"
    );
    assert!(house.may(&cached, "live").allow(Permission::FlagUpdate));

    house.identity.delete_role(&admin, "developer", Precondition::Match(stored.revision), "").await.unwrap();
    assert!(house.may(&cached, "default").allow(Permission::FlagDelete), "built in: it becomes what it was");
    let refusal = refused(house.identity.delete_role(&admin, "developer", Precondition::None, "").await);
    assert_eq!((refusal.class, refusal.code), (Class::Conflict, "role_built_in"));
}

#[tokio::test]
async fn the_administrators_role_is_fixed() {
    let house = house().await;
    let admin = house.admin().await;
    let nothing = house.identity.put_role(&admin, role("admin", &json!({})), Precondition::None, "").await;
    assert_eq!(refused(nothing).code, "role_built_in");
    assert_eq!(
        refused(house.identity.delete_role(&admin, "admin", Precondition::None, "").await).code,
        "role_built_in"
    );
}

#[tokio::test]
async fn a_role_that_makes_no_sense_is_refused_with_its_place() {
    let house = house().await;
    let admin = house.admin().await;
    for (bad, pointer) in [
        (role("A b", &json!({})), "/key"),
        (role("guest", &json!({})), "/key"),
        (role("r", &json!({"staging": []})), "/permissions"),
        (role("r", &json!({"environment:nowhere": []})), "/permissions/environment:nowhere"),
    ] {
        let refusal = refused(house.identity.put_role(&admin, bad, Precondition::None, "").await);
        assert_eq!(refusal.faults[0].pointer, pointer);
    }
}

#[tokio::test]
async fn roles_are_made_at_the_revision_that_was_seen_listed_and_removed() {
    let house = house().await;
    let admin = house.admin().await;
    let first = house
        .identity
        .put_role(&admin, role("ops", &json!({"*": ["route.write"]})), Precondition::Absent, "")
        .await;
    let first = first.unwrap();
    let again = house.identity.put_role(&admin, role("ops", &json!({})), Precondition::Absent, "").await;
    assert_eq!(refused(again).class, Class::Stale);
    let second = house
        .identity
        .put_role(&admin, role("ops", &json!({})), Precondition::Match(first.revision), "")
        .await;
    assert!(second.unwrap().revision > first.revision);
    let keys: Vec<_> =
        house.identity.roles(&admin).await.unwrap().into_iter().map(|one| one.role.key).collect();
    assert_eq!(keys, ["admin", "developer", "ops", "user"]);
    house.identity.delete_role(&admin, "ops", Precondition::None, "").await.unwrap();
    assert_eq!(refused(house.identity.role(&admin, "ops").await).code, "role_not_found");
}
