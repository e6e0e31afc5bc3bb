//! Guests that grow, and guests that are large from the beginning.

use flagbase_core::functions::{Artifact, Fault, PrepareError};
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use crate::world::{Function, World, hasty, settings};

/// A command with these fields, whose only function is `body`.
fn command(fields: &str, body: &str) -> Artifact {
    let text = format!("(module (memory (export \"memory\") 1) {fields} (func (export \"_start\") {body}))");
    Artifact::new("growing.wasm", wat::parse_str(text).unwrap().into())
}

/// A component with these fields that exports something, if not the right thing.
fn component(fields: &str) -> Artifact {
    let export = r#"(instance $i) (export "flagbase:faas/handler@1.0.0" (instance $i))"#;
    Artifact::new("large.wasm", wat::parse_str(format!("(component {fields} {export})")).unwrap().into())
}

/// A component with a module, and `count` instances of it.
fn instances(module: &str, count: usize) -> Artifact {
    component(&format!("(core module $m {module}) {}", "(core instance (instantiate $m))".repeat(count)))
}

/// Grows a table of one element by so many more, and gives up when that cannot be.
async fn with_table(world: &World, more: u32) -> Function {
    let grow = format!("(table.grow (ref.null func) (i32.const {more}))");
    let body = format!("(if (i32.eq {grow} (i32.const -1)) (then unreachable))");
    world.install("table", &command("(table 1 funcref)", &body), settings()).await.unwrap()
}

#[tokio::test]
async fn a_table_ends_at_the_limit() {
    let world = World::new();
    assert_eq!(with_table(&world, 99_999).await.get("/").await.unwrap().status, 200);
    let fault = with_table(&world, 100_000).await.get("/").await.unwrap_err();
    let Fault::LimitReached(why) = &fault else { panic!("{fault}") };
    assert!(why.starts_with("tables: 100001 elements"), "{why}");
}

#[tokio::test]
async fn a_gigabyte_that_is_filled_over_and_over_ends_at_the_deadline_and_neighbours_are_answered() {
    let world = World::new();
    let mut roomy = hasty();
    roomy.limits.memory = 2 << 30;
    // A gigabyte where there is room for it, and a quarter of one where address space is scarce.
    let body = "(local $size i32) (local.set $size (i32.const 0x40000000))
        (if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then
            (drop (memory.grow (i32.const 4000))) (local.set $size (i32.const 0x0fa00000))))
        (loop $again (memory.fill (i32.const 0) (i32.const 120) (local.get $size)) (br $again))";
    let filling = world.install("filling", &command("", body), roomy).await.unwrap();
    let native = world.deploy("native", settings()).await;
    let bad: FuturesUnordered<_> = (0..2).map(|_| filling.get("/")).collect();
    let good = async {
        for _ in 0..50 {
            assert_eq!(native.get("/hello").await.unwrap().status, 200);
        }
    };
    let (bad, ()) = tokio::join!(bad.collect::<Vec<_>>(), good);
    for outcome in bad {
        let fault = outcome.unwrap_err();
        assert_eq!(fault.code(), "function_timeout", "{fault}");
    }
}

#[tokio::test]
async fn components_of_more_parts_than_there_is_room_for_fail_the_deploy() {
    let world = World::new();
    for (artifact, said) in [
        (instances("", 33), "33 core module instances"),
        (instances("(memory 1)", 9), "9 Wasm linear memories"),
        (instances("(table 1 funcref) (table 1 funcref) (table 1 funcref)", 6), "18 tables"),
    ] {
        let refused = world.prepare(&artifact, &settings()).await;
        let Err(PrepareError::Rejected(why)) = refused else { panic!("{said}: {refused:?}") };
        assert!(why.contains(said), "{why}");
    }
}

#[tokio::test]
async fn modules_of_more_or_larger_tables_than_there_is_room_for_fail_the_deploy() {
    let world = World::new();
    for (tables, said) in
        [("(table 1 funcref)".repeat(5), "tables count of 5"), ("(table 100001 funcref)".into(), "100001")]
    {
        let refused = world.prepare(&command(&tables, ""), &settings()).await;
        let Err(PrepareError::Rejected(why)) = refused else { panic!("{said}: {refused:?}") };
        assert!(why.contains(said), "{why}");
    }
}
