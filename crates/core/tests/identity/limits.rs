//! What keeps guessing from paying.

use std::net::IpAddr;

use flagbase_core::{
    identity::{Credentials, Origin, Register},
    refusal::Class,
};
use futures_util::future::join_all;

use crate::house::{PASSWORD, credentials, house, house_with, refused};

#[tokio::test]
async fn after_so_many_failures_an_address_waits_whether_it_exists_or_not() {
    let house = house().await;
    house.register("alice@example.com", None).await.unwrap();
    let mut answers = Vec::new();
    for email in ["alice@example.com", "nobody@example.com"] {
        let before = house.reach();
        for _ in 0..5 {
            assert_eq!(refused(house.login(email, "wrong password").await).class, Class::Unauthenticated);
        }
        let locked = refused(house.login(email, PASSWORD).await);
        assert_eq!((locked.class, locked.code), (Class::Limited, "too_many_attempts"));
        answers.push((locked.message.clone(), locked.retry_after.unwrap(), house.reach() - before));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].2, 5, "a locked address costs no hash");

    house.clock.advance_seconds(i64::try_from(answers[0].1.as_secs()).unwrap());
    assert!(
        house.login("alice@example.com", PASSWORD).await.is_ok(),
        "whoever waits as told and knows it comes in"
    );
    assert!(house.login("alice@example.com", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn the_wait_grows_with_every_further_failure() {
    let house = house().await;
    let mut waits = Vec::new();
    for _ in 0..5 {
        refused(house.login("alice@example.com", "wrong password").await);
    }
    for _ in 0..4 {
        let wait = refused(house.login("alice@example.com", "wrong password").await).retry_after.unwrap();
        waits.push(wait.as_secs());
        house.clock.advance_seconds(i64::try_from(wait.as_secs()).unwrap());
        assert_eq!(
            refused(house.login("alice@example.com", "wrong password").await).class,
            Class::Unauthenticated
        );
    }
    assert_eq!(waits, [2, 3, 5, 9]);
}

#[tokio::test]
async fn one_client_cannot_try_all_addresses() {
    let house = house().await;
    let origin =
        |address: &str| Origin { address: Some(address.parse::<IpAddr>().unwrap()), client: String::new() };
    let attempt = |number: u32, address: &str| {
        // Too long to be hashed, so that the test is quick: it counts all the same.
        let credentials = Credentials { email: format!("{number}@example.com"), password: "x".repeat(2000) };
        let (identity, origin) = (&house.identity, origin(address));
        async move { refused(identity.login(credentials, &origin).await) }
    };
    for number in 0..50 {
        assert_eq!(attempt(number, "192.0.2.1").await.class, Class::Unauthenticated);
    }
    let limited = attempt(50, "192.0.2.1").await;
    assert_eq!(limited.class, Class::Limited);
    assert!(limited.retry_after.is_some());
    assert_eq!(attempt(51, "192.0.2.2").await.class, Class::Unauthenticated);
    let ask = Register { credentials: credentials("new@example.com"), role: None, invitation: None };
    let registration = house.identity.register(ask, &origin("192.0.2.1")).await;
    assert_eq!(refused(registration).class, Class::Limited, "registrations count as well");
}

#[tokio::test]
async fn more_logins_than_can_wait_are_turned_away() {
    let house = house_with(|config| (config.hash_concurrency, config.hash_queue) = (1, 1)).await;
    let emails: Vec<_> = (0..10).map(|number| format!("{number}@example.com")).collect();
    let answers = join_all(emails.iter().map(|email| house.login(email, "wrong password"))).await;
    let codes: Vec<_> = answers.into_iter().map(|answer| refused(answer).code).collect();
    assert_eq!(codes.iter().filter(|code| **code == "invalid_credentials").count(), 2);
    assert_eq!(codes.iter().filter(|code| **code == "too_many_logins").count(), 8);
}

#[tokio::test]
async fn absurd_credentials_are_refused_without_work() {
    let house = house().await;
    for (email, password) in
        [("a".repeat(10_000), PASSWORD.to_owned()), ("a@example.com".to_owned(), "x".repeat(10_000))]
    {
        assert_eq!(refused(house.login(&email, &password).await).code, "invalid_credentials");
    }
    assert_eq!(house.reach(), 0);
}
