//! Reading objects, and what is known of them.

use std::sync::Arc;

use flagbase_core::{
    blobs::Direct,
    buckets::{Act, Action, Bucket, Granted, Object, Pick, Versioning, no_object},
};
use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::{
    S3Error, S3Request, S3Response, S3Result,
    dto::{
        ChecksumMode, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, Range,
        StreamingBlob,
    },
    s3_error,
};

use super::{
    Facade, blobs,
    checksums::{self, Five},
    conditions::{Conditions, etag},
    guest::Guest,
    heads,
    refusals::refused,
    times,
};

/// Which bytes are wanted of which object.
struct Wanted {
    key: String,
    version: Option<String>,
    range: Option<Range>,
    part: Option<i32>,
    conditions: Conditions,
    checksum: bool,
}

/// Bytes of an object from `from` up to before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: u64,
    to: u64,
    /// Whether it was asked for, so that it is told.
    partial: bool,
}

impl Wanted {
    fn span(&self, object: &Object) -> S3Result<Span> {
        let size = object.size;
        match (self.part, &self.range) {
            (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "say Range or partNumber, not both")),
            (Some(number), None) => part_of(object, number),
            (None, None) => Ok(Span { from: 0, to: size, partial: false }),
            // Nothing is the end of nothing.
            (None, Some(Range::Suffix { length })) if size == 0 && *length > 0 => {
                Ok(Span { from: 0, to: 0, partial: false })
            }
            (None, Some(range)) => {
                let range = range.check(size).map_err(|_| out_of_range(size))?;
                Ok(Span { from: range.start, to: range.end, partial: true })
            }
        }
    }

    fn pick(&self, object: &Object) -> Pick {
        if object.marker || self.conditions.admit(object).is_err() {
            return Pick::Nothing;
        }
        match self.span(object) {
            Ok(Span { partial: false, .. }) => Pick::Whole,
            Ok(Span { from, to, .. }) => Pick::Range(from, to),
            Err(_) => Pick::Nothing,
        }
    }

    /// Whether the object can be told, or why not.
    fn admit(&self, object: &Object) -> S3Result<Span> {
        if object.marker {
            return Err(hidden(object, true));
        }
        self.conditions.admit(object)?;
        self.span(object)
    }
}

fn part_of(object: &Object, number: i32) -> S3Result<Span> {
    let missing = || no_part(number);
    let index = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1))
        .ok_or_else(|| s3_error!(InvalidArgument, "parts have numbers from 1 to 10000"))?;
    if object.pieces.is_empty() && index == 0 {
        return Ok(Span { from: 0, to: object.size, partial: true });
    }
    let piece = object.pieces.get(index).ok_or_else(missing)?;
    let from = object.pieces.iter().take(index).map(|piece| piece.size).sum();
    Ok(Span { from, to: from + piece.size, partial: true })
}

fn no_part(number: i32) -> S3Error {
    let code = s3s::S3ErrorCode::Custom("InvalidPartNumber".into());
    let mut error = S3Error::with_message(code, format!("the object has no part {number}"));
    error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
    error
}

fn out_of_range(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "the object has {size} bytes, and none of those were asked for");
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
        headers.insert(http::header::CONTENT_RANGE, value);
    }
    error.set_headers(headers);
    error
}

/// A delete marker is not an object; who asks for the marker itself is told so.
fn hidden(marker: &Object, named: bool) -> S3Error {
    let mut error = if named {
        s3_error!(MethodNotAllowed, "this version is a delete marker")
    } else {
        s3_error!(NoSuchKey, "the object was deleted")
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    if let Ok(version) = HeaderValue::try_from(&marker.version) {
        headers.insert("x-amz-version-id", version);
    }
    if named {
        headers.insert(http::header::ALLOW, HeaderValue::from_static("DELETE"));
    }
    error.set_headers(headers);
    error
}

/// The version that was written, where each write is one of its own.
pub(super) fn version_written(bucket: &Bucket, object: &Object) -> Option<String> {
    (bucket.settings.versioning == Versioning::Enabled).then(|| object.version.clone())
}

/// The version of an object, where versions mean something.
pub(super) fn version_told(bucket: &Bucket, object: &Object) -> Option<String> {
    (bucket.settings.versioning != Versioning::Off).then(|| object.version.clone())
}

impl Facade {
    pub(super) async fn read(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let guest = Guest::of(&request)?;
        let direct = request.extensions.get::<Direct>().cloned();
        let input = request.input;
        check_overrides(&guest, &input)?;
        let wanted = Wanted {
            key: input.key,
            version: input.version_id,
            range: input.range,
            part: input.part_number,
            conditions: Conditions {
                matches: input.if_match,
                differs: input.if_none_match,
                modified_since: input.if_modified_since,
                unmodified_since: input.if_unmodified_since,
            },
            checksum: is_enabled(input.checksum_mode.as_ref()),
        };
        let (bucket, granted) = self.visit(&guest, &input.bucket, &wanted)?;
        let at = (wanted.key.as_str(), wanted.version.as_deref());
        let pick = |object: &Object| wanted.pick(object);
        let found = self.buckets.objects().get(&bucket, at, &pick).await.map_err(refused)?;
        let Some(part) = found else { return Err(self.missing(&guest, &bucket, &wanted).await) };
        let object = Arc::clone(&part.object);
        let span = wanted.admit(&object)?;
        let about = About::of((&bucket, granted), &object, (&wanted, span));
        let tags = i32::try_from(object.tags.len()).ok().filter(|tags| *tags > 0);
        let output = about.with_body(blobs::outgoing(part.body(direct.as_ref()), span.to - span.from));
        Ok(S3Response::new(GetObjectOutput { tag_count: tags, ..output }))
    }

    pub(super) async fn look(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let wanted = Wanted {
            key: input.key,
            version: input.version_id,
            range: input.range,
            part: input.part_number,
            conditions: Conditions {
                matches: input.if_match,
                differs: input.if_none_match,
                modified_since: input.if_modified_since,
                unmodified_since: input.if_unmodified_since,
            },
            checksum: is_enabled(input.checksum_mode.as_ref()),
        };
        let (bucket, granted) = self.visit(&guest, &input.bucket, &wanted)?;
        let found = self.buckets.objects().head(&bucket, &wanted.key, wanted.version.as_deref()).await;
        let Some(object) = found.map_err(refused)? else {
            return Err(self.missing(&guest, &bucket, &wanted).await);
        };
        let span = wanted.admit(&object)?;
        let about = About::of((&bucket, granted), &object, (&wanted, span));
        let status = if span.partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let mut response = S3Response::with_status(about.alone(), status);
        if !object.tags.is_empty() {
            response.headers.insert("x-amz-tagging-count", HeaderValue::from(object.tags.len()));
        }
        Ok(response)
    }

    fn visit(&self, guest: &Guest, bucket: &str, wanted: &Wanted) -> S3Result<(Arc<Bucket>, Granted)> {
        let action = if wanted.version.is_some() { Action::GetVersion } else { Action::GetObject };
        self.granted(guest, bucket, Act::new(action, &wanted.key))
    }

    /// Why there is nothing: who may not list keys that begin so is not told which there are.
    async fn missing(&self, guest: &Guest, bucket: &Bucket, wanted: &Wanted) -> S3Error {
        if self.granted(guest, bucket.name(), Act::new(Action::ListBucket, &wanted.key)).is_err() {
            return s3_error!(AccessDenied, "there is no such object, or it may not be read");
        }
        if let Some(version) = &wanted.version {
            let shown: String = version.chars().take(64).collect();
            return s3_error!(NoSuchVersion, "the object has no version `{shown}`");
        }
        match self.buckets.objects().newest(bucket, &wanted.key).await {
            Ok(Some(marker)) if marker.marker => hidden(&marker, false),
            Ok(_) => refused(no_object(bucket, &wanted.key)),
            Err(refusal) => refused(refusal),
        }
    }
}

fn is_enabled(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

/// Headers of answers are chosen only by those who sign, or anybody could make a page of a picture.
fn check_overrides(guest: &Guest, input: &GetObjectInput) -> S3Result<()> {
    let some = input.response_cache_control.is_some()
        || input.response_content_disposition.is_some()
        || input.response_content_encoding.is_some()
        || input.response_content_language.is_some()
        || input.response_content_type.is_some()
        || input.response_expires.is_some();
    if some && guest.caller.is_nobody() {
        return Err(s3_error!(InvalidRequest, "response headers can be chosen only in signed requests"));
    }
    Ok(())
}

/// All that is told of an object beside its bytes.
struct About(HeadObjectOutput);

impl About {
    fn of((bucket, granted): (&Bucket, Granted), object: &Object, (wanted, span): (&Wanted, Span)) -> Self {
        let head = &object.head;
        let whole = span.to - span.from == object.size;
        let sum = (wanted.checksum && whole).then(|| checksums::of_object(object));
        let ([crc32, crc32c, crc64nvme, sha1, sha256], checksum_type): (Five, _) =
            checksums::told(sum.as_ref());
        let parts_count = wanted.part.and(i32::try_from(object.pieces.len().max(1)).ok());
        let range = || format!("bytes {}-{}/{}", span.from, span.to.saturating_sub(1), object.size);
        Self(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: head.cache_control.clone(),
            checksum_crc32: crc32,
            checksum_crc32c: crc32c,
            checksum_crc64nvme: crc64nvme,
            checksum_sha1: sha1,
            checksum_sha256: sha256,
            checksum_type,
            content_disposition: disposition(bucket, granted, object),
            content_encoding: head.content_encoding.clone(),
            content_language: head.content_language.clone(),
            content_length: i64::try_from(span.to - span.from).ok(),
            content_range: (span.partial && object.size > 0).then(range),
            content_type: Some(heads::content_type(head)),
            e_tag: Some(etag(&object.etag)),
            expires: head.expires.as_deref().and_then(times::read),
            last_modified: Some(times::told(object.modified)),
            metadata: (!head.metadata.is_empty()).then(|| head.metadata.clone().into_iter().collect()),
            parts_count: parts_count.filter(|_| object.etag.contains('-')),
            version_id: version_told(bucket, object),
            ..HeadObjectOutput::default()
        })
    }

    fn alone(self) -> HeadObjectOutput {
        self.0
    }

    fn with_body(self, body: StreamingBlob) -> GetObjectOutput {
        let about = self.0;
        GetObjectOutput {
            accept_ranges: about.accept_ranges,
            body: Some(body),
            cache_control: about.cache_control,
            checksum_crc32: about.checksum_crc32,
            checksum_crc32c: about.checksum_crc32c,
            checksum_crc64nvme: about.checksum_crc64nvme,
            checksum_sha1: about.checksum_sha1,
            checksum_sha256: about.checksum_sha256,
            checksum_type: about.checksum_type,
            content_disposition: about.content_disposition,
            content_encoding: about.content_encoding,
            content_language: about.content_language,
            content_length: about.content_length,
            content_range: about.content_range,
            content_type: about.content_type,
            e_tag: about.e_tag,
            expires: about.expires,
            last_modified: about.last_modified,
            metadata: about.metadata,
            parts_count: about.parts_count,
            version_id: about.version_id,
            ..GetObjectOutput::default()
        }
    }
}

/// What strangers read is saved and not shown, unless the bucket is a site and the object says that it is shown.
fn disposition(bucket: &Bucket, granted: Granted, object: &Object) -> Option<String> {
    let said = object.head.content_disposition.clone();
    if granted != Granted::Public {
        return said;
    }
    let attached =
        said.as_ref().is_some_and(|said| said.trim_start().to_ascii_lowercase().starts_with("attachment"));
    let shown = bucket.settings.site.is_some() && said.is_some();
    if attached || shown { said } else { Some("attachment".to_owned()) }
}

#[cfg(test)]
mod tests;
