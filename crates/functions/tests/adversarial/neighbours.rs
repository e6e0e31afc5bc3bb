//! Many guests at once, and what one sees of another.

use std::{sync::Arc, time::Duration};

use flagbase_core::functions::Fault;
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use crate::world::{CLOSED, Function, World, hasty, settings};

fn alias(function: &Function, name: &str) -> Function {
    let mut deployed = (*function.deployed).clone();
    deployed.function = name.into();
    Function { world: function.world.clone(), deployed: Arc::new(deployed) }
}

#[tokio::test]
async fn a_thousand_sleepers_fill_the_pool_and_nobody_hangs() {
    let world = World::with(CLOSED, 32, Duration::from_mins(1));
    let mut patient = settings();
    patient.limits.timeout = Duration::from_secs(3);
    let sleeper = world.deploy("misbehaving", patient).await;
    let calls: FuturesUnordered<_> = (0..1000).map(|_| sleeper.get("/sleep?600000")).collect();
    let outcomes: Vec<_> = calls.collect().await;
    let count = |wanted: fn(&Fault) -> bool| {
        outcomes.iter().filter(|outcome| outcome.as_ref().is_err_and(wanted)).count()
    };
    let asleep = count(|fault| matches!(fault, Fault::TimedOut(_)));
    let turned_away = count(|fault| matches!(fault, Fault::Exhausted));
    assert!((1..=32).contains(&asleep), "{asleep}");
    assert_eq!(asleep + turned_away, 1000);
    assert_eq!(sleeper.get("/").await.unwrap().text(), "fine");
}

#[tokio::test]
async fn ten_thousand_calls_at_once_are_answered_or_turned_away() {
    let world = World::with(CLOSED, 64, Duration::from_mins(1));
    let native = world.deploy("native", settings()).await;
    let calls: FuturesUnordered<_> = (0..10_000).map(|_| native.get("/hello")).collect();
    let outcomes: Vec<_> = calls.collect().await;
    let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let turned_away = outcomes.iter().filter(|outcome| matches!(outcome, Err(Fault::Exhausted))).count();
    assert_eq!(answered + turned_away, 10_000);
    assert!(answered > 0);
}

#[tokio::test]
async fn neighbours_of_those_who_loop_are_answered() {
    let world = World::new();
    let looping = world.deploy("misbehaving", hasty()).await;
    let native = world.deploy("native", settings()).await;
    let bad: FuturesUnordered<_> = (0..8).map(|_| looping.get("/loop")).collect();
    let good = async {
        for _ in 0..50 {
            assert_eq!(native.get("/hello").await.unwrap().status, 200);
        }
    };
    let (bad, ()) = tokio::join!(bad.collect::<Vec<_>>(), good);
    assert!(bad.iter().all(|outcome| matches!(outcome, Err(Fault::TimedOut(_)))), "{bad:?}");
}

#[tokio::test]
async fn nothing_of_an_instance_is_left_for_the_next_one() {
    // One place, so that everybody gets the same memory.
    let world = World::with(CLOSED, 1, Duration::from_mins(1));
    let guest = world.deploy("misbehaving", settings()).await;
    let other = alias(&guest, "other");
    for _ in 0..20 {
        assert_eq!(guest.get("/remember").await.unwrap().text(), "written");
        assert_eq!(guest.get("/look").await.unwrap().text(), "nothing");
        assert_eq!(guest.get("/remember").await.unwrap().text(), "written");
        assert_eq!(other.get("/look").await.unwrap().text(), "nothing");
    }
}

#[tokio::test]
async fn a_warm_instance_is_nobody_elses_and_a_broken_one_is_nobodys() {
    let world = World::new();
    let mut warm = settings();
    warm.warm = true;
    let guest = world.deploy("misbehaving", warm).await;
    let other = alias(&guest, "other");
    assert_eq!(guest.get("/remember").await.unwrap().text(), "written");
    assert_eq!(other.get("/look").await.unwrap().text(), "nothing");
    assert!(guest.get("/trap").await.is_err());
    assert_eq!(guest.get("/").await.unwrap().text(), "fine");
}

#[tokio::test]
async fn a_secret_belongs_to_its_function() {
    let world = World::new();
    world.reach.secrets.put("misbehaving", "token", "s3cret");
    let guest = world.deploy("misbehaving", settings()).await;
    assert_eq!(guest.get("/secret?token").await.unwrap().text(), "s3cret");
    let other = alias(&guest, "other");
    let answer = other.get("/secret?token").await.unwrap();
    assert_eq!((answer.status, answer.text()), (404, ""));
    // A version whose grants were taken away gets nothing, even while its code is still loaded.
    let mut without = (*guest.deployed).clone();
    let mut settings = settings();
    settings.grants.secrets = false;
    without.settings = Arc::new(settings);
    let without = Function { world: world.clone(), deployed: Arc::new(without) };
    match without.get("/secret?token").await {
        Ok(answer) => assert_ne!(answer.text(), "s3cret"),
        Err(fault) => assert!(matches!(fault, Fault::Unstartable(_)), "{fault}"),
    }
}

#[tokio::test]
async fn stores_are_those_that_are_granted() {
    let guest = World::new().deploy("misbehaving", settings()).await;
    assert_eq!(guest.get("/keyvalue?default").await.unwrap().text(), "1");
    assert_eq!(guest.get("/keyvalue?default").await.unwrap().text(), "2");
    assert_eq!(guest.get("/keyvalue?somebody-elses").await.unwrap().status, 403);
}
