//! Sessions.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use flagbase_core::accounts::{AccountsError, Session, User, UserWrite};

use super::{add, after, by_id, noted, quiet, session, user};
use crate::Stores;

async fn put(stores: &Stores, session: Session) {
    stores.accounts.write_session(session, quiet()).await.unwrap();
}

async fn live(stores: &Stores, user_id: &str, seconds: i64) -> String {
    let sessions = stores.accounts.sessions(user_id, after(seconds)).await.unwrap();
    sessions.iter().map(|session| &*session.id).collect::<Vec<_>>().join(" ")
}

async fn revoked_at(stores: &Stores, id: &str) -> Option<jiff::Timestamp> {
    stores.accounts.session(id).await.unwrap().unwrap().0.revoked_at
}

pub async fn a_session_reads_back_with_its_user(stores: &Stores) {
    let alice = add(stores, user("u1", "alice@example.com")).await;
    add(stores, user("u2", "bob@example.com")).await;
    let full = Session { revoked_at: Some(after(5)), ..session("s1", "u1") };
    put(stores, full.clone()).await;
    assert_eq!(stores.accounts.session("s1").await.unwrap(), Some((full, alice)));
    assert_eq!(stores.accounts.session("s2").await.unwrap(), None);
}

pub async fn a_session_needs_its_user(stores: &Stores) {
    let refused = stores.accounts.write_session(session("s1", "nobody"), quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Conflict)), "{refused:?}");
    assert_eq!(stores.accounts.session("s1").await.unwrap(), None);
}

pub async fn a_changed_session_is_replaced(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    put(stores, session("s1", "u1")).await;
    let changed = Session {
        overrides: Vec::new(),
        expires_at: after(7200),
        client: "other".into(),
        ..session("s1", "u1")
    };
    put(stores, changed.clone()).await;
    assert_eq!(stores.accounts.session("s1").await.unwrap().unwrap().0, changed);
}

pub async fn live_sessions_are_listed_newest_first(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    add(stores, user("u2", "bob@example.com")).await;
    let at = |id: &str, began, ends| Session {
        created_at: after(began),
        expires_at: after(ends),
        ..session(id, "u1")
    };
    put(stores, at("old", 0, 100)).await;
    put(stores, at("new", 20, 200)).await;
    put(stores, at("mid", 10, 300)).await;
    put(stores, Session { revoked_at: Some(after(1)), ..at("out", 30, 300) }).await;
    put(stores, session("bobs", "u2")).await;

    assert_eq!(live(stores, "u1", 50).await, "new mid old");
    assert_eq!(live(stores, "u1", 100).await, "new mid", "one ends at its last second");
    assert_eq!(live(stores, "u1", 250).await, "mid");
    assert_eq!(live(stores, "u1", 300).await, "");
    assert_eq!(live(stores, "nobody", 50).await, "");
}

pub async fn a_revoked_session_stays_revoked(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    put(stores, session("s1", "u1")).await;
    put(stores, Session { revoked_at: Some(after(5)), ..session("s1", "u1") }).await;

    // Somebody who had read it before sets a flag for it, and another one revokes it once more.
    put(stores, session("s1", "u1")).await;
    assert_eq!(revoked_at(stores, "s1").await, Some(after(5)));
    put(stores, Session { revoked_at: Some(after(9)), ..session("s1", "u1") }).await;
    assert_eq!(revoked_at(stores, "s1").await, Some(after(5)));
}

pub async fn an_update_can_end_all_sessions_of_the_user(stores: &Stores) {
    let alice = add(stores, user("u1", "alice@example.com")).await;
    add(stores, user("u2", "bob@example.com")).await;
    for (id, owner) in [("s1", "u1"), ("s2", "u1"), ("s3", "u2")] {
        put(stores, session(id, owner)).await;
    }
    put(stores, Session { revoked_at: Some(after(-5)), ..session("s0", "u1") }).await;

    let write = |user: User, end_sessions| UserWrite::Update { user, end_sessions };
    stores.accounts.write_user(write(alice.clone(), false), quiet()).await.unwrap();
    assert_eq!(live(stores, "u1", 1).await, "s2 s1");
    let seen = by_id(stores, "u1").await.unwrap();
    stores.accounts.write_user(write(seen, true), quiet()).await.unwrap();

    assert_eq!(live(stores, "u1", 1).await, "");
    assert_eq!(live(stores, "u2", 1).await, "s3");
    assert_eq!(revoked_at(stores, "s1").await, Some(after(0)), "at the time of the commit");
    assert_eq!(revoked_at(stores, "s0").await, Some(after(-5)), "ended before");
    // A stale update ends nothing.
    put(stores, session("s4", "u1")).await;
    assert!(stores.accounts.write_user(write(alice, true), quiet()).await.is_err());
    assert_eq!(live(stores, "u1", 1).await, "s4");
}

pub async fn a_new_session_sweeps_out_those_that_had_ended(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    add(stores, user("u2", "bob@example.com")).await;
    for (id, owner) in [("s1", "u1"), ("s2", "u2")] {
        put(stores, Session { expires_at: after(10), ..session(id, owner) }).await;
    }
    put(stores, Session { created_at: after(10), ..session("s3", "u1") }).await;
    assert_eq!(stores.accounts.session("s1").await.unwrap(), None);
    assert!(stores.accounts.session("s2").await.unwrap().is_some(), "somebody else's");
}

pub async fn session_writes_append_their_notices(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    let write = stores.accounts.write_session(session("s1", "u1"), noted("u1", "logged_in"));
    let changes = write.await.unwrap();
    assert_eq!(changes, stores.catalog.changes(0, 10).await.unwrap());
    assert_eq!(changes.first().map(|change| change.verb.as_str()), Some("logged_in"));
}
