//! Writing objects.

use flagbase_core::{
    buckets::{Act, Action, Bucket, Condition, Put, no_object},
    refusal::Refusal,
};
use s3s::{
    S3Error, S3Request, S3Response, S3Result,
    dto::{PutObjectInput, PutObjectOutput, StreamingBlob},
    s3_error,
    stream::ByteStream as _,
};

use super::{
    Facade, blobs,
    checksums::{self, Said},
    conditions::{self, etag},
    guest::Guest,
    heads::{self, Fields},
    reading::version_written,
    refusals::refused,
    tagging,
};

/// The largest object that is written at once, and the largest part, in bytes, as S3 has it.
pub(super) const MOST: u64 = 5 * 1024 * 1024 * 1024;

impl Facade {
    pub(super) async fn write(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let guest = Guest::of(&request)?;
        let S3Request { input, headers, trailing_headers, .. } = request;
        heads::check_acl(input.acl.as_ref())?;
        heads::check_storage(input.storage_class.as_ref())?;
        let size = size(input.content_length, input.body.as_ref())?;
        let tags = tagging::of_header(input.tagging.as_deref())?;
        let named = input.if_match.is_some();
        let condition = conditions::of_write(input.if_match, input.if_none_match)?;
        let bucket = self.admit(&guest, &input.bucket, Act::new(Action::PutObject, &input.key))?;
        if !tags.is_empty() {
            self.admit(&guest, &input.bucket, Act::new(Action::PutTags, &input.key))?;
        }
        let said = Said {
            sums: [
                input.checksum_crc32,
                input.checksum_crc32c,
                input.checksum_crc64nvme,
                input.checksum_sha1,
                input.checksum_sha256,
            ],
            md5: input.content_md5,
            algorithm: input.checksum_algorithm,
            trailers: trailing_headers,
            size: Some(size),
        };
        let digests = said.digests(&headers, None)?;
        let (body, broken) = blobs::incoming(input.body, Some(size));
        let head = Fields {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            expires: input.expires,
            metadata: input.metadata,
        };
        let key = input.key.as_str();
        let put = Put { key, head: head.into(), tags, body, digests, condition };
        let object = match self.buckets.objects().put(guest.actor(), &bucket, put).await {
            Ok(object) => object,
            Err(refusal) if named => return Err(self.stale(&bucket, key, refusal).await),
            Err(refusal) => return Err(broken.told(refusal)),
        };
        let (sums, checksum_type) = checksums::told(Some(&checksums::of_object(&object)));
        let [crc32, crc32c, crc64nvme, sha1, sha256] = sums;
        Ok(S3Response::new(PutObjectOutput {
            checksum_crc32: crc32,
            checksum_crc32c: crc32c,
            checksum_crc64nvme: crc64nvme,
            checksum_sha1: sha1,
            checksum_sha256: sha256,
            checksum_type,
            e_tag: Some(etag(&object.etag)),
            version_id: version_written(&bucket, &object),
            ..PutObjectOutput::default()
        }))
    }

    /// What is to be replaced and is not there is missing, not changed.
    pub(super) async fn stale(&self, bucket: &Bucket, key: &str, refusal: Refusal) -> S3Error {
        let newest = self.buckets.objects().newest(bucket, key).await;
        match newest {
            Ok(newest)
                if refusal.code == "precondition_failed" && !Condition::Present.holds(newest.as_ref()) =>
            {
                refused(no_object(bucket, key))
            }
            _ => refused(refusal),
        }
    }
}

/// How many bytes a body has: nothing is taken whose size nobody said.
pub(super) fn size(said: Option<i64>, body: Option<&StreamingBlob>) -> S3Result<u64> {
    let known = said.and_then(|said| u64::try_from(said).ok());
    let exact = || body.and_then(|body| body.remaining_length().exact()).map(|size| size as u64);
    let size = known.or_else(exact).or(body.is_none().then_some(0));
    match size {
        None => Err(s3_error!(MissingContentLength, "say how many bytes come: send Content-Length")),
        Some(size) if size > MOST => {
            Err(s3_error!(EntityTooLarge, "at most {MOST} bytes are written at once; upload it in parts"))
        }
        Some(size) => Ok(size),
    }
}
