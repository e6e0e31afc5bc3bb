//! Users.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use flagbase_core::accounts::{AccountsError, User, UserPage, UserRef, UserWrite};

use super::{add, admin, after, by_id, create, noted, quiet, race, session, update, user};
use crate::Stores;

pub async fn a_user_reads_back_by_id_and_by_email_in_any_case(stores: &Stores) {
    let alice = add(stores, user("u1", "Alice@Example.com")).await;
    for by in [
        UserRef::Id("u1"),
        UserRef::Email("Alice@Example.com"),
        UserRef::Email("alice@example.com"),
        UserRef::Email("ALICE@EXAMPLE.COM"),
    ] {
        assert_eq!(stores.accounts.user(by).await.unwrap().as_ref(), Some(&alice), "{by:?}");
    }
    assert_eq!(by_id(stores, "u2").await, None);
    assert_eq!(stores.accounts.user(UserRef::Email("bob@example.com")).await.unwrap(), None);
}

pub async fn an_email_is_taken_once_whatever_its_case(stores: &Stores) {
    let alice = add(stores, user("u1", "alice@example.com")).await;
    let twice = create(user("u2", "ALICE@example.com"));
    let refused = stores.accounts.write_user(twice, quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Exists)), "{refused:?}");
    assert_eq!(by_id(stores, "u2").await, None);
    assert_eq!(by_id(stores, "u1").await, Some(alice));
}

pub async fn a_user_id_is_taken_once(stores: &Stores) {
    let alice = add(stores, user("u1", "alice@example.com")).await;
    let refused = stores.accounts.write_user(create(user("u1", "bob@example.com")), quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Exists)), "{refused:?}");
    assert_eq!(by_id(stores, "u1").await, Some(alice));
}

pub async fn an_update_needs_the_version_that_was_seen(stores: &Stores) {
    let alice = add(stores, user("u1", "alice@example.com")).await;
    let promoted = User {
        role: "admin".into(),
        groups: Vec::new(),
        disabled: true,
        updated_at: after(9),
        password_hash: "other".into(),
        ..alice.clone()
    };
    stores.accounts.write_user(update(promoted.clone()), quiet()).await.unwrap();
    assert_eq!(by_id(stores, "u1").await, Some(User { version: 2, ..promoted }));

    let stale = stores.accounts.write_user(update(alice), quiet()).await;
    assert!(matches!(stale, Err(AccountsError::Conflict)), "{stale:?}");
    let unknown = stores.accounts.write_user(update(user("u7", "bob@example.com")), quiet()).await;
    assert!(matches!(unknown, Err(AccountsError::Conflict)), "{unknown:?}");
    assert_eq!(by_id(stores, "u1").await.unwrap().version, 2);
    assert_eq!(by_id(stores, "u7").await, None);
}

pub async fn a_user_can_take_a_free_email_but_not_a_taken_one(stores: &Stores) {
    let alice = add(stores, user("u1", "alice@example.com")).await;
    add(stores, user("u2", "bob@example.com")).await;
    let taken = User { email: "BOB@example.com".into(), ..alice.clone() };
    let refused = stores.accounts.write_user(update(taken), quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Exists)), "{refused:?}");

    let moved = User { email: "carol@example.com".into(), ..alice };
    stores.accounts.write_user(update(moved), quiet()).await.unwrap();
    let old = stores.accounts.user(UserRef::Email("alice@example.com")).await.unwrap();
    assert_eq!(old, None);
    add(stores, user("u3", "alice@example.com")).await;
}

pub async fn a_deletion_needs_the_version_that_was_seen(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    let delete = |version| UserWrite::Delete { id: "u1".into(), version };
    let stale = stores.accounts.write_user(delete(2), quiet()).await;
    assert!(matches!(stale, Err(AccountsError::Conflict)), "{stale:?}");
    assert!(by_id(stores, "u1").await.is_some());
    stores.accounts.write_user(delete(1), quiet()).await.unwrap();
    assert_eq!(by_id(stores, "u1").await, None);
    let gone = stores.accounts.write_user(delete(1), quiet()).await;
    assert!(matches!(gone, Err(AccountsError::Conflict)), "{gone:?}");
}

pub async fn a_deleted_user_takes_his_sessions_along(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    add(stores, user("u2", "bob@example.com")).await;
    for (id, owner) in [("s1", "u1"), ("s2", "u1"), ("s3", "u2")] {
        stores.accounts.write_session(session(id, owner), quiet()).await.unwrap();
    }
    let delete = UserWrite::Delete { id: "u1".into(), version: 1 };
    stores.accounts.write_user(delete, quiet()).await.unwrap();
    assert_eq!(stores.accounts.session("s1").await.unwrap(), None);
    assert!(stores.accounts.sessions("u1", after(0)).await.unwrap().is_empty());
    assert!(stores.accounts.session("s3").await.unwrap().is_some());
    // Not even when somebody takes the id again.
    add(stores, user("u1", "alice@example.com")).await;
    assert_eq!(stores.accounts.session("s2").await.unwrap(), None);
}

async fn emails(stores: &Stores, page: UserPage) -> String {
    let users = stores.accounts.users(page).await.unwrap();
    users.iter().map(|user| &*user.email).collect::<Vec<_>>().join(" ")
}

pub async fn users_are_listed_by_email_page_by_page(stores: &Stores) {
    for (id, email) in [("u1", "d@example.com"), ("u2", "B@example.com"), ("u3", "a@example.com")] {
        add(stores, user(id, email)).await;
    }
    let page =
        |after: Option<&str>| UserPage { after: after.map(str::to_owned), limit: 2, ..UserPage::default() };
    assert_eq!(emails(stores, page(None)).await, "a@example.com B@example.com");
    assert_eq!(emails(stores, page(Some("B@example.com"))).await, "d@example.com");
    assert_eq!(emails(stores, page(Some("d@example.com"))).await, "");
}

pub async fn a_user_search_ignores_case(stores: &Stores) {
    add(stores, user("u1", "Alice@example.com")).await;
    add(stores, user("u2", "bob_1@example.org")).await;
    let page = |search: &str| UserPage { search: Some(search.to_owned()), limit: 9, after: None };
    assert_eq!(emails(stores, page("ALICE")).await, "Alice@example.com");
    assert_eq!(emails(stores, page("_")).await, "bob_1@example.org");
    assert_eq!(emails(stores, page("%")).await, "");
}

pub async fn only_an_enabled_admin_counts(stores: &Stores) {
    let has_admin = async || stores.accounts.has_admin().await.unwrap();
    add(stores, user("u1", "alice@example.com")).await;
    assert!(!has_admin().await);
    let bob = add(stores, admin("u2", "bob@example.com")).await;
    assert!(has_admin().await);
    let disabled = User { disabled: true, ..bob };
    stores.accounts.write_user(update(disabled), quiet()).await.unwrap();
    assert!(!has_admin().await);
}

pub async fn writes_append_their_notices_to_the_change_log(stores: &Stores) {
    let write = create(user("u1", "alice@example.com"));
    let created = stores.accounts.write_user(write, noted("u1", "created")).await.unwrap();
    let delete = UserWrite::Delete { id: "u1".into(), version: 1 };
    let deleted = stores.accounts.write_user(delete, noted("u1", "deleted")).await.unwrap();

    let log = stores.catalog.changes(0, 10).await.unwrap();
    assert_eq!(log, [created, deleted].concat());
    let verbs: Vec<_> = log.iter().map(|change| (change.revision, change.verb.as_str())).collect();
    assert_eq!(verbs, [(1, "created"), (2, "deleted")]);
}

pub async fn a_refused_write_appends_no_notice(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    let twice = create(user("u2", "alice@example.com"));
    assert!(stores.accounts.write_user(twice, noted("u2", "created")).await.is_err());
    let stale = UserWrite::Delete { id: "u1".into(), version: 9 };
    assert!(stores.accounts.write_user(stale, noted("u1", "deleted")).await.is_err());
    let orphan = session("s1", "nobody");
    assert!(stores.accounts.write_session(orphan, noted("u1", "started")).await.is_err());
    assert_eq!(stores.catalog.head().await.unwrap(), 0);
}

pub async fn exactly_one_of_many_registrations_of_an_email_wins(stores: &Stores) {
    let writes = (0..16).map(|n| create(user(&format!("u{n}"), "alice@example.com"))).collect();
    let won = race(stores, writes, |error| matches!(error, AccountsError::Exists)).await;
    assert_eq!(won, 1);
    let page = UserPage { limit: 20, ..UserPage::default() };
    assert_eq!(emails(stores, page).await, "alice@example.com");
}
