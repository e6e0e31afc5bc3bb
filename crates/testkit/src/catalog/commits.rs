//! Writing.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use flagbase_core::catalog::{Commit, DocumentId, Draft, Expect, Kind};
use serde_json::json;
use uuid::Uuid;

use super::{NOW, body, commit, commit_as, conflict, create, delete, first, flag, notice, put, revisions};
use crate::Stores;

pub async fn a_document_reads_back_as_it_was_written(stores: &Stores) {
    let catalog = &stores.catalog;
    assert_eq!(catalog.get(&flag("dark-mode")).await.unwrap(), None);
    assert_eq!(catalog.head().await.unwrap(), 0);

    let revision = create(catalog, &flag("dark-mode"), body(1)).await;

    let document = catalog.get(&flag("dark-mode")).await.unwrap().unwrap();
    assert_eq!((revision, document.revision), (1, 1));
    assert_eq!(document.id, flag("dark-mode"));
    assert_eq!(document.body, body(1));
    assert_eq!((document.created_at, document.updated_at), (NOW, NOW));
    assert_eq!(catalog.head().await.unwrap(), 1);
}

pub async fn an_update_keeps_when_the_document_was_made(stores: &Stores) {
    let catalog = &stores.catalog;
    let revision = create(catalog, &flag("a"), body(1)).await;
    let later = NOW + jiff::SignedDuration::from_secs(60);
    let update = commit(vec![put(&flag("a"), Expect::At(revision), body(2))]);

    catalog.commit(Commit { at: later, ..update }).await.unwrap();

    let document = catalog.get(&flag("a")).await.unwrap().unwrap();
    assert_eq!((document.revision, document.body), (2, body(2)));
    assert_eq!((document.created_at, document.updated_at), (NOW, later));
}

pub async fn a_commit_answers_with_its_changes_in_order(stores: &Stores) {
    let catalog = &stores.catalog;
    create(catalog, &flag("a"), body(1)).await;
    let detail = json!({ "errors": 11 });
    let disabled =
        Draft { verb: "disabled", detail: detail.clone(), ..put(&flag("a"), Expect::At(1), body(2)) };
    let drafts = vec![disabled, put(&flag("b"), Expect::Absent, body(3))];
    let written = commit_as(drafts, 7);
    let actor = written.actor.clone();

    let changes = catalog.commit(written).await.unwrap();

    assert_eq!(revisions(&changes), [2, 3]);
    assert_eq!(changes, catalog.changes(1, 10).await.unwrap());
    let [disabled, created] = <[_; 2]>::try_from(changes).unwrap();
    assert_eq!((disabled.verb.as_str(), created.verb.as_str()), ("disabled", "created"));
    assert_eq!((disabled.id, created.id), (flag("a"), flag("b")));
    assert_eq!((disabled.before, disabled.after), (Some(body(1)), Some(body(2))));
    assert_eq!((created.before, created.after), (None, Some(body(3))));
    assert_eq!((disabled.detail, created.detail), (detail, json!(null)));
    assert_eq!((disabled.event, created.event), (Uuid::from_u128(7), Uuid::from_u128(8)));
    assert_eq!((disabled.actor, disabled.at), (actor, NOW));
    assert_eq!(disabled.reason, "because");
}

pub async fn creating_what_exists_is_a_conflict_and_changes_nothing(stores: &Stores) {
    let catalog = &stores.catalog;
    create(catalog, &flag("a"), body(1)).await;

    let again = catalog.commit(commit(vec![put(&flag("a"), Expect::Absent, body(2))])).await;

    assert_eq!(conflict(again), (flag("a"), Some(1)));
    assert_eq!(catalog.get(&flag("a")).await.unwrap().unwrap().body, body(1));
    assert_eq!(catalog.head().await.unwrap(), 1);
}

pub async fn a_stale_revision_is_a_conflict_that_names_the_current_one(stores: &Stores) {
    let catalog = &stores.catalog;
    create(catalog, &flag("a"), body(1)).await;
    catalog.commit(commit(vec![put(&flag("a"), Expect::At(1), body(2))])).await.unwrap();

    let stale = catalog.commit(commit(vec![put(&flag("a"), Expect::At(1), body(3))])).await;
    assert_eq!(conflict(stale), (flag("a"), Some(2)));
    let stale = catalog.commit(commit(vec![delete(&flag("a"), Expect::At(1))])).await;
    assert_eq!(conflict(stale), (flag("a"), Some(2)));

    assert_eq!(catalog.get(&flag("a")).await.unwrap().unwrap().body, body(2));
    assert_eq!(catalog.changes(0, 10).await.unwrap().len(), 2);
}

pub async fn writing_what_is_gone_is_a_conflict(stores: &Stores) {
    let catalog = &stores.catalog;
    let never = catalog.commit(commit(vec![put(&flag("a"), Expect::At(1), body(1))])).await;
    assert_eq!(conflict(never), (flag("a"), None));

    create(catalog, &flag("a"), body(1)).await;
    catalog.commit(commit(vec![delete(&flag("a"), Expect::At(1))])).await.unwrap();
    let gone = catalog.commit(commit(vec![put(&flag("a"), Expect::At(1), body(2))])).await;
    assert_eq!(conflict(gone), (flag("a"), None));
    assert_eq!(catalog.head().await.unwrap(), 2);
}

pub async fn one_conflict_undoes_the_whole_commit(stores: &Stores) {
    let catalog = &stores.catalog;
    create(catalog, &flag("a"), body(1)).await;
    let drafts = vec![
        put(&flag("new"), Expect::Absent, body(2)),
        delete(&flag("a"), Expect::At(1)),
        put(&flag("missing"), Expect::At(9), body(3)),
    ];

    let refused = catalog.commit(commit(drafts)).await;

    assert_eq!(conflict(refused), (flag("missing"), None));
    assert_eq!(catalog.get(&flag("new")).await.unwrap(), None);
    assert!(catalog.get(&flag("a")).await.unwrap().is_some());
    assert_eq!(catalog.head().await.unwrap(), 1);
    assert_eq!(create(catalog, &flag("b"), body(4)).await, 2, "no revision was lost");
}

pub async fn a_deleted_document_can_be_made_again(stores: &Stores) {
    let catalog = &stores.catalog;
    create(catalog, &flag("a"), body(1)).await;
    let deleted = catalog.commit(commit(vec![delete(&flag("a"), Expect::At(1))])).await.unwrap().remove(0);
    assert_eq!((deleted.before, deleted.after), (Some(body(1)), None));
    assert_eq!(catalog.get(&flag("a")).await.unwrap(), None);
    assert!(catalog.list(Kind::Flag, "default", first(10)).await.unwrap().is_empty());

    let later = NOW + jiff::SignedDuration::from_secs(5);
    let again = commit(vec![put(&flag("a"), Expect::Absent, body(2))]);
    let made = catalog.commit(Commit { at: later, ..again }).await.unwrap().remove(0);

    assert_eq!((made.revision, made.before), (3, None));
    assert_eq!(catalog.get(&flag("a")).await.unwrap().unwrap().created_at, later);
}

pub async fn notices_touch_no_document(stores: &Stores) {
    let catalog = &stores.catalog;
    create(catalog, &flag("a"), body(1)).await;
    let session = DocumentId::new(Kind::Session, "", "5e55");

    let drafts = vec![notice(&session, "revoked"), notice(&flag("a"), "judged")];
    let changes = catalog.commit(commit(drafts)).await.unwrap();

    assert_eq!(revisions(&changes), [2, 3]);
    let [revoked, judged] = <[_; 2]>::try_from(changes).unwrap();
    assert_eq!((revoked.before, revoked.after), (None, None));
    assert_eq!((judged.before, judged.after), (None, None), "it is told apart from a removal");
    assert_eq!(catalog.get(&session).await.unwrap(), None);
    assert_eq!(catalog.get(&flag("a")).await.unwrap().unwrap().revision, 1);
}

pub async fn later_changes_of_a_commit_see_the_earlier_ones(stores: &Stores) {
    let catalog = &stores.catalog;
    let drafts = vec![
        put(&flag("a"), Expect::Absent, body(1)),
        put(&flag("a"), Expect::At(1), body(2)),
        delete(&flag("a"), Expect::At(2)),
        put(&flag("a"), Expect::Absent, body(3)),
    ];

    let changes = catalog.commit(commit(drafts)).await.unwrap();

    let before: Vec<_> = changes.into_iter().map(|change| change.before).collect();
    assert_eq!(before, [None, Some(body(1)), Some(body(2)), None]);
    assert_eq!(catalog.get(&flag("a")).await.unwrap().unwrap().revision, 4);
}

pub async fn an_empty_commit_changes_nothing(stores: &Stores) {
    let changes = stores.catalog.commit(commit(Vec::new())).await.unwrap();
    assert!(changes.is_empty());
    assert_eq!(stores.catalog.head().await.unwrap(), 0);
}

pub async fn a_commit_without_event_ids_is_refused(stores: &Stores) {
    let whole = commit(vec![put(&flag("a"), Expect::Absent, body(1))]);
    let refused = stores.catalog.commit(Commit { events: Vec::new(), ..whole }).await;
    assert!(refused.is_err());
    assert_eq!(stores.catalog.get(&flag("a")).await.unwrap(), None);
    assert_eq!(stores.catalog.head().await.unwrap(), 0);
}

pub async fn odd_bodies_read_back_as_they_were_written(stores: &Stores) {
    let bodies = [
        json!(null),
        json!(""),
        json!([]),
        json!({ "": { "": [null, true, -0.0, 1e-300, 0.1, 123_456_789.123_456_78] } }),
        json!([u64::MAX, i64::MIN, 9_007_199_254_740_993_u64]),
        json!("zero \u{0} quote \" ' backslash \\ newline \n line separator \u{2028} 🦀"),
        json!({ "name": 7, "text": "x".repeat(1 << 20) }),
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let id = DocumentId::new(Kind::Flag, "défaut", &format!("ключ-{number} '\"%_"));
        create(&stores.catalog, &id, body.clone()).await;
        let document = stores.catalog.get(&id).await.unwrap().unwrap();
        assert_eq!((document.id, document.body), (id, body));
    }
}
