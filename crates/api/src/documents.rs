//! How documents of every kind are answered with: one by one with their `ETag`, or in pages.

use axum::{
    Json,
    http::{HeaderMap, StatusCode},
};
use flagbase_core::catalog::Document;
use serde_json::Value;

use crate::request::{Next, Tagged};

/// How a kind shows its documents.
type View = fn(&Document) -> Value;

/// One document.
pub(crate) fn shown(document: &Document, view: View) -> Tagged<Json<Value>> {
    Tagged(document.revision, Json(view(document)))
}

/// One that was just stored, and whether it is new.
pub(crate) fn stored((document, new): &(Document, bool), view: View) -> (StatusCode, Tagged<Json<Value>>) {
    let status = if *new { StatusCode::CREATED } else { StatusCode::OK };
    (status, shown(document, view))
}

/// A page of documents, with a link to the next one at `path`.
pub(crate) fn page(
    documents: &[Document],
    next: Next,
    (path, environment): (&str, &str),
    view: View,
) -> (HeaderMap, Json<Vec<Value>>) {
    let last = documents.last().map(|document| document.id.key.as_ref());
    let headers = next.link(path, environment, last, documents.len());
    (headers, Json(documents.iter().map(view).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_created_and_anything_else_is_fine() {
        let document = Document {
            id: flagbase_core::catalog::DocumentId::new(flagbase_core::catalog::Kind::Flag, "default", "f"),
            revision: 7,
            body: serde_json::json!({}),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            updated_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let (status, Tagged(revision, Json(body))) =
            stored(&(document.clone(), true), flagbase_core::flags::view);
        assert_eq!((status, revision, &body["revision"]), (StatusCode::CREATED, 7, &7.into()));
        assert_eq!(stored(&(document, false), flagbase_core::flags::view).0, StatusCode::OK);
    }
}
