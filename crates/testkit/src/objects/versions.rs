//! Versions and delete markers.

use super::{
    NULL_VERSION, Object, Stores, Usage, get, hide, made, marker, note, object, remove, usage, version,
};

pub async fn versions_are_kept_hidden_and_brought_back(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let older = |object: Object| Some(Object { latest: false, ..object });
    for (name, size) in [("1", 1), ("2", 2)] {
        assert!(note(stores, &bucket, version("k", name, size)).await.freed.is_empty());
    }
    assert_eq!(get(stores, &bucket, "k", None).await, Some(version("k", "2", 2)));
    assert_eq!(get(stores, &bucket, "k", Some("1")).await, older(version("k", "1", 1)));

    let hidden = hide(stores, &bucket, marker("k", "3")).await;
    assert_eq!((hidden.object, hidden.freed.len(), hidden.changes.len()), (Some(marker("k", "3")), 0, 1));
    assert_eq!(get(stores, &bucket, "k", None).await, Some(marker("k", "3")), "the newest is a marker");
    assert_eq!(get(stores, &bucket, "k", Some("2")).await, older(version("k", "2", 2)));

    assert_eq!(remove(stores, &bucket, "k", "3").await.object, Some(marker("k", "3")));
    assert_eq!(get(stores, &bucket, "k", None).await, Some(version("k", "2", 2)), "it is back");
    assert_eq!(remove(stores, &bucket, "k", "2").await.freed, ["objects/k-2-2"]);
    assert_eq!(get(stores, &bucket, "k", None).await, Some(version("k", "1", 1)));
    remove(stores, &bucket, "k", "1").await;
    assert_eq!(get(stores, &bucket, "k", None).await, None);
    hide(stores, &bucket, marker("k", "4")).await;
    assert_eq!(get(stores, &bucket, "k", None).await, Some(marker("k", "4")), "of nothing, too");
}

pub async fn null_versions_take_each_others_place_only(stores: &Stores) {
    let bucket = made(stores, "b").await;
    note(stores, &bucket, object("k", 1)).await;
    note(stores, &bucket, version("k", "v", 2)).await;
    assert_eq!(get(stores, &bucket, "k", Some(NULL_VERSION)).await.unwrap().size, 1);
    assert_eq!(note(stores, &bucket, object("k", 3)).await.freed, ["objects/k-1"]);
    assert_eq!(get(stores, &bucket, "k", None).await, Some(object("k", 3)));
    let hidden = hide(stores, &bucket, marker("k", NULL_VERSION)).await;
    assert_eq!(hidden.freed, ["objects/k-3"], "a null marker takes the place of the null version");
    assert_eq!(get(stores, &bucket, "k", None).await, Some(marker("k", NULL_VERSION)));
    assert_eq!(get(stores, &bucket, "k", Some("v")).await.unwrap().size, 2);
    remove(stores, &bucket, "k", NULL_VERSION).await;
    assert_eq!(get(stores, &bucket, "k", None).await, Some(version("k", "v", 2)));
}

pub async fn versions_are_counted(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let counted =
        |objects, bytes, older, older_bytes| Usage { objects, bytes, older, older_bytes, ..Usage::default() };
    note(stores, &bucket, version("k", "1", 10)).await;
    note(stores, &bucket, version("k", "2", 20)).await;
    assert_eq!(usage(stores, &bucket).await, counted(1, 20, 1, 10));
    hide(stores, &bucket, marker("k", "3")).await;
    assert_eq!(usage(stores, &bucket).await, counted(0, 0, 3, 30));
    remove(stores, &bucket, "k", "1").await;
    assert_eq!(usage(stores, &bucket).await, counted(0, 0, 2, 20));
    remove(stores, &bucket, "k", "3").await;
    assert_eq!(usage(stores, &bucket).await, counted(1, 20, 0, 0));
    remove(stores, &bucket, "k", "2").await;
    assert_eq!(usage(stores, &bucket).await, Usage::default());
}
