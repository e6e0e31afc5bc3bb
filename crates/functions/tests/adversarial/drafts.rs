//! The drafts of WASI, as guests of other hosts use them.

use flagbase_core::functions::{Grants, PrepareError};

use crate::world::{World, guest, settings};

#[tokio::test]
async fn both_drafts_of_key_value_stores_keep_the_same_things() {
    let drafts = World::new().deploy("drafts", settings()).await;
    let first = drafts.get("/first?default").await.unwrap();
    assert_eq!(first.text(), "one=1 two=0 sum=5 keys=2 many=1,0");
    let second = drafts.get("/second").await.unwrap();
    assert_eq!(second.text(), "once=0 twice=1 sum=-3 now=after");
    assert_eq!(drafts.get("/first?somebody-elses").await.unwrap().text(), "denied");
}

#[tokio::test]
async fn configuration_is_the_functions_variables() {
    let drafts = World::new().deploy("drafts", settings()).await;
    assert_eq!(drafts.get("/config").await.unwrap().text(), "hi missing=1 all=1");
}

#[tokio::test]
async fn a_logged_line_is_one_of_the_function() {
    let drafts = World::new().deploy("drafts", settings()).await;
    assert_eq!(drafts.get("/log").await.unwrap().status, 204);
    assert_eq!(drafts.lines(), ["a line"]);
}

#[tokio::test]
async fn messages_go_where_it_is_granted_and_nowhere_else() {
    let world = World::new();
    let drafts = world.deploy("drafts", settings()).await;
    assert_eq!(drafts.get("/message?orders.created").await.unwrap().text(), "sent");
    assert_eq!(drafts.get("/message?mail.sent").await.unwrap().text(), "denied");
    assert_eq!(drafts.get("/message?flagbase.flag.updated").await.unwrap().text(), "denied");
    assert_eq!(*world.reach.sent.0.lock(), [("orders.created".to_owned(), b"seven".to_vec())]);
}

#[tokio::test]
async fn containers_are_buckets() {
    let drafts = World::new().deploy("drafts", settings()).await;
    assert_eq!(drafts.get("/objects?pictures").await.unwrap().text(), "kept=1 part=234 before=1 after=0");
    assert_eq!(drafts.get("/objects?somebody-elses").await.unwrap().status, 403);
}

#[tokio::test]
async fn a_draft_needs_the_grant_of_what_it_stands_for() {
    let world = World::new();
    for (grants, missing) in [
        (Grants { keyvalue: vec![], ..settings().grants }, "wasi:keyvalue"),
        (Grants { buckets: vec![], ..settings().grants }, "wasi:blobstore"),
        (Grants { publish: vec![], ..settings().grants }, "wasi:messaging"),
    ] {
        let mut settings = settings();
        settings.grants = grants;
        let refused = world.prepare(&guest("drafts"), &settings).await;
        let Err(PrepareError::Rejected(why)) = refused else { panic!("{missing}: {refused:?}") };
        assert!(why.contains(missing), "{why}");
    }
}
