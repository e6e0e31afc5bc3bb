//! Invitations and the first administrator.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use flagbase_core::accounts::{AccountsError, Invitation, InvitationAsk, UserWrite};

use super::{add, admin, after, by_id, find, invitation, invite, invited, quiet, race, user};
use crate::{Stores, catalog::NOW};

pub async fn an_invitation_reads_back(stores: &Stores) {
    let full = Invitation { email: Some("alice@example.com".into()), ..invitation("aa") };
    invite(stores, full.clone()).await;
    invite(stores, invitation("bb")).await;
    assert_eq!(find(stores, "aa").await, Some(full));
    assert_eq!(find(stores, "bb").await, Some(invitation("bb")));
    assert_eq!(find(stores, "cc").await, None);
}

pub async fn open_invitations_are_listed_and_can_be_taken_back(stores: &Stores) {
    let ask = |ask| async { stores.accounts.invitations(ask).await.unwrap() };
    invite(stores, Invitation { expires_at: after(2000), ..invitation("aa") }).await;
    invite(stores, invitation("bb")).await;
    invite(stores, Invitation { expires_at: NOW, ..invitation("cc") }).await;
    invite(stores, setup_token("s1")).await;
    let open = ask(InvitationAsk::Open(NOW)).await;
    assert_eq!(open.iter().map(|open| &*open.token_hash).collect::<Vec<_>>(), ["bb", "aa"]);
    assert_eq!(open.first(), Some(&invitation("bb")));

    assert_eq!(ask(InvitationAsk::Remove("bb".into())).await, [invitation("bb")]);
    assert_eq!(ask(InvitationAsk::Remove("bb".into())).await, []);
    assert_eq!(ask(InvitationAsk::Open(NOW)).await.len(), 1);
    let late = invited(user("u1", "alice@example.com"), "bb");
    let refused = stores.accounts.write_user(late, quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Conflict)), "{refused:?}");
}

pub async fn an_invitation_is_used_once(stores: &Stores) {
    invite(stores, invitation("aa")).await;
    let first = invited(user("u1", "alice@example.com"), "aa");
    stores.accounts.write_user(first, quiet()).await.unwrap();
    assert_eq!(find(stores, "aa").await, None);

    let second = invited(user("u2", "bob@example.com"), "aa");
    let refused = stores.accounts.write_user(second, quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Conflict)), "{refused:?}");
    assert_eq!(by_id(stores, "u2").await, None);
}

pub async fn an_invitation_that_has_ended_is_refused(stores: &Stores) {
    // It ends at that very moment.
    invite(stores, Invitation { expires_at: NOW, ..invitation("aa") }).await;
    let late = invited(user("u1", "alice@example.com"), "aa");
    let refused = stores.accounts.write_user(late, quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Conflict)), "{refused:?}");
    assert_eq!(by_id(stores, "u1").await, None);
}

pub async fn an_invitation_for_another_address_is_refused(stores: &Stores) {
    let for_alice = Invitation { email: Some("Alice@example.com".into()), ..invitation("aa") };
    invite(stores, for_alice).await;
    let other = invited(user("u2", "bob@example.com"), "aa");
    let refused = stores.accounts.write_user(other, quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Conflict)), "{refused:?}");

    let meant = invited(user("u1", "alice@example.com"), "aa");
    stores.accounts.write_user(meant, quiet()).await.unwrap();
    assert!(by_id(stores, "u1").await.is_some());
}

pub async fn a_failed_registration_does_not_burn_the_invitation(stores: &Stores) {
    add(stores, user("u1", "alice@example.com")).await;
    invite(stores, invitation("aa")).await;
    let taken = invited(user("u2", "alice@example.com"), "aa");
    let refused = stores.accounts.write_user(taken, quiet()).await;
    assert!(matches!(refused, Err(AccountsError::Exists)), "{refused:?}");

    assert_eq!(find(stores, "aa").await, Some(invitation("aa")));
    let free = invited(user("u2", "bob@example.com"), "aa");
    stores.accounts.write_user(free, quiet()).await.unwrap();
}

fn setup_token(hash: &str) -> Invitation {
    Invitation { setup: true, role: "admin".into(), expires_at: after(1800), ..invitation(hash) }
}

pub async fn a_setup_token_replaces_the_one_before_and_nothing_else(stores: &Stores) {
    invite(stores, invitation("aa")).await;
    invite(stores, setup_token("s1")).await;
    invite(stores, setup_token("s2")).await;
    assert_eq!(find(stores, "s1").await, None);
    assert_eq!(find(stores, "s2").await, Some(setup_token("s2")));
    assert_eq!(find(stores, "aa").await, Some(invitation("aa")));
}

pub async fn two_racers_with_one_setup_token_make_one_admin(stores: &Stores) {
    invite(stores, setup_token("s1")).await;
    let racer = |id: &str, email: &str| UserWrite::Create {
        user: admin(id, email),
        invitation: Some("s1".into()),
        first_admin: true,
    };
    let writes = vec![racer("u1", "alice@example.com"), racer("u2", "bob@example.com")];
    let won =
        race(stores, writes, |error| matches!(error, AccountsError::AdminExists | AccountsError::Conflict));
    assert_eq!(won.await, 1);
    assert_eq!(find(stores, "s1").await, None);
    let made = [by_id(stores, "u1").await, by_id(stores, "u2").await];
    assert_eq!(made.iter().flatten().count(), 1);
}

pub async fn many_racers_make_one_first_admin(stores: &Stores) {
    let racer = |n: u32| UserWrite::Create {
        user: admin(&format!("u{n}"), &format!("admin{n}@example.com")),
        invitation: None,
        first_admin: true,
    };
    let writes = (0..16).map(racer).collect();
    let won = race(stores, writes, |error| matches!(error, AccountsError::AdminExists)).await;
    assert_eq!(won, 1);
    assert!(stores.accounts.has_admin().await.unwrap());
}

pub async fn two_racers_with_one_invitation_make_one_account(stores: &Stores) {
    invite(stores, invitation("aa")).await;
    let writes =
        vec![invited(user("u1", "alice@example.com"), "aa"), invited(user("u2", "bob@example.com"), "aa")];
    let won = race(stores, writes, |error| matches!(error, AccountsError::Conflict)).await;
    assert_eq!(won, 1);
}
