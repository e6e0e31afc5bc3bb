//! From code to something that runs, and what is kept of it.

use std::{fmt::Write as _, fs, sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::{
    blobs::Blobs as _,
    functions::{Artifact, Body, Compute as _, Fault, Grants, Limits, PrepareError, Step},
};
use flagbase_testkit::compute::{Guest, common, visit};
use parking_lot::Mutex;

use super::{guests, place::Place};

pub(super) async fn prepare(place: &Place, artifact: &Artifact) -> Result<(), PrepareError> {
    let settings = common();
    place.wasm.prepare(artifact, (&settings.grants, &settings.limits), &|_| {}).await.map(drop)
}

fn echo() -> Artifact {
    guests::contract(Guest::Echo)
}

#[tokio::test]
async fn people_are_told_what_is_being_done() {
    let place = Place::new().await;
    let told = Mutex::new(Vec::new());
    let tell = |step: Step| told.lock().push(step.doing);
    let settings = common();
    place.wasm.prepare(&echo(), (&settings.grants, &settings.limits), &tell).await.unwrap();
    let told = told.into_inner();
    assert_eq!(told.first().unwrap(), "looking at the code");
    assert!(told.contains(&"compiling".to_owned()), "{told:?}");
    assert_eq!(told.last().unwrap(), "ready");
}

#[tokio::test]
async fn code_is_compiled_once_and_loaded_by_the_next_process() {
    let place = Place::new().await;
    let echo = place.deploy(&echo(), common()).await;
    let written = fs::metadata(&place.compiled()[0]).unwrap().modified().unwrap();
    place.wasm.stop().await;
    // The compiler is gone, and so is the code: only what is on disk can answer.
    let next = Place::with(Arc::clone(&place.cache), |config| {
        config.compile.program = Some("/nonexistent".into());
    })
    .await;
    assert_eq!(next.get(&echo).await.unwrap(), "GET /\n");
    assert_eq!(fs::metadata(&place.compiled()[0]).unwrap().modified().unwrap(), written);
}

#[tokio::test]
async fn code_that_was_tampered_with_is_built_again() {
    let place = Place::new().await;
    let artifact = echo();
    let echo = place.deploy(&artifact, common()).await;
    place
        .blobs
        .put(
            &format!("functions/{}", artifact.digest.hex()),
            flagbase_testkit::blobs::whole(artifact.bytes.clone()),
        )
        .await
        .unwrap();
    let path = place.compiled().remove(0);
    let whole = fs::read(&path).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let next = Place::with(Arc::clone(&place.cache), |_| {}).await;
        next.blobs
            .put(
                &format!("functions/{}", artifact.digest.hex()),
                flagbase_testkit::blobs::whole(artifact.bytes.clone()),
            )
            .await
            .unwrap();
        assert_eq!(next.get(&echo).await.unwrap(), "GET /\n");
        assert_ne!(fs::read(&path).unwrap(), bytes);
    }
}

#[tokio::test]
async fn one_build_is_enough_for_all_who_wait() {
    let place = Place::new().await;
    let artifact = echo();
    let echo = place.deploy(&artifact, common()).await;
    place.wasm.retain(&|_| false).await;
    assert_eq!(place.compiled().len(), 0);
    place
        .blobs
        .put(&format!("functions/{}", artifact.digest.hex()), flagbase_testkit::blobs::whole(artifact.bytes))
        .await
        .unwrap();
    let asks = (0..20).map(|_| place.get(&echo));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.unwrap(), "GET /\n");
    }
    assert_eq!(place.compiled().len(), 1);
}

/// Many variables that live over many branches: hard work for whoever assigns registers.
pub(super) fn bomb(size: usize) -> Artifact {
    let mut text = format!("(module (memory 1) (func (export \"_start\") (local{})", " i32".repeat(size));
    for at in 0..size {
        let _ = write!(text, "(local.set {at} (i32.load (i32.const {})))", at * 4);
    }
    for at in 0..size * 2 {
        let _ = write!(
            text,
            "(if (i32.load (i32.const {at})) (then (local.set {} (i32.load (i32.const {}))))) ",
            at % size,
            at + 7
        );
    }
    for at in 0..size {
        let _ = write!(text, "(i32.store (i32.const {}) (local.get {at}))", at * 4);
    }
    text.push_str("))");
    Artifact::new("bomb.wasm", wat::parse_str(&text).unwrap().into())
}

#[tokio::test]
async fn a_compiler_that_takes_too_long_is_killed_and_says_so() {
    let cache = Arc::new(tempfile::tempdir().unwrap());
    let place = Place::with(cache, |config| config.compile.timeout = Duration::from_secs(1)).await;
    let told = Mutex::new(Vec::new());
    let tell = |step: Step| told.lock().push(step.doing);
    let settings = common();
    let error =
        place.wasm.prepare(&bomb(6000), (&settings.grants, &settings.limits), &tell).await.unwrap_err();
    // Of processor time as a rule; on a machine with other things to do, twice that by the wall is over sooner.
    let why = error.to_string();
    let is_slow = why.contains("1 s of processor time") || why.contains("2 s of wall time");
    assert!(matches!(error, PrepareError::TooMuch(_)) && is_slow, "{why}");
    assert!(told.into_inner().iter().any(|doing| doing.contains("once more")));
    assert_eq!(place.compiled().len(), 0);
}

#[tokio::test]
async fn a_compiler_that_does_nothing_is_killed_by_the_wall_clock_and_the_sentence_says_so() {
    let cache = Arc::new(tempfile::tempdir().unwrap());
    let place = Place::with(cache, |config| {
        // It takes no processor time, so that only another clock can end it.
        config.compile.program = Some("/bin/sh".into());
        config.compile.arguments = vec!["-c".into(), "exec sleep 600".into()];
        config.compile.timeout = Duration::from_millis(150);
    })
    .await;
    let error = prepare(&place, &echo()).await.unwrap_err();
    assert!(matches!(&error, PrepareError::TooMuch(why) if why.contains("0.3 s of wall time")), "{error:?}");
}

#[tokio::test]
async fn a_compiler_that_needs_too_much_memory_ends_and_says_so() {
    let cache = Arc::new(tempfile::tempdir().unwrap());
    let place = Place::with(cache, |config| config.compile.memory = 24 << 20).await;
    let error = prepare(&place, &bomb(3000)).await.unwrap_err();
    assert!(matches!(&error, PrepareError::TooMuch(why) if why.contains("24 MiB")), "{error:?}");
}

#[tokio::test]
async fn code_that_is_no_good_is_refused_in_words() {
    let place = Place::new().await;
    let bad = wat::parse_str("(module (func (export \"_start\") (drop (i32.add (i32.const 1)))))").unwrap();
    let error = prepare(&place, &Artifact::new("bad.wasm", bad.into())).await.unwrap_err();
    assert!(matches!(&error, PrepareError::Rejected(why) if why.contains("cannot be compiled")), "{error:?}");

    // The right name, and something else under it.
    let fake = r#"(component (import "flagbase:faas/log@1.0.0" (instance (export "write" (func (param "a" u8)))))
        (instance $i) (export "flagbase:faas/handler@1.0.0" (instance $i)))"#;
    let fake = Artifact::new("fake.wasm", wat::parse_str(fake).unwrap().into());
    let error = prepare(&place, &fake).await.unwrap_err();
    assert!(matches!(&error, PrepareError::Rejected(_)), "{error:?}");
}

#[tokio::test]
async fn code_that_begins_with_more_memory_than_it_may_have_is_refused_when_it_is_deployed() {
    let place = Place::new().await;
    let limits = Limits { memory: 64 << 10, ..Limits::default() };
    let error = place.wasm.prepare(&echo(), (&Grants::default(), &limits), &|_| {}).await.unwrap_err();
    assert!(matches!(&error, PrepareError::TooMuch(why) if why.contains("`memory`")), "{error:?}");
}

#[tokio::test]
async fn code_larger_than_the_server_takes_is_refused() {
    let cache = Arc::new(tempfile::tempdir().unwrap());
    let place = Place::with(cache, |config| config.most_code = 100).await;
    let error = prepare(&place, &Artifact::new("a.wasm", Bytes::from(vec![0; 101]))).await.unwrap_err();
    assert!(matches!(error, PrepareError::TooMuch(_)), "{error:?}");
}

#[tokio::test]
async fn without_a_compiler_nothing_is_deployed_and_nothing_breaks() {
    let cache = Arc::new(tempfile::tempdir().unwrap());
    let place = Place::with(cache, |config| config.compile.program = Some("/nonexistent".into())).await;
    assert!(matches!(prepare(&place, &echo()).await, Err(PrepareError::Unavailable(_))));
}

#[tokio::test]
async fn a_stopped_driver_starts_again_when_it_is_asked() {
    let place = Place::new().await;
    let echo = place.deploy(&echo(), common()).await;
    place.wasm.stop().await;
    assert_eq!(place.get(&echo).await.unwrap(), "GET /\n");
    place.wasm.stop().await;
    place.wasm.stop().await;
}

#[tokio::test]
async fn more_versions_than_fit_are_loaded_in_turns() {
    let cache = Arc::new(tempfile::tempdir().unwrap());
    let place = Place::with(cache, |config| config.loaded = 2).await;
    let mut all = Vec::new();
    for status in 200..205 {
        let artifact =
            guests::handler(&format!("(call $answer (i32.const {status}) (i32.const 0) (i32.const 0))"));
        all.push((status, place.deploy(&artifact, common()).await));
    }
    for _ in 0..2 {
        for (status, deployed) in &all {
            let request = http::Request::get("/").body(Body::Empty).unwrap();
            let answer = place.wasm.serve(visit(deployed), request).await.unwrap();
            assert_eq!(answer.status().as_u16(), *status);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_at_all_cannot_be_started() {
    let place = Place::new().await;
    let artifact = echo();
    let echo = place.deploy(&artifact, common()).await;
    place.wasm.retain(&|_| false).await;
    assert!(matches!(place.get(&echo).await, Err(Fault::Unstartable(why)) if why.contains("gone")));
}
