//! Objects: written, read, described anew, copied and deleted.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use flagbase_core::{
    blobs::Direct,
    buckets::{Act, Action, Amendment, Conditions, Copying, Judgement, Object, ObjectHead, Put, no_object},
    functions::Body as Stored,
    refusal::{Class, Refusal},
    shape::shape,
};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    address::Address,
    arriving::{Bounds, arriving, check_declared},
    heads::{self, condition, digests, view},
    visit::{Coming, Entry},
};
use crate::{
    body,
    problem::{Problem, ProblemBody, Reply},
    request::query,
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(get, put, patch, delete))
}

/// The bytes of an object, or some of them.
///
/// `Range` (one range), `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since` and `If-Range` count, as
/// HTTP has them; `HEAD` answers without the bytes. Metadata comes as `X-Meta-*`, the version as `X-Version`, the
/// checksum of all bytes as `X-Checksum-Crc64nvme`. What a browser could run comes with `Content-Disposition:
/// attachment`.
#[utoipa::path(
    get, path = "/api/v1/buckets/{name}/objects/{*key}", tag = "buckets",
    params(("name" = String, Path), ("key" = String, Path, description = "decoded once; `/` stays as it is"),
        ("environment" = Option<String>, Query), ("version" = Option<String>, Query),
        ("signature" = Option<String>, Query), ("expires" = Option<u64>, Query), ("by" = Option<String>, Query),
        ("Range" = Option<String>, Header), ("If-Match" = Option<String>, Header),
        ("If-None-Match" = Option<String>, Header), ("If-Modified-Since" = Option<String>, Header)),
    responses((status = 200, body = String, content_type = "application/octet-stream"),
        (status = 206, body = String, content_type = "application/octet-stream"), (status = 304),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 412, body = ProblemBody),
        (status = 416, body = ProblemBody))
)]
async fn get(State(handles): State<Handles>, coming: Coming, request: Request) -> Reply<Response> {
    let version = coming.version.as_deref();
    let action = if version.is_some() { Action::GetVersion } else { Action::GetObject };
    let Entry { bucket, granted, .. } = coming.enter(&handles, action)?;
    let conditions = Conditions::of(request.headers());
    let (objects, key) = (handles.buckets.objects(), coming.address.key.as_str());
    let missing = || no_object(&bucket, key);
    if request.method() == Method::HEAD {
        let found = objects.head(&bucket, key, version).await?.filter(|object| !object.marker);
        let object = found.ok_or_else(missing)?;
        return answer(&object, conditions.judge(&object), (heads::headers(&object, granted), Body::empty()));
    }
    let pick = |object: &Object| conditions.judge(object).pick();
    let found = objects.get(&bucket, (key, version), &pick).await?.filter(|part| !part.object.marker);
    let part = found.ok_or_else(missing)?;
    let object = Arc::clone(&part.object);
    let body = Body::from_stream(part.body(request.extensions().get::<Direct>()));
    answer(&object, conditions.judge(&object), (heads::headers(&object, granted), body))
}

/// The answer for a judgement.
fn answer(object: &Object, verdict: Judgement, (mut headers, body): (HeaderMap, Body)) -> Reply<Response> {
    let size = object.size;
    let (status, length) = match verdict {
        Judgement::Whole => (StatusCode::OK, size),
        Judgement::Range(from, to) => {
            let range = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
            headers.extend(HeaderValue::try_from(range).map(|range| (header::CONTENT_RANGE, range)));
            (StatusCode::PARTIAL_CONTENT, to - from)
        }
        Judgement::NotModified => {
            let mut known = heads::known(object);
            known.extend(headers.remove(header::CACHE_CONTROL).map(|value| (header::CACHE_CONTROL, value)));
            return Ok((StatusCode::NOT_MODIFIED, known).into_response());
        }
        Judgement::Failed => {
            let message = "the object is not what was expected; read it without conditions";
            return Err(Refusal::new(Class::Stale, "precondition_failed", message).into());
        }
        Judgement::Unsatisfiable => {
            let message = format!("the object has {size} bytes; ask for a range within them");
            let mut problem =
                Problem(Refusal::new(Class::Malformed, "range_not_satisfiable", message)).into_response();
            let range = HeaderValue::try_from(format!("bytes */{size}"));
            problem.headers_mut().extend(range.map(|range| (header::CONTENT_RANGE, range)));
            return Ok(problem);
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok((status, headers, body).into_response())
}

/// Writes an object: all of the bytes or nothing, durable when this is answered. With `copy` another object's bytes are
/// taken, without moving them.
///
/// `Content-Type`, `Cache-Control`, `Content-Disposition`, `Content-Encoding`, `Content-Language`, `Expires` and
/// `X-Meta-*` are kept with it, `X-Tags` (a form: `team=blue&cost=7`) are its tags; a copy keeps those of its source when
/// none of them is sent. `Content-MD5`, `Content-Digest` and `X-Checksum-<algorithm>` are compared before anything is
/// visible.
#[utoipa::path(
    put, path = "/api/v1/buckets/{name}/objects/{*key}", tag = "buckets",
    params(("name" = String, Path), ("key" = String, Path), ("environment" = Option<String>, Query),
        ("copy" = Option<String>, Query, description = "`bucket/key` of what is copied"),
        ("copy_version" = Option<String>, Query), ("signature" = Option<String>, Query),
        ("expires" = Option<u64>, Query), ("by" = Option<String>, Query), ("max_size" = Option<u64>, Query),
        ("content_type" = Option<String>, Query), ("If-Match" = Option<String>, Header),
        ("If-None-Match" = Option<String>, Header)),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, body = Value), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 412, body = ProblemBody),
        (status = 413, body = ProblemBody))
)]
async fn put(State(handles): State<Handles>, coming: Coming, request: Request) -> Reply<Response> {
    let (parts, body) = request.into_parts();
    let source = query(&parts, "copy").map(|text| Address::named(&text)).transpose()?;
    // Nothing is read before the caller is let in.
    let entered = coming.enter(&handles, Action::PutObject);
    let most = entered.as_ref().ok().and_then(|entry| entry.most);
    let bounds = Bounds { most, patience: handles.settings.body_timeout };
    let bytes = arriving(body, &parts.headers, bounds);
    let done = match (entered, source) {
        (Err(refusal), _) => Err(refusal),
        (Ok(entry), None) => write(&handles, (&entry, &coming.address.key), &parts.headers, bytes).await,
        (Ok(entry), Some(source)) => {
            let version = query(&parts, "copy_version");
            copy(&handles, (&coming, &entry), (&source, version.as_deref()), &parts.headers).await
        }
    };
    let object = done?;
    Ok((heads::known(&object), Json(view(&object))).into_response())
}

async fn write(
    handles: &Handles,
    (entry, key): (&Entry, &str),
    headers: &HeaderMap,
    body: Stored,
) -> Result<Object, Refusal> {
    check_declared(headers, entry.most)?;
    let head = heads::head(headers)?;
    if let Some(expected) = entry.content_type.as_ref().filter(|expected| **expected != head.content_type) {
        let message = format!("this URL is for `{expected}`; send that as the `Content-Type`");
        return Err(Refusal::new(Class::Malformed, "unsupported_media_type", message));
    }
    let tags = heads::tags(headers)?.unwrap_or_default();
    let (digests, condition) = (digests(headers)?, condition(headers)?);
    let put = Put { key, head, tags, body, digests, condition };
    handles.buckets.objects().put(entry.actor.clone(), &entry.bucket, put).await
}

async fn copy(
    handles: &Handles,
    (coming, entry): (&Coming, &Entry),
    (source, version): (&Address, Option<&str>),
    headers: &HeaderMap,
) -> Result<Object, Refusal> {
    let visitor = coming.visit()?.visitor();
    let action = if version.is_some() { Action::GetVersion } else { Action::GetObject };
    let from = handles.buckets.admit(&visitor, &source.bucket, Act::new(action, &source.key))?;
    let head = heads::head(headers)?;
    let copying = Copying {
        from: &source.key,
        version,
        to: &coming.address.key,
        head: Some(head).filter(|head| *head != ObjectHead::default()),
        tags: heads::tags(headers)?,
        condition: condition(headers)?,
    };
    let objects = handles.buckets.objects();
    let copied = objects.copy(entry.actor.clone(), (&from, &entry.bucket), copying, &|_| Ok(())).await?;
    copied.ok_or_else(|| no_object(&from, &source.key))
}

/// Says something else of an object: its headers, `metadata` and `tags`. Each member takes the place of the one there is;
/// null takes it away. The bytes stay.
#[utoipa::path(
    patch, path = "/api/v1/buckets/{name}/objects/{*key}", tag = "buckets", request_body = Value,
    params(("name" = String, Path), ("key" = String, Path), ("environment" = Option<String>, Query),
        ("version" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn patch(
    State(handles): State<Handles>,
    coming: Coming,
    headers: HeaderMap,
    body::Body(patch): body::Body<Value>,
) -> Reply<Response> {
    coming.visit()?;
    let entry = coming.enter(&handles, Action::PutObject)?;
    let (objects, key) = (handles.buckets.objects(), coming.address.key.as_str());
    let which = (key, coming.version.as_deref());
    let found = objects.head(&entry.bucket, key, which.1).await?.filter(|object| !object.marker);
    let found = found.ok_or_else(|| no_object(&entry.bucket, key))?;
    let amendment = Amendment { condition: condition(&headers)?, ..amended(&found, &patch)? };
    if amendment.tags.is_some() {
        coming.enter(&handles, Action::PutTags)?;
    }
    let amended = objects.amend(entry.actor, &entry.bucket, which, amendment).await?;
    let object = amended.ok_or_else(|| no_object(&entry.bucket, key))?;
    Ok((heads::known(&object), Json(view(&object))).into_response())
}

/// What `patch` makes of an object's head and tags.
fn amended(object: &Object, patch: &Value) -> Result<Amendment, Refusal> {
    let members = patch.as_object().ok_or_else(|| Refusal::fault("", "expected an object"))?;
    let mut head = serde_json::to_value(&object.head).unwrap_or_default();
    let mut amendment = Amendment::default();
    for (name, value) in members {
        if name == "tags" {
            let tags = Some(value).filter(|value| !value.is_null()).map(shape).transpose()?;
            amendment.tags = Some(tags.unwrap_or_default());
            continue;
        }
        let known = [
            "content_type",
            "cache_control",
            "content_disposition",
            "content_encoding",
            "content_language",
            "expires",
            "metadata",
        ];
        if !known.contains(&name.as_str()) {
            let message = format!("is not known; known are `tags`, `{}`", known.join("`, `"));
            return Err(Refusal::fault(&format!("/{}", name.replace('~', "~0").replace('/', "~1")), message));
        }
        if let Some(there) = head.as_object_mut() {
            match value {
                Value::Null => drop(there.remove(name)),
                value => drop(there.insert(name.clone(), value.clone())),
            }
        }
        amendment.head = Some(ObjectHead::default());
    }
    if let Some(amended) = &mut amendment.head {
        *amended = shape(&head)?;
    }
    Ok(amendment)
}

/// Deletes an object. While versions are kept it is only hidden by a delete marker, which is told; with `version`, that
/// version goes for good. Deleting what is not there is fine.
#[utoipa::path(
    delete, path = "/api/v1/buckets/{name}/objects/{*key}", tag = "buckets",
    params(("name" = String, Path), ("key" = String, Path), ("environment" = Option<String>, Query),
        ("version" = Option<String>, Query), ("signature" = Option<String>, Query),
        ("expires" = Option<u64>, Query), ("by" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn delete(State(handles): State<Handles>, coming: Coming, headers: HeaderMap) -> Reply<Response> {
    let version = coming.version.as_deref();
    let action = if version.is_some() { Action::DeleteVersion } else { Action::DeleteObject };
    let Entry { bucket, actor, .. } = coming.enter(&handles, action)?;
    let which = (coming.address.key.as_str(), version);
    let deleted = handles.buckets.objects().delete(actor, &bucket, which, condition(&headers)?).await?;
    let told =
        deleted.filter(|object| object.marker).and_then(|marker| HeaderValue::try_from(marker.version).ok());
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(version) = told {
        response.headers_mut().insert("x-version", version);
        response.headers_mut().insert("x-delete-marker", HeaderValue::from_static("true"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_of_a_patch_take_the_place_of_those_there_are() {
        let head = ObjectHead { cache_control: Some("no-store".into()), ..ObjectHead::of_type("text/plain") };
        let object = Object { head, ..Object::default() };
        let amendment = amended(&object, &json!({"content_type": "a/b", "cache_control": null})).unwrap();
        assert_eq!((amendment.head, amendment.tags), (Some(ObjectHead::of_type("a/b")), None));
        let tags = amended(&object, &json!({"tags": {"a": "b"}})).unwrap();
        assert_eq!((tags.head, tags.tags.map(|tags| tags.len())), (None, Some(1)));
        for wrong in [json!([]), json!({"size": 1}), json!({"content_type": 1}), json!({"tags": {"a": 1}})] {
            assert_eq!(amended(&object, &wrong).unwrap_err().class, Class::Invalid, "{wrong}");
        }
    }
}
