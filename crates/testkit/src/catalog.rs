//! What every `Catalog` does.

use std::sync::Arc;

use flagbase_core::catalog::{
    Actor, Catalog, CatalogError, Change, Commit, Document, DocumentId, Draft, Expect, Kind, Page, Revision,
    Write,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

mod changes;
mod commits;
mod listings;
mod races;

pub use self::{changes::*, commits::*, listings::*, races::*};

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! catalog_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            catalog,
            [
                a_document_reads_back_as_it_was_written,
                an_update_keeps_when_the_document_was_made,
                a_commit_answers_with_its_changes_in_order,
                creating_what_exists_is_a_conflict_and_changes_nothing,
                a_stale_revision_is_a_conflict_that_names_the_current_one,
                writing_what_is_gone_is_a_conflict,
                one_conflict_undoes_the_whole_commit,
                a_deleted_document_can_be_made_again,
                notices_touch_no_document,
                later_changes_of_a_commit_see_the_earlier_ones,
                an_empty_commit_changes_nothing,
                a_commit_without_event_ids_is_refused,
                odd_bodies_read_back_as_they_were_written,
                kinds_and_environments_are_apart,
                listings_come_in_key_order_page_by_page,
                a_search_ignores_case_and_looks_at_key_and_name,
                a_search_takes_wildcards_by_the_letter,
                a_scan_hands_over_every_document_once,
                a_scan_is_of_one_point_in_time,
                changes_are_read_in_batches,
                history_is_newest_first_and_goes_on_after_deletion,
                sixteen_writers_leave_no_gap,
                a_racing_follower_sees_every_revision_in_order,
                exactly_one_of_many_editors_wins,
                exactly_one_of_many_creators_wins,
            ]
        );
    };
}

/// When everything in these suites happens.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_767_225_600, 123_456_789);

/// A flag's address.
pub(crate) fn flag(key: &str) -> DocumentId {
    DocumentId::new(Kind::Flag, "default", key)
}

/// A change that stores `body`.
pub(crate) fn put(id: &DocumentId, expect: Expect, body: Value) -> Draft {
    let verb = if expect == Expect::Absent { "created" } else { "updated" };
    Draft { id: id.clone(), verb, expect, write: Write::Put(body), detail: Value::Null }
}

/// A change that removes a document.
pub(crate) fn delete(id: &DocumentId, expect: Expect) -> Draft {
    Draft { id: id.clone(), verb: "deleted", expect, write: Write::Delete, detail: Value::Null }
}

/// A change without a document.
pub(crate) fn notice(id: &DocumentId, verb: &'static str) -> Draft {
    Draft { id: id.clone(), verb, expect: Expect::Any, write: Write::Nothing, detail: Value::Null }
}

/// A commit of `drafts`, by a user, at [`NOW`], with event ids counted up from `first`.
pub(crate) fn commit_as(drafts: Vec<Draft>, first: u128) -> Commit {
    let events = (first..).take(drafts.len()).map(Uuid::from_u128).collect();
    let actor = Actor { kind: "user".into(), id: "u1".into(), name: "alice@example.com".into() };
    Commit { drafts, actor, reason: "because".into(), at: NOW, events }
}

/// A commit of `drafts`.
pub(crate) fn commit(drafts: Vec<Draft>) -> Commit {
    commit_as(drafts, 1)
}

/// Makes a flag; returns its revision.
pub(crate) async fn create(catalog: &Arc<dyn Catalog>, id: &DocumentId, body: Value) -> Revision {
    let changes = catalog.commit(commit(vec![put(id, Expect::Absent, body)])).await.unwrap();
    changes.last().unwrap().revision
}

/// A page of `limit` from the start.
fn first(limit: u32) -> Page {
    Page { limit, ..Page::default() }
}

fn keys(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|document| &*document.id.key).collect()
}

fn revisions(changes: &[Change]) -> Vec<Revision> {
    changes.iter().map(|change| change.revision).collect()
}

/// The current revision that a conflict names, for the document it names.
fn conflict<T: std::fmt::Debug>(result: Result<T, CatalogError>) -> (DocumentId, Option<Revision>) {
    match result {
        Err(CatalogError::Conflict { id, current }) => (id, current),
        other => unreachable!("a conflict was expected, not {other:?}"),
    }
}

fn body(number: u64) -> Value {
    json!({ "name": format!("Flag {number}"), "enabled": true, "number": number })
}
