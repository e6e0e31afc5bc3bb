//! The life of microVMs: restored, used again, spare, drained, ended.

use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_microvm_is_used_again_until_it_has_taken_its_calls() {
    let mut place = Place::new();
    place.config.calls = 3;
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(get(&driver, &hello, "/count").await.unwrap().1);
    }
    assert_eq!(counts, ["1", "2", "3", "1"]);
    assert_eq!((driver.figures().boots(), driver.figures().restores()), (1, 2));
    driver.stop().await;
    assert_eq!(place.places(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_at_a_time_unless_the_function_is_warm() {
    let place = Place::new();
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    let both = tokio::join!(get(&driver, &hello, "/sleep?ms=300"), get(&driver, &hello, "/sleep?ms=300"));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(driver.figures().restores(), 2);
    let warm = Settings { warm: true, ..patient() };
    let warm = Arc::new(Deployed { version: 2, settings: Arc::new(warm), ..(*hello).clone() });
    get(&driver, &warm, "/").await.unwrap();
    let both = tokio::join!(get(&driver, &warm, "/sleep?ms=300"), get(&driver, &warm, "/sleep?ms=300"));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(driver.figures().restores(), 3);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_at_once_are_all_answered() {
    let place = Place::new();
    let driver = Arc::new(place.open().await);
    let mut settings = patient();
    settings.limits.concurrency = 12;
    let hello = place.deploy(&driver, "", settings).await;
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let (driver, hello) = (Arc::clone(&driver), Arc::clone(&hello));
        calls.spawn(async move { get(&driver, &hello, "/sleep?ms=5").await.unwrap().0 });
    }
    assert!(calls.join_all().await.into_iter().all(|status| status == 200));
    assert!(driver.figures().restores() <= 12, "no more than may run at once");
    assert_eq!((driver.figures().boots(), driver.figures().deaths()), (1, 0));
    driver.stop().await;
    assert_eq!(place.places(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_when_the_queue_is_full_is_told_so() {
    let place = Place::new();
    let driver = Arc::new(place.open().await);
    let mut settings = patient();
    (settings.limits.concurrency, settings.limits.queue) = (1, 1);
    let hello = place.deploy(&driver, "", settings).await;
    let mut calls = JoinSet::new();
    for _ in 0..6 {
        let (driver, hello) = (Arc::clone(&driver), Arc::clone(&hello));
        calls.spawn(async move { get(&driver, &hello, "/sleep?ms=400").await });
    }
    let answers = calls.join_all().await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(Fault::Busy { running: 1, .. }))).count();
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(busy + served, 6, "{answers:?}");
    assert!(busy >= 1 && served >= 2, "{answers:?}");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spare_microvms_wait_without_an_identity() {
    let mut place = Place::new();
    place.config.pool = 2;
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    get(&driver, &hello, "/").await.unwrap();
    let pool = driver.fleet.only();
    eventually(|| pool.counts() == (2, 1)).await;
    assert_eq!(driver.figures().restores(), 3);
    let (slow, fast) = tokio::join!(get(&driver, &hello, "/sleep?ms=300"), get(&driver, &hello, "/count"));
    assert!(slow.is_ok());
    assert_eq!(fast.unwrap().1, "1", "a spare one took the second call");
    driver.stop().await;
    assert_eq!(place.places(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_microvms_end_and_give_everything_back() {
    let mut place = Place::new();
    place.config.idle = Duration::from_millis(200);
    place.config.pool = 1;
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    get(&driver, &hello, "/").await.unwrap();
    eventually(|| place.places() == 0).await;
    let notes = || fs::read_dir(place.directory.path().join("notes")).unwrap().count();
    eventually(|| notes() == 0).await;
    assert_eq!(fs::read_dir(place.config.cgroups.join("flagbase")).unwrap().count(), 0);
    assert_eq!(get(&driver, &hello, "/").await.unwrap().1, "hello");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_end_before_their_microvm_does() {
    let place = Place::new();
    let driver = Arc::new(place.open().await);
    let hello = place.deploy(&driver, "", patient()).await;
    get(&driver, &hello, "/").await.unwrap();
    let slow = {
        let (driver, hello) = (Arc::clone(&driver), Arc::clone(&hello));
        async move { get(&driver, &hello, "/sleep?ms=400").await }
    };
    let changed = async {
        // The call has begun: its microVM is not free any more.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut settings = patient();
        settings.variables.insert("NEW".to_owned(), "1".to_owned());
        let new = Arc::new(Deployed { settings: Arc::new(settings), ..(*hello).clone() });
        get(&driver, &new, "/identity").await
    };
    let (slow, changed) = tokio::join!(slow, changed);
    assert_eq!(slow.unwrap().1, "slept");
    assert!(changed.unwrap().1.contains(r#""NEW":"1""#), "new settings mean a new microVM");
    eventually(|| place.places() == 1).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_change_mean_a_new_microvm() {
    let place = Place::new();
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    for (value, calls) in [("one", "1"), ("two", "1"), ("two", "2")] {
        place.home.secrets.lock().insert("TOKEN".to_owned(), value.to_owned());
        assert_eq!(get(&driver, &hello, "/count").await.unwrap().1, calls, "{value}");
    }
    assert!(get(&driver, &hello, "/identity").await.unwrap().1.contains(r#""TOKEN":"two""#));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_drain_is_ended_all_the_same() {
    let mut place = Place::new();
    place.config.drain = Duration::from_millis(100);
    let driver = place.open().await;
    let hello = place.deploy(&driver, "drain=never\n", patient()).await;
    get(&driver, &hello, "/").await.unwrap();
    driver.stop().await;
    assert_eq!(place.places(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_cannot_be_restored_is_made_good_by_a_boot() {
    let place = Place::new();
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    let directory = place.config.store().join(hello.digest.hex());
    let print =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
    let state = print.unwrap().join("state");
    fs::remove_file(&state).unwrap();
    fs::write(&state, "half").unwrap();
    assert_eq!(get(&driver, &hello, "/").await.unwrap().1, "hello");
    let figures = driver.figures();
    assert_eq!((figures.failed_restores(), figures.boots(), figures.restores()), (1, 2, 0));
    let again = Arc::new(Deployed { version: 2, ..(*hello).clone() });
    assert_eq!(get(&driver, &again, "/").await.unwrap().1, "hello");
    assert_eq!(
        (figures.failed_restores(), figures.boots(), figures.restores()),
        (1, 3, 1),
        "and a new snapshot"
    );
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_ends_what_has_nothing_to_do_before_it_refuses() {
    let mut place = Place::new();
    place.config.machines = 1;
    let driver = place.open().await;
    let one = place.deploy(&driver, "", patient()).await;
    let two = Arc::new(Deployed { version: 2, ..(*one).clone() });
    get(&driver, &one, "/").await.unwrap();
    assert_eq!(get(&driver, &two, "/").await.unwrap().1, "hello", "the first one had nothing to do");
    let (slow, refused) = tokio::join!(get(&driver, &two, "/sleep?ms=500"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        get(&driver, &one, "/").await
    });
    assert!(slow.is_ok());
    assert_eq!(refused, Err(Fault::Exhausted));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_jailer_everything_works_too() {
    let mut place = Place::new();
    place.config.jailer = None;
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    assert_eq!(get(&driver, &hello, "/").await.unwrap().1, "hello");
    assert_eq!(place.places(), 1);
    driver.stop().await;
    assert_eq!(place.places(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_file_system_on_a_drive_is_the_first_drive() {
    let mut place = Place::new();
    fs::write(place.directory.path().join("rootfs.img"), b"hsqs and so on").unwrap();
    place.config.rootfs = place.directory.path().join("rootfs.img");
    let driver = place.open().await;
    let hello = place.deploy(&driver, "guest=echo\n", patient()).await;
    assert_eq!(get(&driver, &hello, "/x").await.unwrap().1, "GET /x\n", "the function is on the second one");
    driver.stop().await;
}

#[tokio::test]
async fn programs_that_do_not_fit_are_refused_with_what_to_do() {
    let place = Place::new();
    let open = |config: Config| {
        let home = Arc::clone(&place.home) as Arc<dyn Home>;
        async move {
            let opened =
                Firecracker::open(config, home, (Arc::new(SystemClock), Arc::new(SystemRandom)), build).await;
            opened.err().unwrap().to_string()
        }
    };
    let missing = open(Config { binary: "/nowhere/firecracker".into(), ..place.config.clone() }).await;
    assert!(missing.contains("`/nowhere/firecracker` cannot be run"), "{missing}");
    let old = place.directory.path().join("old");
    fs::write(&old, "#!/bin/sh\necho Firecracker v1.4.0\n").unwrap();
    fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = open(Config { binary: old.clone(), ..place.config.clone() }).await;
    assert!(text.ends_with("is version 1.4.0; use 1.10.0 or a later 1.x"), "{text}");
    let text = open(Config { jailer: Some(old), ..place.config.clone() }).await;
    assert!(text.ends_with("use both of the same release"), "{text}");
}
