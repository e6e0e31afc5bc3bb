//! How the first administrator comes to be.

use flagbase_core::{
    accounts::{Accounts as _, UserRef},
    identity::{Credentials, Origin},
    refusal::Class,
};

use crate::house::{House, PASSWORD, credentials, house, refused};

async fn set_up(house: &House, token: &str, email: &str) -> Result<String, flagbase_core::refusal::Refusal> {
    let login = house.identity.set_up(token, credentials(email), &Origin::default()).await?;
    Ok(login.token)
}

#[tokio::test]
async fn whoever_registers_first_is_no_administrator() {
    let house = house().await;
    house.register("alice@example.com", None).await.unwrap();
    assert!(house.identity.needs_setup().await.unwrap());
}

#[tokio::test]
async fn the_setup_token_makes_one_administrator_who_is_logged_in() {
    let house = house().await;
    let token = house.identity.setup_token().await.unwrap().token;
    let session = set_up(&house, &token, "alice@example.com").await.unwrap();
    let caller = house.identity.authenticate(&session).await.unwrap();
    assert_eq!(&*caller.role, "admin");
    assert!(!house.identity.needs_setup().await.unwrap());
    assert_eq!(refused(set_up(&house, &token, "bob@example.com").await).code, "setup_done");
    assert_eq!(refused(house.identity.setup_token().await).code, "setup_done");
}

#[tokio::test]
async fn what_fails_leaves_the_setup_token_good() {
    let house = house().await;
    house.register("taken@example.com", None).await.unwrap();
    let token = house.identity.setup_token().await.unwrap().token;
    let weak = Credentials { email: "alice@example.com".into(), password: "12345678".into() };
    let refusal = refused(house.identity.set_up(&token, weak, &Origin::default()).await);
    assert_eq!(refusal.class, Class::Invalid);
    assert_eq!(refused(set_up(&house, &token, "no address").await).class, Class::Invalid);
    assert_eq!(refused(set_up(&house, &token, "taken@example.com").await).code, "user_exists");
    assert!(set_up(&house, &token, "alice@example.com").await.is_ok());
}

#[tokio::test]
async fn only_the_last_token_is_good_and_not_for_ever() {
    let house = house().await;
    let first = house.identity.setup_token().await.unwrap().token;
    let second = house.identity.setup_token().await.unwrap().token;
    for wrong in ["", "nonsense", &first] {
        let refusal = refused(set_up(&house, wrong, "alice@example.com").await);
        assert_eq!((refusal.class, refusal.code), (Class::Unauthenticated, "invalid_setup_token"));
    }
    house.clock.advance_seconds(1800);
    assert_eq!(refused(set_up(&house, &second, "alice@example.com").await).code, "invalid_setup_token");
    assert!(house.memory.user(UserRef::Email("alice@example.com")).await.unwrap().is_none());
}

#[tokio::test]
async fn of_two_who_race_with_the_same_token_one_wins() {
    let house = house().await;
    let token = house.identity.setup_token().await.unwrap().token;
    let (a, b) =
        tokio::join!(set_up(&house, &token, "a@example.com"), set_up(&house, &token, "b@example.com"));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
    let mut admins = 0;
    for email in ["a@example.com", "b@example.com"] {
        admins += usize::from(house.memory.user(UserRef::Email(email)).await.unwrap().is_some());
    }
    assert_eq!(admins, 1);
}

#[tokio::test]
async fn on_the_machine_itself_administrators_are_made_and_passwords_reset() {
    let house = house().await;
    house.identity.create_admin(credentials("admin@example.com")).await.unwrap();
    assert_eq!(
        refused(house.identity.create_admin(credentials("admin@example.com")).await).code,
        "user_exists"
    );
    let (token, _) = house.enter("admin@example.com").await;
    for _ in 0..5 {
        refused(house.login("admin@example.com", "wrong password").await);
    }
    let new = Credentials { email: "Admin@example.com".into(), password: "a brand new one".into() };
    house.identity.reset_password(new.clone()).await.unwrap();
    assert!(house.identity.authenticate(&token).await.is_err(), "its sessions have ended");
    assert!(house.login("admin@example.com", &new.password).await.is_ok(), "and its lock is gone");
    assert!(house.login("admin@example.com", PASSWORD).await.is_err());
    let nobody = Credentials { email: "nobody@example.com".into(), password: "a brand new one".into() };
    assert_eq!(refused(house.identity.reset_password(nobody).await).code, "user_not_found");
}
