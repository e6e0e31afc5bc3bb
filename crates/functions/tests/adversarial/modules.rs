//! Code that is bad before it runs.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use flagbase_core::functions::{Artifact, Grants, PrepareError, Settings};
use flagbase_testkit::SeededRandom;

use crate::world::{CLOSED, World, guest, hasty, settings};

fn artifact(bytes: impl Into<Bytes>) -> Artifact {
    Artifact::new("bad.wasm", bytes.into())
}

/// A module with one function of so many locals that all live over twice as many branches: small to write, and more
/// work to compile than anybody has time for.
fn bomb(locals: usize) -> Artifact {
    use std::fmt::Write as _;
    let mut text = "(module (func (export \"_start\") (param i32)".to_owned();
    text.push_str(&" (local i32)".repeat(locals));
    for at in 1..=locals {
        let _ = write!(text, " local.get 0 i32.const {at} i32.add local.set {at}");
    }
    for at in 1..=2 * locals {
        let local = 1 + at % locals;
        let _ =
            write!(text, " local.get {local} if local.get {local} local.get 0 i32.add local.set {local} end");
    }
    for at in 1..=locals {
        let _ = write!(text, " local.get {at} drop local.get {at} local.get 0 i32.add local.set 0");
    }
    text.push_str("))");
    artifact(wat::parse_str(text).unwrap())
}

#[tokio::test]
async fn what_is_no_code_is_refused_with_a_sentence() {
    let world = World::new();
    for bytes in
        [&b""[..], b"hello", b"\0asm", b"\0asm\x01\0\0\0\x01\xff", b"\x7fELF\x02\x01\x01", &[0xff; 4096]]
    {
        let refused = world.prepare(&artifact(bytes.to_vec()), &settings()).await;
        assert!(matches!(refused, Err(PrepareError::Rejected(_))), "{bytes:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_module_of_a_hundred_megabytes_is_too_much() {
    let world = World::new();
    let refused = world.compute_only(&artifact(vec![0; 100 << 20])).await;
    assert!(matches!(refused, Err(PrepareError::TooMuch(_))), "{refused:?}");
}

#[tokio::test]
async fn a_bomb_for_compilers_goes_off_where_it_hurts_nobody() {
    let world = World::with(CLOSED, 8, Duration::from_secs(1));
    let native = world.deploy("native", settings()).await;
    let refused = world.prepare(&bomb(3000), &settings()).await;
    assert!(matches!(refused, Err(PrepareError::TooMuch(_) | PrepareError::Rejected(_))), "{refused:?}");
    assert_eq!(native.get("/hello").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_import_that_is_not_granted_fails_the_deploy_and_says_which() {
    let world = World::new();
    let mut settings = settings();
    settings.grants = Grants { flags: true, ..Grants::default() };
    let refused = world.prepare(&guest("misbehaving"), &settings).await;
    let Err(PrepareError::Rejected(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("flagbase:faas/"), "{why}");
    let refused = world.prepare(&guest("caller"), &settings).await;
    let Err(PrepareError::Rejected(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("wasi:http/outgoing-handler"), "{why}");
}

#[tokio::test]
async fn an_import_that_nobody_has_fails_the_deploy() {
    let text = "(module (import \"env\" \"system\" (func (param i32))) (memory (export \"memory\") 1) \
                (func (export \"_start\")))";
    let refused = World::new().prepare(&artifact(wat::parse_str(text).unwrap()), &settings()).await;
    assert!(matches!(refused, Err(PrepareError::Rejected(_))), "{refused:?}");
}

#[tokio::test]
async fn a_module_that_wants_more_memory_than_there_is_fails_the_deploy_or_the_call() {
    let text = "(module (memory (export \"memory\") 65536) (func (export \"_start\")))";
    let world = World::new();
    match world.install("greedy", &artifact(wat::parse_str(text).unwrap()), hasty()).await {
        Err(PrepareError::Rejected(_) | PrepareError::TooMuch(_)) => {}
        Err(other) => panic!("{other:?}"),
        Ok(greedy) => assert!(greedy.get("/").await.is_err()),
    }
}

#[tokio::test]
async fn mutations_of_good_code_break_nothing_but_themselves() {
    let world = World::new();
    let (native, random) = (guest("native"), SeededRandom::new(41));
    let mut accepted = 0;
    for round in 0..40 {
        let mut bytes = native.bytes.to_vec();
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[at] ^= 1 << random.below(8);
        }
        let name = format!("mutant-{round}");
        let Ok(mutant) = world.install(&name, &artifact(bytes), hasty()).await else { continue };
        accepted += 1;
        let _ = mutant.get("/hello").await;
    }
    assert!(accepted < 40, "not one mutation was noticed");
    let native = world.deploy("native", settings()).await;
    assert_eq!(native.get("/hello").await.unwrap().status, 200);
}

#[tokio::test]
async fn compiled_code_is_never_taken_from_outside() {
    let world = World::new();
    world.deploy("native", settings()).await;
    let compiled = kept(world.home.path());
    assert!(!compiled.is_empty());
    for path in &compiled {
        let refused = world.prepare(&artifact(std::fs::read(path).unwrap()), &settings()).await;
        assert!(matches!(refused, Err(PrepareError::Rejected(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn compiled_code_that_was_touched_is_made_anew() {
    let world = World::new();
    world.deploy("native", settings()).await;
    world.deploy("proxy", settings()).await;
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
        |bytes: &mut Vec<u8>| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        |bytes: &mut Vec<u8>| *bytes = b"something else".to_vec(),
    ] {
        for path in kept(world.home.path()) {
            let mut bytes = std::fs::read(&path).unwrap();
            damage(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
        // Nothing stays in memory, so what is on disk is read again.
        world.compute_retain_none().await;
        let native = world.deploy("native", settings()).await;
        assert_eq!(native.get("/hello").await.unwrap().text(), "Hello from a function.\n");
    }
}

/// Files of the cache that hold code.
fn kept(home: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![home.join("cache")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if std::fs::metadata(&path).unwrap().len() > 4096 {
                found.push(path);
            }
        }
    }
    found
}

impl World {
    async fn compute_only(&self, artifact: &Artifact) -> Result<(), PrepareError> {
        use flagbase_core::functions::Compute as _;
        let Settings { grants, limits, .. } = settings();
        self.compute.prepare(artifact, (&grants, &limits), &|_| {}).await.map(drop)
    }

    async fn compute_retain_none(&self) {
        use flagbase_core::functions::Compute as _;
        self.compute.stop().await;
    }
}
