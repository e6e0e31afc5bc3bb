//! What administrators may do, and what not even they may.

use std::sync::Arc;

use flagbase_core::{
    accounts::{Grant, UserPage},
    caller::Caller,
    catalog::Kind,
    identity::{InvitationRequest, NewUser, UserPatch},
    permissions::Permission,
    refusal::{Class, Precondition},
};

use crate::house::{House, credentials, house, refused};

fn role(role: &str) -> UserPatch {
    UserPatch { role: Some(role.into()), ..UserPatch::default() }
}

fn disable() -> UserPatch {
    UserPatch { disabled: Some(true), ..UserPatch::default() }
}

fn new(email: &str, role: &str) -> NewUser {
    NewUser {
        credentials: credentials(email),
        role: Some(role.into()),
        groups: Vec::new(),
        grants: Vec::new(),
    }
}

/// Somebody who may manage users and evaluate, and nothing else.
async fn manager(house: &House) -> Arc<Caller> {
    let admin = house.admin().await;
    let role = serde_json::from_value(serde_json::json!({
        "key": "manager", "permissions": {"*": ["user.manage", "flag.read", "flag.evaluate"]},
    }));
    house.identity.put_role(&admin, role.unwrap(), Precondition::None, "").await.unwrap();
    house.identity.create_user(&admin, new("manager@example.com", "manager"), "").await.unwrap();
    house.enter("manager@example.com").await.1
}

#[tokio::test]
async fn users_and_developers_administer_nobody() {
    let house = house().await;
    for (email, own) in [("a@example.com", "user"), ("b@example.com", "developer")] {
        let (_, caller) = house.join(email, own).await;
        let id = (&*caller.id, Precondition::None);
        let page = UserPage { limit: 10, ..UserPage::default() };
        let refusals = [
            refused(house.identity.users(&caller, page).await),
            refused(house.identity.user(&caller, &caller.id).await),
            refused(house.identity.create_user(&caller, new("x@example.com", "user"), "").await),
            refused(house.identity.update_user(&caller, id, role("admin"), "").await),
            refused(house.identity.delete_user(&caller, id, "").await),
            refused(house.identity.end_sessions(&caller, &caller.id, "").await),
            refused(house.identity.roles(&caller).await),
        ];
        assert!(refusals.iter().all(|refusal| refusal.class == Class::Forbidden), "{refusals:?}");
    }
}

#[tokio::test]
async fn a_user_is_changed_at_the_version_that_was_seen_and_it_is_logged() {
    let house = house().await;
    let admin = house.admin().await;
    let made = house.identity.create_user(&admin, new("Bob@example.com", "user"), "hired").await.unwrap();
    let patch = UserPatch {
        groups: Some(vec!["beta".into()]),
        grants: Some(vec![Grant { environment: "live".into(), role: "developer".into() }]),
        ..role("developer")
    };
    let at = |version| (&*made.id, Precondition::Match(version));
    let changed =
        house.identity.update_user(&admin, at(made.version), patch.clone(), "promoted").await.unwrap();
    assert_eq!(changed.version, made.version + 1);
    assert_eq!(house.identity.user(&admin, &made.id).await.unwrap(), changed);
    let stale = refused(house.identity.update_user(&admin, at(made.version), patch, "").await);
    assert_eq!((stale.class, stale.code), (Class::Stale, "revision_mismatch"));
    house.identity.update_user(&admin, at(changed.version), disable(), "left").await.unwrap();
    let enable = UserPatch { disabled: Some(false), ..UserPatch::default() };
    house.change(&admin, &made.id, enable).await.unwrap();
    house.identity.delete_user(&admin, (&made.id, Precondition::None), "").await.unwrap();

    assert_eq!(refused(house.identity.user(&admin, &made.id).await).code, "user_not_found");
    told(&house, &made.id, &admin).await;
}

/// Everything that happened to Bob is in the log, by the administrator and with his reasons.
async fn told(house: &House, id: &str, admin: &Caller) {
    let log: Vec<_> = house.changes().await.into_iter().filter(|one| *one.id.key == *id).collect();
    let verbs: Vec<_> = log.iter().map(|one| one.verb.as_str()).collect();
    assert_eq!(verbs, ["created", "updated", "disabled", "enabled", "deleted"]);
    assert!(log.iter().all(|one| one.id.kind == Kind::User && *one.actor.id == *admin.id));
    let reasons: Vec<_> = log.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons, ["hired", "promoted", "left", "", ""]);
    let role = log.iter().find_map(|one| one.detail.pointer("/role/after"));
    assert_eq!(role, Some(&"developer".into()));
}

#[tokio::test]
async fn a_grant_counts_in_its_environment_only() {
    let house = house().await;
    let admin = house.admin().await;
    let made = NewUser {
        grants: vec![Grant { environment: "staging".into(), role: "developer".into() }],
        ..new("bob@example.com", "user")
    };
    house.identity.create_user(&admin, made, "").await.unwrap();
    let (_, bob) = house.enter("bob@example.com").await;
    assert!(house.may(&bob, "staging").allow(Permission::FlagUpdate));
    assert!(!house.may(&bob, "default").allow(Permission::FlagUpdate));
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_granted() {
    let house = house().await;
    let admin = house.admin().await;
    let grant = |environment: &str, role: &str| NewUser {
        grants: vec![Grant { environment: environment.into(), role: role.into() }],
        ..new("bob@example.com", "user")
    };
    for (new, pointer) in [
        (new("bob@example.com", "nonsense"), "/role"),
        (grant("nowhere", "developer"), "/grants/0/environment"),
        (grant("default", "nonsense"), "/grants/0/role"),
        (NewUser { groups: vec!["a,b".into()], ..new("bob@example.com", "user") }, "/groups/0"),
    ] {
        assert_eq!(refused(house.identity.create_user(&admin, new, "").await).faults[0].pointer, pointer);
    }
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let house = house().await;
    let admin = house.admin().await;
    let id = (&*admin.id, Precondition::None);
    let last = [
        refused(house.identity.update_user(&admin, id, role("user"), "").await),
        refused(house.identity.update_user(&admin, id, disable(), "").await),
        refused(house.identity.delete_user(&admin, id, "").await),
    ];
    assert!(last.iter().all(|refusal| refusal.code == "last_admin" && refusal.class == Class::Conflict));

    let other = house.identity.create_user(&admin, new("other@example.com", "admin"), "").await.unwrap();
    house.change(&admin, &other.id, disable()).await.unwrap();
    assert_eq!(
        refused(house.identity.delete_user(&admin, id, "").await).code,
        "last_admin",
        "a disabled one is none"
    );
    let third = house.identity.create_user(&admin, new("third@example.com", "admin"), "").await.unwrap();
    house.identity.delete_user(&admin, (&third.id, Precondition::None), "").await.unwrap();
    house.identity.delete_user(&admin, (&other.id, Precondition::None), "").await.unwrap();
    assert!(!house.identity.needs_setup().await.unwrap());
}

#[tokio::test]
async fn two_administrators_who_demote_each_other_at_once_do_not_both_succeed() {
    let house = house().await;
    let a = house.admin().await;
    house.identity.create_user(&a, new("b@example.com", "admin"), "").await.unwrap();
    let (_, b) = house.enter("b@example.com").await;
    let (first, second) =
        tokio::join!(house.change(&a, &b.id, role("user")), house.change(&b, &a.id, role("user")),);
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
    assert!(!house.identity.needs_setup().await.unwrap());
}

#[tokio::test]
async fn managing_users_is_no_way_up() {
    let house = house().await;
    let manager = manager(&house).await;
    let admin = house.enter("admin@example.com").await.1;
    let victim = (&*admin.id, Precondition::None);
    let reset = UserPatch { password: Some("known to the manager".into()), ..UserPatch::default() };
    let grant = UserPatch {
        grants: Some(vec![Grant { environment: "default".into(), role: "developer".into() }]),
        ..UserPatch::default()
    };
    let invitation = InvitationRequest { role: "admin".into(), email: None, expires_in: None };
    let more =
        serde_json::from_value(serde_json::json!({"key": "manager", "permissions": {"*": ["flag.delete"]}}));
    let refusals = [
        refused(house.change(&manager, &admin.id, reset).await),
        refused(house.change(&manager, &admin.id, disable()).await),
        refused(house.identity.delete_user(&manager, victim, "").await),
        refused(house.identity.end_sessions(&manager, &admin.id, "").await),
        refused(house.change(&manager, &manager.id, role("admin")).await),
        refused(house.change(&manager, &manager.id, grant).await),
        refused(house.identity.create_user(&manager, new("x@example.com", "developer"), "").await),
        refused(house.identity.put_role(&manager, more.unwrap(), Precondition::None, "").await),
        refused(house.identity.invite(&manager, invitation).await.map(|_| ())),
    ];
    for refusal in &refusals {
        assert_eq!((refusal.class, refusal.code), (Class::Forbidden, "beyond_own_role"), "{refusal}");
    }
    assert!(house.identity.create_user(&manager, new("x@example.com", "user"), "").await.is_ok());
}

#[tokio::test]
async fn users_are_listed_by_address_page_by_page() {
    let house = house().await;
    let admin = house.admin().await;
    for name in ["d", "b", "c"] {
        house.register(&format!("{name}@example.com"), None).await.unwrap();
    }
    let page = |after: Option<&str>, search: Option<&str>| UserPage {
        after: after.map(str::to_owned),
        search: search.map(str::to_owned),
        limit: 2,
    };
    let emails = |users: Vec<flagbase_core::identity::Profile>| {
        users.into_iter().map(|user| user.email.to_string()).collect::<Vec<_>>()
    };
    let first = emails(house.identity.users(&admin, page(None, None)).await.unwrap());
    assert_eq!(first, ["admin@example.com", "b@example.com"]);
    let second = emails(house.identity.users(&admin, page(Some("b@example.com"), None)).await.unwrap());
    assert_eq!(second, ["c@example.com", "d@example.com"]);
    assert_eq!(
        emails(house.identity.users(&admin, page(None, Some("d@"))).await.unwrap()),
        ["d@example.com"]
    );
}
