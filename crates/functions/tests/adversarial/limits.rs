//! What a guest may not do, and what stops it.

use flagbase_core::functions::{Body, Fault};

use crate::{
    own::event,
    world::{World, hasty, settings},
};

#[tokio::test]
async fn endless_work_ends_at_the_deadline() {
    let guest = World::new().deploy("misbehaving", hasty()).await;
    for path in ["/loop", "/fill", "/stdout", "/logs", "/sleep?60000"] {
        let fault = guest.get(path).await.unwrap_err();
        assert!(matches!(fault, Fault::TimedOut(_)), "{path}: {fault}");
    }
    assert!(matches!(guest.deliver(event("loop")).await, Err(Fault::TimedOut(_))));
    assert_eq!(guest.get("/").await.unwrap().text(), "fine");
}

#[tokio::test]
async fn a_nap_within_its_time_is_no_trouble() {
    let guest = World::new().deploy("misbehaving", settings()).await;
    assert_eq!(guest.get("/sleep?20").await.unwrap().text(), "fine");
}

#[tokio::test]
async fn memory_ends_at_the_limit() {
    let guest = World::new().deploy("misbehaving", settings()).await;
    let pages: u64 = guest.get("/allocate").await.unwrap().text().parse().unwrap();
    assert!(pages * (64 << 10) <= 64 << 20, "{pages}");
    assert!(pages * (64 << 10) > 32 << 20, "{pages}");
}

#[tokio::test]
async fn a_flooded_log_is_cut_off_with_a_word_about_it() {
    let guest = World::new().deploy("misbehaving", hasty()).await;
    for path in ["/stdout", "/logs"] {
        assert!(guest.get(path).await.is_err());
    }
    let lines = guest.lines();
    let size: usize = lines.iter().map(String::len).sum();
    assert!(size <= 256 << 10, "{size}");
    assert!(lines.iter().any(|line| line.contains("the log of this call ends here")));
}

#[tokio::test]
async fn what_breaks_is_told_apart_and_says_nothing_of_its_memory() {
    let guest = World::new().deploy("misbehaving", settings()).await;
    for path in ["/trap", "/divide", "/outside"] {
        let fault = guest.get(path).await.unwrap_err();
        assert!(matches!(fault, Fault::Trapped(_)), "{path}: {fault}");
        assert!(!fault.to_string().contains("0x"), "{fault}");
    }
    assert!(matches!(guest.get("/recurse").await, Err(Fault::LimitReached(_))));
    let leak = guest.get("/leak").await.unwrap_err();
    assert!(matches!(leak, Fault::LimitReached(_) | Fault::Trapped(_)), "{leak}");
    assert!(matches!(guest.deliver(event("trap")).await, Err(Fault::Trapped(_))));
}

#[tokio::test]
async fn answers_that_are_none_are_refused() {
    let guest = World::new().deploy("misbehaving", settings()).await;
    for path in ["/gigabyte", "/large", "/headers", "/split", "/status", "/text"] {
        let fault = guest.get(path).await.unwrap_err();
        let named = matches!(fault, Fault::BadAnswer(_) | Fault::LimitReached(_) | Fault::Trapped(_));
        assert!(named, "{path}: {fault}");
        assert!(fault.is_of_code(), "{path}: {fault}");
    }
}

#[tokio::test]
async fn an_error_of_megabytes_is_told_in_a_sentence() {
    let guest = World::new().deploy("misbehaving", settings()).await;
    let Err(Fault::Reported(why)) = guest.deliver(event("error")).await else { panic!("it was no error") };
    assert!(why.len() < 16 << 10, "{}", why.len());
}

#[tokio::test]
async fn a_body_that_nobody_reads_stops_nothing() {
    let guest = World::new().deploy("misbehaving", settings()).await;
    let body = Body::Whole(vec![b'x'; 1 << 20].into());
    assert_eq!(guest.post("/", body).await.unwrap().text(), "fine");
}

#[tokio::test]
async fn time_is_coarse_and_chance_is_not() {
    let guest = World::new().deploy("misbehaving", settings()).await;
    assert_eq!(guest.get("/clock").await.unwrap().text(), "coarse");
    let (one, other) = (guest.get("/random").await.unwrap(), guest.get("/random").await.unwrap());
    assert_ne!(one.text(), other.text());
}
