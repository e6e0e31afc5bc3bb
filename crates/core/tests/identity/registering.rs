//! Coming and going.

use flagbase_core::{
    accounts::{Accounts as _, UserRef, UserWrite},
    catalog::{Actor, Kind},
    identity::{Credentials, Identity, Origin, Register, Secret},
    permissions::Permission,
    refusal::{Class, Precondition},
};

use crate::house::{PASSWORD, config, house, refused, set};

#[tokio::test]
async fn a_developer_does_all_of_the_readme_in_development_and_looks_in_production() {
    let house = house().await;
    let (_, caller) = house.join("Alice@Example.com", "developer").await;
    assert_eq!((&*caller.email, &*caller.role), ("alice@example.com", "developer"));
    let readme = set(&[
        Permission::FlagCreate,
        Permission::FlagRead,
        Permission::FlagUpdate,
        Permission::FlagDelete,
        Permission::FlagEvaluate,
        Permission::RouteWrite,
        Permission::MetricRecord,
        Permission::KeyManage,
    ]);
    assert_eq!(house.may(&caller, "default").and(readme), readme);
    assert!(
        !house.may(&caller, "default").allow(Permission::GuardWrite),
        "whoever registers touches no guard"
    );
    let production = house.may(&caller, "live");
    assert!(production.allow(Permission::FlagRead) && production.allow(Permission::FlagEvaluate));
    for forbidden in [
        Permission::FlagCreate,
        Permission::FlagUpdate,
        Permission::FlagDelete,
        Permission::RouteWrite,
        Permission::MetricRecord,
        Permission::KeyManage,
    ] {
        assert!(!production.allow(forbidden), "{forbidden:?}");
    }
}

#[tokio::test]
async fn a_plain_user_reads_and_evaluates_and_changes_nothing_anywhere() {
    let house = house().await;
    let (_, caller) = house.join("bob@example.com", "user").await;
    for environment in ["default", "staging", "live"] {
        let allowed = house.may(&caller, environment);
        assert_eq!(allowed, set(&[Permission::FlagRead, Permission::FlagEvaluate]), "{environment}");
    }
}

#[tokio::test]
async fn nobody_gives_himself_a_role_that_is_not_for_the_taking() {
    let house = house().await;
    for role in ["admin", "Admin", "administrator", "guest", "service", "root", &"x".repeat(5000)] {
        let refusal = refused(house.register("mallory@example.com", Some(role)).await);
        assert_eq!((refusal.class, refusal.code), (Class::Forbidden, "role_not_assignable"), "{role}");
        assert!(refusal.message.len() < 500, "what was sent is not echoed at length");
    }
    assert!(house.memory.user(UserRef::Email("mallory@example.com")).await.unwrap().is_none());
    assert_eq!(house.reach(), 0, "not even a password was hashed");
    assert!(house.changes().await.iter().all(|change| change.id.kind != Kind::User));
    assert!(house.register("mallory@example.com", Some("user")).await.is_ok(), "the address was not burnt");
}

#[tokio::test]
async fn without_a_role_the_default_one_is_granted() {
    let house = house().await;
    assert_eq!(&*house.register("a@example.com", None).await.unwrap().role, "user");
    assert_eq!(&*house.register("b@example.com", Some("")).await.unwrap().role, "user");
}

#[tokio::test]
async fn a_secret_that_everybody_knows_never_signs() {
    let house = house().await;
    for secret in ["change-me-in-production", ""] {
        let config = flagbase_core::identity::IdentityConfig { secret: Secret::new(secret), ..config() };
        let built = Identity::new(
            config,
            std::sync::Arc::new(house.memory.clone()),
            std::sync::Arc::clone(&house.feed),
            std::sync::Arc::new(house.clock.clone()),
            std::sync::Arc::new(flagbase_testkit::SeededRandom::new(1)),
        );
        assert!(built.is_err(), "`{secret}`");
    }
    assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
}

#[tokio::test]
async fn what_is_no_address_or_no_password_makes_no_account_and_says_why() {
    let house = house().await;
    for (email, password, pointer) in [
        ("", PASSWORD, "/email"),
        ("alice", PASSWORD, "/email"),
        ("alice@example.com", "", "/password"),
        ("alice@example.com", "short", "/password"),
        ("alice@example.com", "password123", "/password"),
        ("alice@example.com", "alice@example.com", "/password"),
    ] {
        let credentials = Credentials { email: email.into(), password: password.into() };
        let ask = Register { credentials, role: None, invitation: None };
        let refusal = refused(house.identity.register(ask, &Origin::default()).await);
        assert_eq!(refusal.class, Class::Invalid);
        assert_eq!(refusal.faults[0].pointer, pointer, "{email} {password}");
    }
    assert_eq!(house.reach(), 0);
}

#[tokio::test]
async fn an_address_is_taken_in_any_case() {
    let house = house().await;
    house.register("alice@example.com", None).await.unwrap();
    let refusal = refused(house.register("ALICE@example.COM", None).await);
    assert_eq!((refusal.class, refusal.code), (Class::Conflict, "user_exists"));
    assert!(house.login("Alice@EXAMPLE.com", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn unknown_address_and_wrong_password_get_the_same_answer_after_the_same_work() {
    let house = house().await;
    house.register("alice@example.com", None).await.unwrap();
    let mut answers = Vec::new();
    for email in ["alice@example.com", "nobody@example.com"] {
        let before = house.reach();
        let refusal = refused(house.login(email, "wrong password").await);
        answers.push((
            refusal.class,
            refusal.code,
            refusal.message.clone(),
            refusal.retry_after,
            house.reach() - before,
        ));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        (answers[0].0, answers[0].1, answers[0].4),
        (Class::Unauthenticated, "invalid_credentials", 1)
    );
}

#[tokio::test]
async fn a_password_is_stored_as_argon2id_and_is_changed_by_whoever_knows_it() {
    let house = house().await;
    let (token, caller) = house.join("alice@example.com", "user").await;
    let (other, _) = house.enter("alice@example.com").await;
    let stored = house.memory.user(UserRef::Id(&caller.id)).await.unwrap().unwrap();
    assert!(stored.password_hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));

    let new = "another fine password";
    let wrong = house.identity.change_password(&caller, "not it".into(), new.into()).await;
    assert_eq!(refused(wrong).faults[0].pointer, "/current");
    let weak = house.identity.change_password(&caller, PASSWORD.into(), "12345678".into()).await;
    assert_eq!(refused(weak).faults[0].pointer, "/new");
    house.identity.change_password(&caller, PASSWORD.into(), new.into()).await.unwrap();

    assert!(house.identity.authenticate(&token).await.is_ok(), "this session goes on");
    assert_eq!(refused(house.identity.authenticate(&other).await).code, "session_ended");
    assert!(house.login("alice@example.com", PASSWORD).await.is_err());
    assert!(house.login("alice@example.com", new).await.is_ok());
}

#[tokio::test]
async fn a_weak_old_hash_is_replaced_at_login_without_a_trace_in_the_log() {
    let house = house().await;
    let (_, caller) = house.join("alice@example.com", "user").await;
    let mut user = house.memory.user(UserRef::Id(&caller.id)).await.unwrap().unwrap();
    // argon2id of `correct horse battery` with m=8192, t=1.
    user.password_hash = weak_hash();
    let write = UserWrite::Update { user, end_sessions: false };
    house.memory.write_user(write, house.feed.draft(Actor::system(), "", Vec::new())).await.unwrap();
    let changes = house.changes().await.len();
    house.login("alice@example.com", PASSWORD).await.unwrap();
    let stored = house.memory.user(UserRef::Id(&caller.id)).await.unwrap().unwrap();
    assert!(stored.password_hash.contains("m=19456,t=2,p=1"), "{}", stored.password_hash);
    assert_eq!(house.changes().await.len(), changes);
    assert!(house.login("alice@example.com", PASSWORD).await.is_ok());
}

fn weak_hash() -> String {
    use argon2::{Argon2, Params, PasswordHasher as _};
    let weak = Argon2::from(Params::new(8192, 1, 1, None).unwrap());
    weak.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap().to_string()
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_only() {
    let house = house().await;
    let (token, alice) = house.join("alice@example.com", "user").await;
    let (_, bob) = house.join("bob@example.com", "user").await;
    house.clock.advance_seconds(1);
    let (phone, _) = house.enter("alice@example.com").await;
    let sessions = house.identity.sessions(&alice).await.unwrap();
    assert_eq!(
        sessions.iter().map(|session| session.current).collect::<Vec<_>>(),
        [false, true],
        "newest first"
    );

    let refusal = refused(house.identity.end_session(&bob, &sessions[0].id).await);
    assert_eq!(refusal.code, "session_not_found", "those of others do not exist for him");
    house.identity.end_session(&alice, &sessions[0].id).await.unwrap();
    assert!(house.identity.authenticate(&phone).await.is_err());
    assert!(house.identity.authenticate(&token).await.is_ok());
}

#[tokio::test]
async fn nothing_secret_reaches_the_change_log() {
    let house = house().await;
    let admin = house.admin().await;
    let (token, alice) = house.join("alice@example.com", "developer").await;
    house.identity.change_password(&alice, PASSWORD.into(), "another fine password".into()).await.unwrap();
    house.identity.logout(&alice).await.unwrap();
    house.identity.delete_user(&admin, (&alice.id, Precondition::None), "gone").await.unwrap();
    let log: Vec<_> = house
        .changes()
        .await
        .into_iter()
        .filter(|one| matches!(one.id.kind, Kind::User | Kind::Session))
        .collect();
    assert!(log.len() >= 5, "{log:?}");
    let text = format!("{log:?}");
    let signature = token.rsplit('.').next().unwrap();
    for secret in [PASSWORD, "another fine", "argon2", signature, "@"] {
        let found = if secret == "@" {
            format!("{:?}", log.iter().map(|one| &one.detail).collect::<Vec<_>>()).contains('@')
        } else {
            text.contains(secret)
        };
        assert!(!found, "`{secret}` in {text}");
    }
    assert!(log.iter().all(|one| one.before.is_none() && one.after.is_none()));
}
