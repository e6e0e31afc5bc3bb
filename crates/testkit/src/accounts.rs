//! What every `Accounts` does.

use std::sync::Arc;

use flagbase_core::{
    accounts::{
        AccountsError, Grant, Invitation, InvitationAsk, Override, Session, User, UserRef, UserWrite,
    },
    catalog::{Commit, DocumentId, Kind},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    Stores,
    catalog::{NOW, commit, notice},
};

mod invitations;
mod sessions;
mod users;

pub use self::{invitations::*, sessions::*, users::*};

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! accounts_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            accounts,
            [
                a_user_reads_back_by_id_and_by_email_in_any_case,
                an_email_is_taken_once_whatever_its_case,
                a_user_id_is_taken_once,
                an_update_needs_the_version_that_was_seen,
                a_user_can_take_a_free_email_but_not_a_taken_one,
                a_deletion_needs_the_version_that_was_seen,
                a_deleted_user_takes_his_sessions_along,
                users_are_listed_by_email_page_by_page,
                a_user_search_ignores_case,
                only_an_enabled_admin_counts,
                writes_append_their_notices_to_the_change_log,
                a_refused_write_appends_no_notice,
                exactly_one_of_many_registrations_of_an_email_wins,
                an_invitation_reads_back,
                open_invitations_are_listed_and_can_be_taken_back,
                an_invitation_is_used_once,
                an_invitation_that_has_ended_is_refused,
                an_invitation_for_another_address_is_refused,
                a_failed_registration_does_not_burn_the_invitation,
                a_setup_token_replaces_the_one_before_and_nothing_else,
                two_racers_with_one_setup_token_make_one_admin,
                many_racers_make_one_first_admin,
                two_racers_with_one_invitation_make_one_account,
                a_session_reads_back_with_its_user,
                a_session_needs_its_user,
                a_changed_session_is_replaced,
                live_sessions_are_listed_newest_first,
                a_revoked_session_stays_revoked,
                an_update_can_end_all_sessions_of_the_user,
                a_new_session_sweeps_out_those_that_had_ended,
                session_writes_append_their_notices,
            ]
        );
    };
}

/// `seconds` after the time of these suites.
fn after(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

/// A user with something in every field.
fn user(id: &str, email: &str) -> User {
    User {
        id: id.into(),
        email: email.into(),
        password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
        role: "developer".into(),
        groups: vec!["beta".into(), "staff".into()],
        grants: vec![Grant { environment: "production".into(), role: "viewer".into() }],
        disabled: false,
        created_at: NOW,
        updated_at: after(1),
        version: 1,
    }
}

fn admin(id: &str, email: &str) -> User {
    User { role: "admin".into(), ..user(id, email) }
}

fn session(id: &str, user_id: &str) -> Session {
    let set = Override {
        environment: "default".into(),
        flag: "dark-mode".into(),
        variant: "on".into(),
        set_at: NOW,
        set_by: "u9".into(),
    };
    Session {
        id: id.into(),
        user_id: user_id.into(),
        created_at: NOW,
        expires_at: after(3600),
        revoked_at: None,
        client: "curl/8".into(),
        overrides: vec![set],
    }
}

fn invitation(hash: &str) -> Invitation {
    Invitation {
        token_hash: hash.into(),
        role: "developer".into(),
        email: None,
        setup: false,
        expires_at: after(1800),
    }
}

/// A write that says nothing to the change log.
fn quiet() -> Commit {
    commit(Vec::new())
}

/// A write that leaves one notice about a user.
fn noted(id: &str, verb: &'static str) -> Commit {
    commit(vec![notice(&DocumentId::new(Kind::User, "", id), verb)])
}

fn create(user: User) -> UserWrite {
    UserWrite::Create { user, invitation: None, first_admin: false }
}

fn invited(user: User, hash: &str) -> UserWrite {
    UserWrite::Create { user, invitation: Some(hash.into()), first_admin: false }
}

fn update(user: User) -> UserWrite {
    UserWrite::Update { user, end_sessions: false }
}

/// Stores a user and returns it.
async fn add(stores: &Stores, user: User) -> User {
    stores.accounts.write_user(create(user.clone()), quiet()).await.unwrap();
    user
}

async fn by_id(stores: &Stores, id: &str) -> Option<User> {
    stores.accounts.user(UserRef::Id(id)).await.unwrap()
}

async fn invite(stores: &Stores, invitation: Invitation) {
    stores.accounts.invitations(InvitationAsk::Put(invitation)).await.unwrap();
}

async fn find(stores: &Stores, hash: &str) -> Option<Invitation> {
    stores.accounts.invitations(InvitationAsk::Find(hash.into())).await.unwrap().pop()
}

/// Does all writes at once; returns how many succeeded. The others must fail as `expected` says.
async fn race(stores: &Stores, writes: Vec<UserWrite>, expected: fn(&AccountsError) -> bool) -> usize {
    let mut racers = tokio::task::JoinSet::new();
    for write in writes {
        let accounts = Arc::clone(&stores.accounts);
        racers.spawn(async move { accounts.write_user(write, quiet()).await });
    }
    let outcomes = racers.join_all().await;
    let failures = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    for failure in failures {
        assert!(expected(failure), "{failure:?}");
    }
    outcomes.iter().filter(|outcome| outcome.is_ok()).count()
}
