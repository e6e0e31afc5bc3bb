//! JavaScript and TypeScript, from the source to the answer.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use flagbase_core::{
    blobs::Blobs as _,
    functions::{
        Artifact, Compute as _, Fault, Grants, Occasion, PrepareError, Serves, Settings, Shape, Step,
    },
};
use flagbase_functions::wasm::WasmConfig;
use flagbase_testkit::compute::{common, event, visit};
use parking_lot::Mutex;

use super::place::Place;

const HELLO: &str = "
    let calls = 0;
    export default {
        fetch(request) { return new Response(`${request.method} ${new URL(request.url).pathname} ${++calls}`); },
        async event(event) { if (event.data !== undefined && (await event.text?.()) === 'bad') throw new Error('no'); },
    };";

/// What runs JavaScript is compiled once for all tests.
static CACHE: LazyLock<Arc<tempfile::TempDir>> = LazyLock::new(|| Arc::new(tempfile::tempdir().unwrap()));

async fn place() -> Place {
    Place::with(Arc::clone(&CACHE), |_| {}).await
}

fn script(name: &str, text: &str) -> Artifact {
    Artifact::new(name, bytes::Bytes::copy_from_slice(text.as_bytes()))
}

#[tokio::test]
async fn a_source_is_deployed_and_answers() {
    let place = place().await;
    let artifact = script("hello.js", HELLO);
    let settings = common();
    let prepared =
        place.wasm.prepare(&artifact, (&settings.grants, &settings.limits), &|_| {}).await.unwrap();
    assert_eq!(prepared.shape, Shape::JavaScript);
    assert!(prepared.serves.contains(&Serves::Requests), "{prepared:?}");
    assert!(!prepared.serves.contains(&Serves::Schedules), "{prepared:?}");
    let again = place.wasm.prepare(&artifact, (&settings.grants, &settings.limits), &|_| {}).await.unwrap();
    assert_eq!(again, prepared, "also when it was built before");
    let hello = place.deploy(&artifact, common()).await;
    for _ in 0..3 {
        assert_eq!(place.get(&hello).await.unwrap(), "GET / 1", "a fresh instance each time");
    }
    let warm = place.deploy(&artifact, Settings { warm: true, ..common() }).await;
    assert_eq!(place.get(&warm).await.unwrap(), "GET / 1");
    assert_eq!(place.get(&warm).await.unwrap(), "GET / 2", "the same instance again");
}

#[tokio::test]
async fn a_source_is_built_again_from_what_was_uploaded() {
    let place = Place::new().await;
    let text = "const hi: string = 'hi'; export default { fetch(): Response { return new Response(hi); } };";
    let artifact = script("hello.ts", text);
    let hello = place.deploy(&artifact, common()).await;
    place.wasm.retain(&|_| false).await;
    let name = format!("functions/{}", artifact.digest.hex());
    place.blobs.put(&name, flagbase_testkit::blobs::whole(artifact.bytes)).await.unwrap();
    assert_eq!(place.get(&hello).await.unwrap(), "hi");
}

#[tokio::test]
async fn what_is_wrong_with_a_source_is_said_with_its_place() {
    let place = place().await;
    let settings = common();
    for (text, word) in [("export default {", "hello.js"), ("throw new Error('at the top');", "at the top")] {
        let terms = (&settings.grants, &settings.limits);
        let error = place.wasm.prepare(&script("hello.js", text), terms, &|_| {}).await.unwrap_err();
        assert!(matches!(&error, PrepareError::Rejected(why) if why.contains(word)), "{error:?}");
    }
}

#[tokio::test]
async fn a_top_level_without_an_end_is_ended_and_named_as_what_it_is() {
    // What runs JavaScript takes longer to compile than the time that is left to the script.
    place().await.deploy(&script("fine.js", HELLO), common()).await;
    let brief = |config: &mut WasmConfig| config.compile.timeout = Duration::from_secs(4);
    let place = Place::with(Arc::clone(&CACHE), brief).await;
    let settings = common();
    let told = Mutex::new(Vec::new());
    let tell = |step: Step| told.lock().push(step.doing);
    let terms = (&settings.grants, &settings.limits);
    let endless = script("endless.js", "while (true) {}\nexport default () => new Response('never');");
    let error = place.wasm.prepare(&endless, terms, &tell).await.unwrap_err();
    let PrepareError::TooMuch(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("the top level of `endless.js` did not end within 2 s"), "{why}");
    let told = told.into_inner();
    assert!(!told.iter().any(|doing| doing.contains("once more")), "once is enough: {told:?}");
}

#[tokio::test]
async fn an_exception_is_a_fault_and_its_stack_is_in_the_log() {
    let place = place().await;
    let text =
        "export default { fetch() { return deeper(); } }; function deeper() { throw new Error('broken'); }";
    let broken = place.deploy(&script("broken.js", text), common()).await;
    assert!(matches!(place.get(&broken).await, Err(Fault::Trapped(_))));
    let log = place.log().join("\n");
    assert!(log.contains("broken") && log.contains("deeper"), "{log}");
}

#[tokio::test]
async fn what_is_not_granted_is_an_exception_that_says_so() {
    let place = place().await;
    let text = "export default { async fetch() {
        try { return await fetch('https://example.com/'); } catch (error) { return new Response(String(error)); }
    } };";
    let settings = Settings { grants: Grants::default(), ..common() };
    let denied = place.deploy(&script("outside.js", text), settings).await;
    let said = place.get(&denied).await.unwrap();
    assert!(said.contains("grant"), "{said}");
}

#[tokio::test]
async fn a_source_that_never_ends_is_stopped() {
    let place = place().await;
    let mut settings = common();
    settings.limits.timeout = std::time::Duration::from_millis(300);
    let text = "export default { fetch() { for (;;) {} } };";
    let endless = place.deploy(&script("endless.js", text), settings).await;
    assert!(matches!(place.get(&endless).await, Err(Fault::TimedOut(_))));
}

#[tokio::test]
async fn a_source_that_takes_no_events_says_so() {
    let place = place().await;
    let text = "export default { fetch() { return new Response('hi'); } };";
    let hello = place.deploy(&script("hello.js", text), common()).await;
    let ended = place.wasm.deliver(visit(&hello), Occasion::Event(event("ok"))).await;
    assert!(matches!(ended, Err(Fault::NotServed { .. } | Fault::Reported(_))), "{ended:?}");
}
