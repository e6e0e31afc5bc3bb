//! Listing uploads that are not complete, whoever began them and by which protocol.

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use flagbase_core::buckets::{Act, Action, Bucket, Listing, Position, Upload};
use serde_json::{Value, json};

use crate::{
    buckets::{address::BUCKETS, listing::limit, visit::Visit},
    problem::{Problem, ProblemBody, Reply},
    request::query,
    router::Handles,
};

/// `?prefix&after&after_id&limit`.
pub(super) struct Asked(Listing);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let version = query(parts, "after_id").unwrap_or_default();
        Ok(Self(Listing {
            prefix: query(parts, "prefix").unwrap_or_default(),
            after: query(parts, "after").map(|key| Position { key, version }),
            limit: limit(parts)?,
            ..Listing::default()
        }))
    }
}

/// Uploads that are not complete, by key and then by age, a page at a time: those that are resumed by tus and those in
/// parts by S3 alike. Of each: its `id`, the `key` of what it becomes, its `length` (null where nobody said it), how many
/// bytes there are (`offset`), when it was `begun`, and when it goes by itself (`expires`). `next` says what to send along
/// for the page after this one, as the `Link` header does.
#[utoipa::path(
    get, path = "/api/v1/buckets/{name}/uploads", tag = "buckets",
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("prefix" = Option<String>, Query),
        ("after" = Option<String>, Query), ("after_id" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
pub(super) async fn list(
    State(handles): State<Handles>,
    visit: Visit,
    Path(name): Path<String>,
    Asked(listing): Asked,
) -> Reply<(HeaderMap, Json<Value>)> {
    let act = Act::new(Action::ListUploads, &listing.prefix);
    let bucket = handles.buckets.admit(&visit.visitor(), &name, act)?;
    let listed = handles.buckets.objects().uploads(&bucket, &listing).await?;
    let headers = link((&name, &visit.environment), &listing, listed.next.as_ref());
    let uploads: Vec<_> =
        listed.uploads.iter().map(|(upload, offset)| view(&bucket, upload, *offset)).collect();
    let next = listed.next.map(|Position { key, version }| json!({"after": key, "after_id": version}));
    Ok((headers, Json(json!({"uploads": uploads, "next": next}))))
}

fn view(bucket: &Bucket, upload: &Upload, offset: u64) -> Value {
    json!({
        "id": upload.id, "key": upload.key, "length": upload.form.length, "offset": offset, "begun": upload.begun,
        "expires": bucket.upload_ends(upload),
    })
}

/// `Link: <…>; rel="next"`.
fn link((name, environment): (&str, &str), listing: &Listing, next: Option<&Position>) -> HeaderMap {
    let Some(Position { key, version }) = next else { return HeaderMap::new() };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("environment", environment).append_pair("limit", &listing.limit.to_string());
    let members = [("prefix", listing.prefix.as_str()), ("after", key), ("after_id", version)];
    query.extend_pairs(members.into_iter().filter(|(_, value)| !value.is_empty()));
    let link = format!("<{BUCKETS}/{name}/uploads?{}>; rel=\"next\"", query.finish());
    HeaderValue::try_from(link).map(|link| (header::LINK, link)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_begins_behind_the_last_upload_of_this_one() {
        let listing = Listing { prefix: "a b/".into(), limit: 2, ..Listing::default() };
        let next = Position { key: "a b/c".into(), version: "0a".into() };
        let headers = link(("up", "default"), &listing, Some(&next));
        assert_eq!(
            headers[header::LINK].to_str().unwrap(),
            "</api/v1/buckets/up/uploads?environment=default&limit=2&prefix=a+b%2F&after=a+b%2Fc&after_id=0a>; \
             rel=\"next\""
        );
        assert!(link(("up", "default"), &listing, None).is_empty());
    }
}
