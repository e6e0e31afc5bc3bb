//! Deploying, promoting, rolling back, deleting.

use std::sync::Arc;

use bytes::Bytes;
use flagbase_core::{
    catalog::{Catalog as _, DocumentId, Kind, Page},
    functions::{Body, Definition, Digest, Functions, FunctionsParts, Invocation, Outcome, Upload, view},
    refusal::{Class, Precondition},
};
use flagbase_testkit::{FakeCompute, MemoryBlobs};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{asks, caller, product};

#[tokio::test]
async fn the_first_deployment_makes_the_function_and_later_ones_its_versions() {
    let product = product().await;
    let steps = Mutex::new(Vec::new());
    let developer = caller("developer");
    let upload = Upload {
        file: "hello.fake",
        code: Body::Whole(FakeCompute::script("say one").bytes),
        promote: true,
        note: "the first",
    };
    let tell = |step: flagbase_core::functions::Step| steps.lock().push(step.doing);
    let first = product.functions.deploy(asks(&developer), "hello", upload, &tell).await.unwrap();
    assert!(first.new && first.version.number == 1);
    assert_eq!(first.version.created_by, "developer@example.com");
    assert_eq!((first.version.file.as_str(), first.version.note.as_str()), ("hello.fake", "the first"));
    assert_eq!(*steps.lock(), ["storing", "compiling"]);
    let second = product.deploy("say two", false).await.unwrap();
    assert!(!second.new && second.version.number == 2);
    assert_eq!(second.document.body["current"], 1, "not promoted");
    product.promote(2).await.unwrap();
    let shown = view(&second.document);
    assert_eq!(shown["revision"], json!(second.document.revision));
    assert_eq!(product.hello().await["current"], 2);
    let id = DocumentId::new(Kind::Function, "default", "hello");
    let verbs: Vec<_> = product.memory.history(&id, None, 9).await.unwrap();
    let verbs: Vec<_> = verbs.iter().rev().map(|change| change.verb.as_str()).collect();
    assert_eq!(verbs, ["created", "deployed", "promoted"], "one change each");
}

#[tokio::test]
async fn the_same_bytes_make_a_new_version_of_the_same_code() {
    let product = product().await;
    let first = product.deploy("say same", true).await.unwrap();
    let second = product.deploy("say same", true).await.unwrap();
    assert_eq!(first.version.digest, second.version.digest);
    assert_eq!(second.version.number, 2);
    assert_eq!(product.stored_code().await, 1);
}

#[tokio::test]
async fn code_that_is_refused_leaves_everything_as_it_was() {
    let product = product().await;
    product.deploy("say one", true).await.unwrap();
    let before = product.hello().await;
    for (script, word) in [("import secrets", "secrets"), ("import outbound\nsay hi", "outbound")] {
        let refusal = product.deploy(script, true).await.unwrap_err();
        assert_eq!((refusal.class, refusal.code), (Class::Invalid, "code_rejected"));
        assert!(refusal.message.contains(word), "{refusal}");
    }
    let developer = caller("developer");
    let code = |bytes: &'static [u8]| Upload {
        file: "x",
        code: Body::Whole(Bytes::from_static(bytes)),
        promote: true,
        note: "",
    };
    let refused = product.functions.deploy(asks(&developer), "hello", code(b"no script"), &|_| {}).await;
    assert_eq!(refused.unwrap_err().code, "code_rejected");
    let empty = product.functions.deploy(asks(&developer), "hello", code(b""), &|_| {}).await.unwrap_err();
    assert!(empty.message.contains("empty"), "{empty}");
    let large = Upload { code: Body::Whole(vec![b'x'; (1 << 20) + 1].into()), ..code(b"") };
    let large = product.functions.deploy(asks(&developer), "hello", large, &|_| {}).await.unwrap_err();
    assert_eq!(large.code, "body_too_large");
    let name = product.deploy_as("Hello!", "say one", true).await.unwrap_err();
    assert_eq!(name.faults[0].pointer, "/name");
    assert_eq!(product.hello().await, before);
    assert_eq!(product.stored_code().await, 4, "what was refused is still there");
    assert_eq!(product.functions.sweep().await.unwrap(), Some(3), "until it is swept away");
    assert_eq!(product.stored_code().await, 1);
}

#[tokio::test]
async fn only_those_who_may_change_functions_do() {
    let product = product().await;
    product.deploy("say one", true).await.unwrap();
    let user = caller("user");
    let code = Body::Whole(FakeCompute::script("say two").bytes);
    let upload = Upload { file: "", code, promote: true, note: "" };
    let refused = product.functions.deploy(asks(&user), "hello", upload, &|_| {}).await.unwrap_err();
    assert_eq!(refused.class, Class::Forbidden);
    for refused in [
        product.functions.promote(asks(&user), ("hello", 1), Precondition::None).await.map(drop),
        product.functions.delete(asks(&user), "hello", Precondition::None).await,
        product.functions.get(&user, "default", "hello").await.map(drop),
        product.functions.logs(&user, "default", "hello", Default::default()).map(drop),
        product.functions.invoke(&user, "default", ("hello", None), request()).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().class, Class::Forbidden);
    }
}

fn request() -> Invocation {
    Invocation::Request(http::Request::get("/").body(Bytes::new()).unwrap())
}

#[tokio::test]
async fn rolling_back_goes_to_the_version_before_and_then_to_the_one_before_that() {
    let product = product().await;
    let developer = caller("developer");
    for script in ["say one", "say two", "say three"] {
        product.deploy(script, true).await.unwrap();
    }
    let back = |number| product.functions.roll_back(asks(&developer), ("hello", number), Precondition::None);
    assert_eq!(back(None).await.unwrap().body["current"], 2);
    assert_eq!(back(None).await.unwrap().body["current"], 1);
    let refusal = back(None).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code), (Class::Conflict, "nothing_before"));
    for words in ["before version 1", "there is 2, 3"] {
        assert!(refusal.message.contains(words), "{refusal}");
    }
    product.promote(3).await.unwrap();
    assert_eq!(back(Some(2)).await.unwrap().body["current"], 2);
    let unknown = back(Some(9)).await.unwrap_err();
    assert_eq!(unknown.code, "version_not_found");
    assert!(unknown.message.contains("1, 2, 3"), "{unknown}");
    let stale = product.functions.promote(asks(&developer), ("hello", 1), Precondition::Match(1)).await;
    assert_eq!(stale.unwrap_err().class, Class::Stale);
}

#[tokio::test]
async fn a_version_that_something_names_stays() {
    let product = product().await;
    for script in ["say one", "say two", "say three", "say four"] {
        product.deploy(script, false).await.unwrap();
    }
    product.promote(1).await.unwrap();
    product.put_behind_flag().await;
    let developer = caller("developer");
    let route = json!({"path": "/x", "function": "hello@3"});
    product.routes.register(asks(&developer), &route).await.unwrap();
    let delete =
        |number| product.functions.delete_version(asks(&developer), ("hello", number), Precondition::None);
    for (number, word) in [(1, "current"), (2, "flag `next`"), (3, "route")] {
        let refusal = delete(number).await.unwrap_err();
        assert_eq!(refusal.class, Class::Conflict);
        assert!(refusal.message.contains(word), "{number}: {refusal}");
    }
    delete(4).await.unwrap();
    assert_eq!(delete(4).await.unwrap_err().class, Class::NotFound);
    assert_eq!(
        product.deploy("say four", false).await.unwrap().version.number,
        5,
        "numbers are not used twice"
    );
    let refusal = product.functions.delete(asks(&developer), "hello", Precondition::None).await.unwrap_err();
    assert_eq!(refusal.code, "function_in_use");
}

#[tokio::test]
async fn of_a_hundred_versions_the_oldest_that_nothing_names_makes_room() {
    let product = product().await;
    product.deploy("say 0", true).await.unwrap();
    for number in 1..=101 {
        product.deploy(&format!("say {number}"), false).await.unwrap();
    }
    let function = Definition::from_stored(&product.hello().await).unwrap();
    let numbers: Vec<u32> = function.versions.iter().map(|version| version.number).collect();
    assert_eq!(numbers.len(), 100);
    assert_eq!(&numbers[..2], [1, 4], "the current one stays, 2 and 3 went");
    assert_eq!(product.functions.sweep().await.unwrap(), Some(2));
}

#[tokio::test]
async fn code_comes_back_as_it_was_uploaded() {
    let product = product().await;
    let deployment = product.deploy("say hello", true).await.unwrap();
    let developer = caller("developer");
    let download = product.functions.code(&developer, "default", ("hello", 1)).await.unwrap();
    assert_eq!((download.file.as_str(), download.digest), ("script.fake", deployment.version.digest));
    let size = download.reading.size;
    let bytes = Body::Stream(download.reading.bytes, Some(size)).collect(1000).await.unwrap();
    assert_eq!(Digest::of(&bytes), download.digest);
    let missing = product.functions.code(&developer, "default", ("hello", 2)).await.err().unwrap();
    assert_eq!(missing.class, Class::NotFound);
}

#[tokio::test]
async fn sweeping_keeps_what_any_function_names_and_waits_for_deployments() {
    let product = product().await;
    let kept = product.deploy("say kept", true).await.unwrap().version.digest;
    product.deploy_as("other", "say kept", true).await.unwrap();
    let gone = product.deploy_as("other", "say gone", false).await.unwrap().version.digest;
    assert!(product.compute.keeps(&kept) && product.compute.keeps(&gone));
    let developer = caller("developer");
    product.functions.delete(asks(&developer), "other", Precondition::None).await.unwrap();
    assert_eq!(product.functions.sweep().await.unwrap(), Some(1));
    assert!(product.compute.keeps(&kept) && !product.compute.keeps(&gone));
    let page = Page { limit: 9, ..Page::default() };
    assert_eq!(product.functions.list(&developer, "default", page).await.unwrap().len(), 1);
}

#[tokio::test]
async fn any_version_can_be_called_by_hand() {
    let product = product().await;
    product.deploy("say one", true).await.unwrap();
    product.deploy("trap", false).await.unwrap();
    product.put_behind_flag().await;
    let developer = caller("developer");
    let invoke = |number| product.functions.invoke(&developer, "default", ("hello", number), request());
    let invoked = invoke(Some(1)).await.unwrap();
    let Ok(Outcome::Answered(answer)) = invoked.outcome else { panic!("no answer") };
    assert_eq!((invoked.version, answer.body().as_ref()), (1, &b"one"[..]));
    let invoked = invoke(None).await.unwrap();
    assert_eq!(invoked.version, 2, "the one that a developer gets");
    assert_eq!(invoked.outcome.unwrap_err().code(), "function_failed");
    assert!(invoked.logs.iter().any(|line| line.message.contains("failed")), "{:?}", invoked.logs);
    assert_eq!(invoke(Some(7)).await.unwrap_err().class, Class::NotFound);
    let metrics = product.functions.metrics(&developer, "default", "hello").unwrap();
    let shown: Vec<Value> = metrics.iter().map(|it| serde_json::to_value(it).unwrap()).collect();
    assert_eq!((&shown[0]["version"], &shown[0]["outcomes"]["ok"]), (&json!(1), &json!(1)));
    assert_eq!((&shown[1]["version"], &shown[1]["outcomes"]["trapped"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn what_is_taken_away_while_code_is_built_is_not_granted_to_it() {
    let product = product().await;
    let developer = caller("developer");
    let granted = json!({"grants": {"secrets": true}});
    product.functions.put(asks(&developer), "hello", &granted, Precondition::None).await.unwrap();
    let taken = Mutex::new(false);
    let tell = |step: flagbase_core::functions::Step| {
        if step.doing == "compiling" && !std::mem::replace(&mut *taken.lock(), true) {
            let patched = product.patch(json!({"grants": {"secrets": false}})).now_or_never();
            patched.unwrap().unwrap();
        }
    };
    let code = Body::Whole(FakeCompute::script("import secrets").bytes);
    let upload = Upload { file: "", code, promote: true, note: "" };
    let refusal = product.functions.deploy(asks(&developer), "hello", upload, &tell).await.unwrap_err();
    assert_eq!(refusal.code, "code_rejected");
    assert_eq!(product.compute.prepared(), 2, "checked against what is granted now");
    assert!(product.hello().await["versions"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn without_room_for_the_code_nothing_is_deployed() {
    let product = product().await;
    let functions = Functions::new(FunctionsParts {
        feed: Arc::clone(&product.feed),
        blobs: Arc::new(MemoryBlobs::with_room_for(3)),
        runner: Arc::clone(&product.runner),
        most_code: 1000,
    });
    let developer = caller("developer");
    let code = Body::Whole(FakeCompute::script("say one").bytes);
    let upload = Upload { file: "", code, promote: true, note: "" };
    let refusal = functions.deploy(asks(&developer), "hello", upload, &|_| {}).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code), (Class::Unavailable, "storage_full"));
    let missing = functions.get(&developer, "default", "hello").await.unwrap_err();
    assert_eq!(missing.class, Class::NotFound);
}
