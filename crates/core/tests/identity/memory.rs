//! The request path's memory of verified callers: quick, and never a moment too long.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flagbase_core::{
    accounts::{Accounts as _, UserRef},
    identity::{Credentials, UserPatch},
    permissions::Permission,
    refusal::{Class, Precondition},
};
use flagbase_testkit::Memory;
use tokio::sync::Semaphore;

use crate::{
    house::{PASSWORD, house, house_on, refused},
    slow::Slow,
};

#[tokio::test]
async fn a_verified_token_is_remembered_and_nonsense_is_not() {
    let house = house().await;
    let (token, caller) = house.join("alice@example.com", "developer").await;
    assert!(Arc::ptr_eq(&house.identity.cached(&token).unwrap(), &caller));
    let known = house.identity.remembered();
    for number in 0..1000 {
        let forged = format!("{token}{number}");
        assert!(house.identity.cached(&forged).is_none());
        assert_eq!(refused(house.identity.authenticate(&forged).await).class, Class::Unauthenticated);
    }
    assert_eq!(house.identity.remembered(), known, "a flood of forged tokens leaves no trace");
}

#[tokio::test]
async fn a_demotion_acts_on_the_next_request() {
    let house = house().await;
    let admin = house.admin().await;
    let (token, before) = house.join("alice@example.com", "developer").await;
    assert!(house.may(&before, "default").allow(Permission::FlagUpdate));
    let patch = UserPatch { role: Some("user".into()), ..UserPatch::default() };
    house.identity.update_user(&admin, (&before.id, Precondition::None), patch, "").await.unwrap();
    assert!(house.identity.cached(&token).is_none());
    let after = house.identity.authenticate(&token).await.unwrap();
    assert_eq!(&*after.role, "user");
    assert!(!house.may(&after, "default").allow(Permission::FlagUpdate));
}

#[tokio::test]
async fn logging_out_disabling_resetting_and_deleting_act_on_the_next_request() {
    let house = house().await;
    let admin = house.admin().await;
    for (number, act) in ["logout", "disable", "password", "end", "delete"].into_iter().enumerate() {
        let email = format!("{number}@example.com");
        let (token, caller) = house.join(&email, "developer").await;
        assert!(house.identity.cached(&token).is_some());
        let id = (&*caller.id, Precondition::None);
        let patch = |disabled, password: Option<&str>| UserPatch {
            disabled,
            password: password.map(str::to_owned),
            ..UserPatch::default()
        };
        match act {
            "logout" => house.identity.logout(&caller).await.unwrap(),
            "disable" => {
                drop(house.identity.update_user(&admin, id, patch(Some(true), None), "").await.unwrap());
            }
            "password" => {
                drop(
                    house
                        .identity
                        .update_user(&admin, id, patch(None, Some("a brand new one")), "")
                        .await
                        .unwrap(),
                );
            }
            "end" => house.identity.end_sessions(&admin, &caller.id, "").await.unwrap(),
            _ => house.identity.delete_user(&admin, id, "").await.unwrap(),
        }
        assert!(house.identity.cached(&token).is_none(), "{act}");
        assert_eq!(refused(house.identity.authenticate(&token).await).code, "session_ended", "{act}");
    }
}

#[tokio::test]
async fn enabling_again_does_not_bring_old_sessions_back() {
    let house = house().await;
    let admin = house.admin().await;
    let (token, caller) = house.join("alice@example.com", "user").await;
    for disabled in [true, false] {
        let patch = UserPatch { disabled: Some(disabled), ..UserPatch::default() };
        house.identity.update_user(&admin, (&caller.id, Precondition::None), patch, "").await.unwrap();
        let told = house.login("alice@example.com", PASSWORD).await;
        assert_eq!(told.is_err(), disabled);
    }
    assert!(house.identity.authenticate(&token).await.is_err());
}

#[tokio::test]
async fn a_disabled_account_is_told_so_only_to_whoever_knows_its_password() {
    let house = house().await;
    let admin = house.admin().await;
    let (_, caller) = house.join("alice@example.com", "user").await;
    let patch = UserPatch { disabled: Some(true), ..UserPatch::default() };
    house.identity.update_user(&admin, (&caller.id, Precondition::None), patch, "").await.unwrap();
    assert_eq!(refused(house.login("alice@example.com", "wrong password").await).code, "invalid_credentials");
    assert_eq!(refused(house.login("alice@example.com", PASSWORD).await).code, "user_disabled");
}

#[tokio::test]
async fn a_token_ends_with_its_time_also_when_it_is_remembered() {
    let house = house().await;
    let (token, _) = house.join("alice@example.com", "user").await;
    house.clock.advance_seconds(86_399);
    assert!(house.identity.cached(&token).is_some());
    house.clock.advance_seconds(1);
    assert!(house.identity.cached(&token).is_none());
    assert_eq!(refused(house.identity.authenticate(&token).await).code, "token_expired");
}

#[tokio::test]
async fn a_verification_that_read_the_old_user_is_worth_nothing_after_the_change() {
    let memory = Memory::new();
    let (read, let_go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow = Slow { inner: memory.clone(), read: Arc::clone(&read), let_go: Arc::clone(&let_go) };
    let house = house_on(memory, Arc::new(slow), |_| {}).await;
    let_go.add_permits(100);
    let admin = house.admin().await;
    house.register("alice@example.com", Some("developer")).await.unwrap();
    let login = house.login("alice@example.com", PASSWORD).await.unwrap();
    let_go.forget_permits(let_go.available_permits());
    read.forget_permits(read.available_permits());

    let late = house.identity.authenticate(&login.token);
    let demotion = async {
        read.acquire().await.unwrap().forget();
        let patch = UserPatch { role: Some("user".into()), ..UserPatch::default() };
        house.identity.update_user(&admin, (&login.user.id, Precondition::None), patch, "").await.unwrap();
        let_go.add_permits(100);
    };
    let (seen, ()) = tokio::join!(late, demotion);
    assert_eq!(&*seen.unwrap().role, "developer", "it had read the user before the change");
    assert!(house.identity.cached(&login.token).is_none(), "and so it must not be remembered");
    assert_eq!(&*house.identity.authenticate(&login.token).await.unwrap().role, "user");
    assert!(house.identity.cached(&login.token).is_some());
}

#[tokio::test]
async fn a_login_that_proved_the_old_password_gets_no_session_of_the_new_one() {
    let memory = Memory::new();
    let (read, let_go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow = Slow { inner: memory.clone(), read: Arc::clone(&read), let_go: Arc::clone(&let_go) };
    let house = house_on(memory.clone(), Arc::new(slow), |_| {}).await;
    house.register("alice@example.com", None).await.unwrap();
    house.clock.advance_seconds(1);
    let reset = async {
        // The password was proven, and the login is about to begin its session.
        read.acquire().await.unwrap().forget();
        let credentials =
            Credentials { email: "alice@example.com".into(), password: "set by an administrator".into() };
        house.identity.reset_password(credentials).await.unwrap();
        let_go.add_permits(100);
    };
    let (login, ()) = tokio::join!(house.login("alice@example.com", PASSWORD), reset);
    assert_eq!(refused(login).code, "user_changed");
    let user = memory.user(UserRef::Email("alice@example.com")).await.unwrap().unwrap();
    assert!(memory.sessions(&user.id, house.feed.clock().now()).await.unwrap().is_empty());
    assert!(house.login("alice@example.com", "set by an administrator").await.is_ok());
}

#[tokio::test]
async fn a_token_that_claims_to_last_longer_than_its_session_does_not() {
    let house = house().await;
    house.register("alice@example.com", Some("developer")).await.unwrap();
    let login = house.login("alice@example.com", PASSWORD).await.unwrap();
    let part = |at: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(login.token.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
    };
    let mut claims = part(1);
    claims["exp"] = (login.expires_at.as_second() + 10_000_000).into();
    let header = jsonwebtoken::Header {
        kid: Some(part(0)["kid"].as_str().unwrap().to_owned()),
        ..jsonwebtoken::Header::default()
    };
    let key = jsonwebtoken::EncodingKey::from_secret(b"thirty-two bytes of some secret!");
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    let caller = house.identity.authenticate(&token).await.unwrap();
    assert_eq!(caller.expires_at, Some(login.expires_at));
    house.clock.advance_seconds(24 * 3600);
    assert!(house.identity.cached(&token).is_none());
    assert_eq!(refused(house.identity.authenticate(&token).await).code, "session_ended");
}
