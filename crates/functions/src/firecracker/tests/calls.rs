//! Calls: what goes in, what comes out, and what goes wrong.

use flagbase_core::functions::Event;
use jiff::Timestamp;
use serde_json::Value;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_the_function_and_its_answer_comes_back() {
    let place = Place::new();
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    let request =
        http::Request::post("/echo?x=1").header("content-type", "text/plain").body(Body::Whole("hi".into()));
    let answer = driver.serve(visit(&hello, "c-1"), request.unwrap()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert!(matches!(answer.body(), Body::Whole(bytes) if bytes == "hi"));
    let (_, seen) = get(&driver, &hello, "/inspect?a=b%20c").await.unwrap();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["target"], "/inspect?a=b%20c");
    assert_eq!(get(&driver, &hello, "/status?code=418").await.unwrap().0, 418);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_microvm_gets_its_own_identity_after_the_restore() {
    let place = Place::with(TestHome {
        secrets: Mutex::new(BTreeMap::from([("TOKEN".to_owned(), "s3cret".to_owned())])),
        ..TestHome::default()
    });
    let driver = place.open().await;
    let mut settings = patient();
    settings.variables.insert("GREETING".to_owned(), "hi".to_owned());
    let hello = place.deploy(&driver, "", settings).await;
    let sleep = get(&driver, &hello, "/sleep?ms=200");
    let (slept, first) = tokio::join!(sleep, get(&driver, &hello, "/identity"));
    slept.unwrap();
    let first: Value = serde_json::from_str(&first.unwrap().1).unwrap();
    assert_eq!(first["variables"]["GREETING"], "hi");
    assert_eq!(first["secrets"]["TOKEN"], "s3cret");
    assert_eq!((&first["environment"], &first["version"]), (&"production".into(), &1.into()));
    assert!(first["now_ms"].as_i64().unwrap() > 1_700_000_000_000);
    let other = deployed(hello.digest, hello.shape, patient());
    let other = Arc::new(Deployed { version: 2, ..(*other).clone() });
    let second: Value = serde_json::from_str(&get(&driver, &other, "/identity").await.unwrap().1).unwrap();
    assert_ne!(first["seed"], second["seed"]);
    assert_ne!(first["instance"], second["instance"]);
    assert_eq!(second["variables"].as_object().unwrap().len(), 0, "of another version");
    assert_eq!(driver.figures().boots(), 1, "only for the snapshot");
    for entry in fs::read_dir(place.config.store()).unwrap() {
        let state = walk(&entry.unwrap().path());
        assert!(!state.contains("s3cret"), "a snapshot holds no secret");
    }
    driver.stop().await;
}

fn walk(path: &Path) -> String {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().map(|entry| walk(&entry.unwrap().path())).collect();
    }
    let small = fs::metadata(path).unwrap().len() < 1 << 20;
    if small { String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned() } else { String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_ticks_are_delivered_and_errors_reported() {
    let place = Place::new();
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    let event = |kind: &str| {
        Occasion::Event(Event {
            id: "e-1".to_owned(),
            subject: "orders.made".to_owned(),
            kind: kind.to_owned(),
            time: Timestamp::UNIX_EPOCH,
            content_type: "text/plain".to_owned(),
            data: "7".into(),
            attempt: 1,
        })
    };
    driver.deliver(visit(&hello, "c-1"), event("order")).await.unwrap();
    assert_eq!(place.lines_of("c-1").await[0].2, "event e-1");
    let refused = driver.deliver(visit(&hello, "c-2"), event("bad")).await.unwrap_err();
    assert_eq!(refused, Fault::Reported("status 500: no stock".to_owned()));
    let tick = Occasion::Tick { schedule: "* * * * *".into(), at: Timestamp::UNIX_EPOCH };
    driver.deliver(visit(&hello, "c-3"), tick).await.unwrap();
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_too_long_ends_and_its_microvm_with_it() {
    let place = Place::new();
    let driver = place.open().await;
    let mut settings = patient();
    settings.limits.timeout = Duration::from_millis(400);
    let hello = place.deploy(&driver, "", settings).await;
    let fault = get(&driver, &hello, "/hang").await.unwrap_err();
    assert_eq!(fault, Fault::TimedOut(Duration::from_millis(400)));
    eventually(|| place.places() == 0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_microvm_that_dies_is_a_trap_and_its_console_is_logged() {
    let place = Place::new();
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    let fault = get(&driver, &hello, "/die").await.unwrap_err();
    assert_eq!(fault, Fault::Trapped("its microVM ended while it answered".to_owned()));
    let told = || place.home.lines.lock().iter().any(|(_, _, _, text)| text.contains("Kernel panic"));
    eventually(told).await;
    assert_eq!(driver.figures().deaths(), 1);
    assert_eq!(get(&driver, &hello, "/").await.unwrap().1, "hello", "the next call gets another one");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_refuses_and_what_breaks_off_are_faults() {
    let place = Place::new();
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    let fault = get(&driver, &hello, "/fault?word=exited").await.unwrap_err();
    assert_eq!(fault, Fault::Trapped("the agent says so".to_owned()));
    let fault = get(&driver, &hello, "/cut").await.unwrap_err();
    assert_eq!(fault, Fault::Trapped("the connection to its microVM broke off".to_owned()));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_limits_both_ways() {
    let place = Place::new();
    let driver = place.open().await;
    let mut settings = patient();
    settings.limits.request_body = 10;
    settings.limits.response_body = 1000;
    let hello = place.deploy(&driver, "", settings).await;
    let request = http::Request::post("/echo").body(Body::Whole(vec![0; 11].into())).unwrap();
    let fault = driver.serve(visit(&hello, "c-1"), request).await.unwrap_err();
    assert_eq!(fault.code(), "body_too_large");
    assert_eq!(driver.figures().restores(), 0, "no microVM was needed to say so");
    let fault = get(&driver, &hello, "/big?bytes=1001").await.unwrap_err();
    assert_eq!(fault, Fault::LimitReached("its answer is larger than 1000 bytes".to_owned()));
    assert_eq!(get(&driver, &hello, "/big?bytes=1000").await.unwrap().1.len(), 1000);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_belong_to_their_call_and_are_limited() {
    let place = Place::new();
    let driver = place.open().await;
    let mut settings = patient();
    settings.limits.log = 20;
    let hello = place.deploy(&driver, "", settings).await;
    get(&driver, &hello, "/log?stream=stderr&text=watch").await.unwrap();
    let lines = place.lines_of("/log?stream=stderr&text=watch").await;
    assert_eq!(lines, [(Level::Warn, Stream::Stderr, "watch".to_owned())]);
    let long = "/log?text=far-more-than-twenty-bytes";
    get(&driver, &hello, long).await.unwrap();
    let lines = place.lines_of(long).await;
    assert_eq!((lines[0].0, lines[0].1), (Level::Warn, Stream::Host));
    assert!(lines[0].2.starts_with("the log of this call is full"), "{lines:?}");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_does_not_start_says_why() {
    let place = Place::new();
    let driver = place.open().await;
    let hello = place.deploy(&driver, "init=refuse\n", patient()).await;
    let fault = get(&driver, &hello, "/").await.unwrap_err();
    assert_eq!(fault, Fault::Unstartable("the function did not begin to listen".to_owned()));
    eventually(|| place.places() == 0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_cannot_be_run_is_rejected_when_it_is_deployed() {
    let place = Place::new();
    let driver = place.open().await;
    let settings = patient();
    let prepare = |text: &'static str| {
        let artifact = Artifact::new("hello", Bytes::from_static(text.as_bytes()));
        let (driver, settings) = (&driver, &settings);
        async move { driver.prepare(&artifact, (&settings.grants, &settings.limits), &|_| {}).await.unwrap_err() }
    };
    let error = prepare("#!/bin/sh\n").await;
    assert!(matches!(&error, PrepareError::Rejected(why) if why.contains("static executable")), "{error}");
    let error = prepare("function=none\n").await;
    assert!(matches!(&error, PrepareError::Rejected(why) if why.contains("no function")), "{error}");
    let error = prepare("panic=boot\n").await;
    let PrepareError::Unavailable(source) = &error else { panic!("{error}") };
    assert!(source.to_string().contains("No working init found"), "the console says why: {source}");
    driver.stop().await;
}
