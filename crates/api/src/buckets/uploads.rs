//! Uploads that can be resumed: tus 1.0 with creation, creation with upload, termination, expiration and checksums.

mod listing;
mod said;
mod turns;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flagbase_core::{
    buckets::{
        Act, Action, Appended, Begin, Bucket, Checksum, Complete, Condition, Digests, Object, Upload,
        UploadForm, http_date,
    },
    functions::Body as Stored,
    refusal::{Class, Refusal},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    said::{Said, number},
    turns::Turns,
};
use super::{
    address::BUCKETS,
    arriving::{Bounds, arriving, declared},
    heads::{self, condition},
    visit::Visit,
};
use crate::{
    problem::{Problem, ProblemBody},
    router::Handles,
};

/// The protocol's version.
const VERSION: &str = "1.0.0";
/// What of the protocol there is.
const EXTENSIONS: &str = "creation,creation-with-upload,termination,expiration,checksum";
/// How checksums of requests may be computed.
const ALGORITHMS: &str = "sha1,sha256,md5,crc32,crc32c,crc64nvme";
/// The media type of bytes that are appended.
const BYTES: &str = "application/offset+octet-stream";
/// The status that the protocol has for bytes that are not what was said of them.
const CHECKSUM_MISMATCH: u16 = 460;

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(listing::list, begin, abilities))
        .routes(routes!(offset, append, abort))
        .layer(Extension(Turns::default()))
}

/// What of the protocol for resumable uploads (tus 1.0) there is.
#[utoipa::path(
    options, path = "/api/v1/buckets/{name}/uploads", tag = "buckets", params(("name" = String, Path)),
    responses((status = 204))
)]
async fn abilities() -> Response {
    let headers =
        [("tus-version", VERSION), ("tus-extension", EXTENSIONS), ("tus-checksum-algorithm", ALGORITHMS)];
    resumable((StatusCode::NO_CONTENT, headers.map(|(name, value)| (HeaderName::from_static(name), value))))
}

/// Begins an upload that can be resumed (tus 1.0). `Upload-Metadata` names the object's `key` (or `filename`), and perhaps
/// its `content_type` (or `filetype`); anything else becomes metadata. Headers count as when an object is written. A body
/// of `application/offset+octet-stream` is its beginning.
#[utoipa::path(
    post, path = "/api/v1/buckets/{name}/uploads", tag = "buckets",
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("Tus-Resumable" = String, Header),
        ("Upload-Length" = u64, Header), ("Upload-Metadata" = String, Header)),
    responses((status = 201), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 412, body = ProblemBody))
)]
async fn begin(
    State(handles): State<Handles>,
    Extension(turns): Extension<Turns>,
    visit: Visit,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let patience = handles.settings.body_timeout;
    let bytes = arriving(body, &parts.headers, Bounds { most: None, patience });
    let turn = Going { handles: &handles, turns: &turns, visit: &visit };
    turn.begin(&name, &parts.headers, bytes).await.map_or_else(refused, resumable)
}

/// How much of an upload there is: `Upload-Offset` of `Upload-Length`.
#[utoipa::path(
    head, path = "/api/v1/buckets/{name}/uploads/{id}", tag = "buckets",
    params(("name" = String, Path), ("id" = String, Path), ("environment" = Option<String>, Query),
        ("Tus-Resumable" = String, Header)),
    responses((status = 200), (status = 403), (status = 404), (status = 412))
)]
async fn offset(
    State(handles): State<Handles>,
    visit: Visit,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let look = async {
        speaks(&headers)?;
        let (bucket, upload) = found(&handles, &visit, (&name, &id), Action::PutObject).await?;
        let offset = handles.buckets.objects().offset(&bucket, &id).await?;
        let mut told = told(&bucket, &upload, offset);
        told.insert("upload-length", HeaderValue::from(upload.form.length.unwrap_or_default()));
        told.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok::<_, Refusal>((StatusCode::OK, told))
    };
    look.await.map_or_else(refused, resumable)
}

/// Appends bytes to an upload at `Upload-Offset`. What arrives before a connection breaks is kept. With the last byte the
/// upload is the object, and the answer carries its `ETag` and `X-Version`.
#[utoipa::path(
    patch, path = "/api/v1/buckets/{name}/uploads/{id}", tag = "buckets",
    params(("name" = String, Path), ("id" = String, Path), ("environment" = Option<String>, Query),
        ("Tus-Resumable" = String, Header), ("Upload-Offset" = u64, Header), ("Upload-Checksum" = Option<String>, Header)),
    request_body(content = String, content_type = "application/offset+octet-stream"),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 412, body = ProblemBody), (status = 413, body = ProblemBody),
        (status = 415, body = ProblemBody), (status = 423, body = ProblemBody), (status = 460, body = ProblemBody))
)]
async fn append(
    State(handles): State<Handles>,
    Extension(turns): Extension<Turns>,
    visit: Visit,
    Path((name, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let patience = handles.settings.body_timeout;
    let bytes = arriving(body, &parts.headers, Bounds { most: None, patience });
    let going = Going { handles: &handles, turns: &turns, visit: &visit };
    going.append((&name, &id), &parts.headers, bytes).await.map_or_else(refused, resumable)
}

/// Gives an upload up: with `Tus-Resumable` one that is resumed by tus, as the protocol has it; without that header any
/// upload that is not complete, also one in parts by S3.
#[utoipa::path(
    delete, path = "/api/v1/buckets/{name}/uploads/{id}", tag = "buckets",
    params(("name" = String, Path), ("id" = String, Path), ("environment" = Option<String>, Query),
        ("Tus-Resumable" = Option<String>, Header)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn abort(
    State(handles): State<Handles>,
    visit: Visit,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let by_tus = headers.contains_key("tus-resumable");
    let give_up = async {
        let (bucket, _) = if by_tus {
            speaks(&headers)?;
            found(&handles, &visit, (&name, &id), Action::AbortUpload).await?
        } else {
            any(&handles, &visit, (&name, &id), Action::AbortUpload).await?
        };
        handles.buckets.objects().abort(&bucket, &id).await?;
        Ok::<_, Refusal>(StatusCode::NO_CONTENT)
    };
    match give_up.await {
        Ok(status) if by_tus => resumable(status),
        Ok(status) => status.into_response(),
        Err(refusal) if by_tus => refused(refusal),
        Err(refusal) => Problem(refusal).into_response(),
    }
}

/// An upload that is gone on with.
struct Going<'a> {
    handles: &'a Handles,
    turns: &'a Turns,
    visit: &'a Visit,
}

impl Going<'_> {
    async fn begin(
        &self,
        name: &str,
        headers: &HeaderMap,
        bytes: Stored,
    ) -> Result<(StatusCode, HeaderMap), Refusal> {
        speaks(headers)?;
        let length = number(headers, "upload-length")?;
        let Said { key, head } = Said::of(headers)?;
        let act = Act::new(Action::PutObject, &key);
        let bucket = self.handles.buckets.admit(&self.visit.visitor(), name, act)?;
        let sends = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == BYTES);
        if !sends && declared(headers).is_some_and(|size| size > 0) {
            return Err(wrong_type());
        }
        let mut form = UploadForm { length: Some(length), ..UploadForm::default() };
        form.owner = format!("{}:{}", self.visit.actor().kind, self.visit.caller.email);
        note(&mut form, headers)?;
        let tags = heads::tags(headers)?.unwrap_or_default();
        let objects = self.handles.buckets.objects();
        let upload = objects.begin(&bucket, Begin { key: &key, head, tags, form }).await?;
        let id = upload.id.clone();
        let (offset, object) = if sends || length == 0 {
            let _turn = self.turns.take(&id)?;
            self.go_on((&bucket, &upload, 0), (bytes, digests(headers)?)).await?
        } else {
            (0, None)
        };
        let mut told = told(&bucket, &upload, offset);
        told.extend(object.as_ref().map(heads::known).unwrap_or_default());
        let place = format!("{BUCKETS}/{name}/uploads/{id}?environment={}", self.visit.environment);
        told.extend(HeaderValue::try_from(place).map(|place| (header::LOCATION, place)));
        Ok((StatusCode::CREATED, told))
    }

    async fn append(
        &self,
        (name, id): (&str, &str),
        headers: &HeaderMap,
        bytes: Stored,
    ) -> Result<(StatusCode, HeaderMap), Refusal> {
        speaks(headers)?;
        if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != BYTES) {
            return Err(wrong_type());
        }
        let from = number(headers, "upload-offset")?;
        let (bucket, upload) = found(self.handles, self.visit, (name, id), Action::PutObject).await?;
        let _turn = self.turns.take(id)?;
        let (offset, object) = self.go_on((&bucket, &upload, from), (bytes, digests(headers)?)).await?;
        let mut told = told(&bucket, &upload, offset);
        told.extend(object.as_ref().map(heads::known).unwrap_or_default());
        Ok((StatusCode::NO_CONTENT, told))
    }

    /// Appends; with the last byte the upload is an object.
    async fn go_on(
        &self,
        (bucket, upload, from): (&Bucket, &Upload, u64),
        (bytes, digests): (Stored, Digests),
    ) -> Result<(u64, Option<Object>), Refusal> {
        let objects = self.handles.buckets.objects();
        let Appended { offset, broken } =
            objects.append(bucket, (&upload.id, from), (bytes, digests)).await?;
        if let Some(refusal) = broken {
            return Err(refusal);
        }
        if Some(offset) != upload.form.length {
            return Ok((offset, None));
        }
        let complete = Complete {
            size: upload.form.length,
            checksum: noted_checksum(&upload.form),
            condition: noted_condition(&upload.form),
            ..Complete::default()
        };
        let object = objects.complete(self.visit.actor(), bucket, &upload.id, complete).await?;
        Ok((offset, Some(object)))
    }
}

/// The upload that is resumed by tus, when the visitor may do `action` to what it becomes, and it was not given up.
async fn found(
    handles: &Handles,
    visit: &Visit,
    which: (&str, &str),
    action: Action,
) -> Result<(Arc<Bucket>, Upload), Refusal> {
    let (bucket, upload) = any(handles, visit, which, action).await?;
    let over = bucket.upload_ends(&upload).is_some_and(|end| end <= handles.feed.clock().now());
    if over || !upload.is_appended() {
        let message = "there is no such upload any more; begin another one";
        return Err(Refusal::not_found("upload_not_found", message));
    }
    Ok((bucket, upload))
}

/// The same of any upload that is not complete.
async fn any(
    handles: &Handles,
    visit: &Visit,
    (name, id): (&str, &str),
    action: Action,
) -> Result<(Arc<Bucket>, Upload), Refusal> {
    let objects = handles.buckets.objects();
    let Ok(bucket) = objects.bucket(&visit.environment, name) else {
        // Whether there is a bucket is told to those who may know.
        let bucket = handles.buckets.admit(&visit.visitor(), name, Act::new(action, ""))?;
        return Ok((Arc::clone(&bucket), objects.upload(&bucket, id).await?));
    };
    let upload = objects.upload(&bucket, id).await?;
    let bucket = handles.buckets.admit(&visit.visitor(), name, Act::new(action, &upload.key))?;
    Ok((bucket, upload))
}

/// How far an upload is, and until when it can be gone on with.
fn told(bucket: &Bucket, upload: &Upload, offset: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("upload-offset", HeaderValue::from(offset));
    if let Some(date) =
        bucket.upload_ends(upload).and_then(http_date).and_then(|date| HeaderValue::try_from(date).ok())
    {
        headers.insert("upload-expires", date);
    }
    headers
}

/// What is looked at when the upload is complete: conditions, and the checksum of the whole.
fn note(form: &mut UploadForm, headers: &HeaderMap) -> Result<(), Refusal> {
    match condition(headers)? {
        Condition::Any => {}
        Condition::Absent => drop(form.notes.insert("absent".into(), String::new())),
        Condition::Present => drop(form.notes.insert("present".into(), String::new())),
        Condition::Etag(etags) => drop(form.notes.insert("etags".into(), etags.join(","))),
    }
    for checksum in heads::digests(headers)?.expect {
        let text = checksum.value.clone();
        if checksum.raw().is_none() || checksum.algorithm.as_str() != "crc64nvme" {
            let message = "the whole of an upload is compared by `X-Checksum-Crc64nvme` in base64 only";
            return Err(Refusal::new(Class::Malformed, "invalid_digest", message));
        }
        form.notes.insert("crc64nvme".into(), text);
    }
    Ok(())
}

fn noted_condition(form: &UploadForm) -> Condition {
    match (form.notes.get("etags"), form.notes.contains_key("absent"), form.notes.contains_key("present")) {
        (Some(etags), ..) => Condition::Etag(etags.split(',').map(str::to_owned).collect()),
        (None, true, _) => Condition::Absent,
        (None, false, true) => Condition::Present,
        (None, false, false) => Condition::Any,
    }
}

fn noted_checksum(form: &UploadForm) -> Option<Checksum> {
    let value = form.notes.get("crc64nvme")?.clone();
    Some(Checksum { algorithm: flagbase_core::buckets::Algorithm::Crc64Nvme, value, composite: false })
}

/// `Upload-Checksum: <algorithm> <base64>`, of the bytes of one request.
fn digests(headers: &HeaderMap) -> Result<Digests, Refusal> {
    let Some(said) = headers.get("upload-checksum") else { return Ok(Digests::default()) };
    let wrong = || {
        let message = format!("write `Upload-Checksum: <algorithm> <base64>` with one of {ALGORITHMS}");
        Refusal::new(Class::Malformed, "invalid_digest", message)
    };
    let (name, value) = said.to_str().ok().and_then(|said| said.trim().split_once(' ')).ok_or_else(wrong)?;
    let checksum = Checksum {
        algorithm: name.parse().map_err(|_| wrong())?,
        value: value.trim().to_owned(),
        composite: false,
    };
    Ok(Digests { expect: vec![checksum], ..Digests::default() })
}

/// Whether the client speaks this version of the protocol.
fn speaks(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get("tus-resumable").is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let message = format!("send `Tus-Resumable: {VERSION}`");
    Err(Refusal::new(Class::Stale, "tus_version", message))
}

fn wrong_type() -> Refusal {
    Refusal::new(Class::Malformed, "unsupported_media_type", format!("send `Content-Type: {BYTES}`"))
}

fn resumable(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert("tus-resumable", HeaderValue::from_static(VERSION));
    response
}

fn refused(refusal: Refusal) -> Response {
    let (mismatch, version) =
        (matches!(refusal.code, "checksum_mismatch" | "bad_digest"), refusal.code == "tus_version");
    let mut response = resumable(Problem(refusal));
    if mismatch && let Ok(status) = StatusCode::from_u16(CHECKSUM_MISMATCH) {
        *response.status_mut() = status;
    }
    if version {
        response.headers_mut().insert("tus-version", HeaderValue::from_static(VERSION));
    }
    response
}
