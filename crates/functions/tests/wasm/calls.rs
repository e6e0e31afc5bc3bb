//! Calls: limits, warm instances, what is left for the next one.

use std::{sync::Arc, time::Duration};

use flagbase_core::functions::{Compute as _, Deployed, Fault, Limits, Settings};
use flagbase_testkit::compute::{Guest, common, limited};

use super::{guests, place::Place};

fn warm() -> Settings {
    Settings { warm: true, ..common() }
}

fn count() -> flagbase_core::functions::Artifact {
    guests::contract(Guest::Count)
}

#[tokio::test]
async fn a_warm_instance_remembers_and_a_fresh_one_does_not() {
    let place = Place::new().await;
    let fresh = place.deploy(&count(), common()).await;
    let warm = place.deploy(&count(), warm()).await;
    for number in 1..6 {
        assert_eq!(place.get(&warm).await.unwrap(), number.to_string());
        assert_eq!(place.get(&fresh).await.unwrap(), "1");
    }
}

#[tokio::test]
async fn a_warm_instance_is_never_shared() {
    let place = Place::new().await;
    let first = place.deploy(&count(), warm()).await;
    assert_eq!(place.get(&first).await.unwrap(), "1");
    let with = |change: fn(&mut Deployed)| {
        let mut other = Deployed::clone(&first);
        change(&mut other);
        Arc::new(other)
    };
    let others = [
        with(|other| other.environment = "production".into()),
        with(|other| other.function = "other".into()),
        with(|other| other.version = 2),
        with(|other| {
            let mut settings = warm();
            settings.variables.insert("A".into(), "b".into());
            other.settings = Arc::new(settings);
        }),
    ];
    for other in others {
        assert_eq!(place.get(&other).await.unwrap(), "1", "{other:?}");
    }
}

#[tokio::test]
async fn a_function_made_again_under_the_same_name_gets_no_instance_of_the_old_one() {
    let place = Place::new().await;
    let old = place.deploy(&count(), warm()).await;
    assert_eq!(place.get(&old).await.unwrap(), "1");
    let new = place.deploy(&guests::contract(Guest::Echo), warm()).await;
    assert_eq!((&old.function, old.version), (&new.function, new.version));
    assert_eq!(place.get(&new).await.unwrap(), "GET /\n");
}

#[tokio::test]
async fn an_instance_that_failed_is_given_up() {
    let place = Place::new().await;
    let third = guests::handler(
        r"(i32.store (i32.const 200) (i32.add (i32.load (i32.const 200)) (i32.const 1)))
           (if (i32.eq (i32.load (i32.const 200)) (i32.const 3)) (then unreachable))
           (i32.store8 (i32.const 204) (i32.add (i32.const 48) (i32.load (i32.const 200))))
           (call $answer (i32.const 200) (i32.const 204) (i32.const 1))",
    );
    let third = place.deploy(&third, warm()).await;
    assert_eq!(place.get(&third).await.unwrap(), "1");
    assert_eq!(place.get(&third).await.unwrap(), "2");
    assert!(matches!(place.get(&third).await, Err(Fault::Trapped(_))));
    assert_eq!(place.get(&third).await.unwrap(), "1", "a fresh one");
}

#[tokio::test]
async fn memory_of_the_instance_before_cannot_be_read() {
    let place = Place::new().await;
    // Looks for anything in the last half of its memory, then fills it.
    let spy = guests::handler(
        r"(local.set $at (i32.const 65536))
           (loop $next
             (local.set $size (i32.or (local.get $size) (i32.load (local.get $at))))
             (local.set $at (i32.add (local.get $at) (i32.const 4)))
             (br_if $next (i32.lt_u (local.get $at) (i32.const 131072))))
           (memory.fill (i32.const 65536) (i32.const 0xaa) (i32.const 65536))
           (if (memory.grow (i32.const 16)) (then))
           (memory.fill (i32.const 131072) (i32.const 0xbb) (i32.const 1048576))
           (call $answer (select (i32.const 500) (i32.const 200) (local.get $size)) (i32.const 0) (i32.const 0))",
    );
    let spy = place.deploy(&spy, common()).await;
    let request = || http::Request::get("/").body(flagbase_core::functions::Body::Empty).unwrap();
    for _ in 0..200 {
        let answer = place.wasm.serve(flagbase_testkit::compute::visit(&spy), request()).await.unwrap();
        assert_eq!(answer.status(), 200, "something was left");
    }
}

#[tokio::test]
async fn a_call_without_end_is_a_limit_of_the_stack() {
    let place = Place::new().await;
    let deep = guests::component(
        "export flagbase:faas/handler@1.0.0;",
        r#"(func $deeper (param i32) (result i32)
             (i32.add (i32.const 1) (call $deeper (i32.add (local.get 0) (i32.const 1)))))
           (func (export "flagbase:faas/handler@1.0.0#handle") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
             (call $deeper (i32.const 0)))"#,
    );
    let deep = place.deploy(&deep, common()).await;
    assert!(matches!(place.get(&deep).await, Err(Fault::LimitReached(why)) if why.contains("stack")));
}

#[tokio::test]
async fn what_is_refused_is_named_with_what_there_is() {
    let place = Place::new().await;
    let settings = limited(Limits { memory: 32 << 20, ..Limits::default() });
    let memory = place.deploy(&guests::contract(Guest::Memory), settings).await;
    match place.get(&memory).await {
        Err(Fault::LimitReached(why)) => assert!(why.contains("memory") && why.contains("33554432"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn where_it_broke_is_in_its_log_and_not_in_the_answer() {
    let place = Place::new().await;
    let trap = guests::component(
        "export flagbase:faas/handler@1.0.0;",
        r#"(func $read_the_order unreachable)
           (func (export "flagbase:faas/handler@1.0.0#handle") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
             (call $read_the_order) (i32.const 0))"#,
    );
    let trap = place.deploy(&trap, common()).await;
    let fault = place.get(&trap).await.unwrap_err();
    assert!(!fault.to_string().contains("read_the_order"), "{fault}");
    let log = place.log().join("\n");
    assert!(log.contains("read_the_order"), "{log}");
}

#[tokio::test]
async fn when_every_place_is_taken_the_next_call_is_told_at_once() {
    let cache = Arc::new(tempfile::tempdir().unwrap());
    let place = Place::with(cache, |config| config.instances = 4).await;
    let limits = Limits { timeout: Duration::from_secs(2), ..Limits::default() };
    let endless = place.deploy(&guests::contract(Guest::Loop), limited(limits)).await;
    let calls = (0..8).map(|_| place.get(&endless));
    let ended = futures_util::future::join_all(calls).await;
    let exhausted = ended.iter().filter(|ended| **ended == Err(Fault::Exhausted)).count();
    let timed_out = ended.iter().filter(|ended| matches!(ended, Err(Fault::TimedOut(_)))).count();
    assert!(exhausted >= 1 && exhausted + timed_out == 8, "{ended:?}");
    let echo = place.deploy(&guests::contract(Guest::Echo), common()).await;
    assert_eq!(place.get(&echo).await.unwrap(), "GET /\n", "and the places come back");
}
