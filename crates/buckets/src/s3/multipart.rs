//! Uploads in parts.

use std::sync::Arc;

use flagbase_core::buckets::{
    Act, Action, Algorithm, Begin, Bucket, Checksum, Complete, MOST_PARTS, Object, PartOf, Upload,
    UploadForm, etag_of_parts, no_object,
};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CompletedPart, CopyPartResult, CreateMultipartUploadInput,
        CreateMultipartUploadOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
        UploadPartOutput,
    },
    s3_error,
};

use super::{
    Facade, blobs,
    checksums::{self, Said},
    conditions::{self, Conditions, etag},
    copying::fits,
    guest::Guest,
    heads::{self, Fields},
    reading::version_written,
    refusals::refused,
    tagging, times, writing,
};

/// The least that every part but the last one has, in bytes, as S3 has it.
const LEAST: u64 = 5 * 1024 * 1024;

impl Facade {
    pub(super) async fn begin(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        heads::check_acl(input.acl.as_ref())?;
        heads::check_storage(input.storage_class.as_ref())?;
        let bucket = self.admit(&guest, &input.bucket, Act::new(Action::PutObject, &input.key))?;
        let checksum = checksums::of_upload(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
        let head = Fields {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            expires: input.expires,
            metadata: input.metadata,
        };
        let tags = tagging::of_header(input.tagging.as_deref())?;
        let form = UploadForm { checksum, owner: guest.owner(), ..UploadForm::default() };
        let begin = Begin { key: &input.key, head: head.into(), tags, form };
        let upload = self.buckets.objects().begin(&bucket, begin).await.map_err(refused)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: checksum.map(|(algorithm, _)| checksums::named(algorithm)),
            checksum_type: checksum.map(|(_, composite)| checksums::kind(composite)),
            key: Some(input.key),
            upload_id: Some(upload.id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    /// The upload under this key, when the guest may do `action` there.
    pub(super) async fn upload(
        &self,
        guest: &Guest,
        action: Action,
        (bucket, key, id): (&str, &str, &str),
    ) -> S3Result<(Arc<Bucket>, Upload)> {
        let bucket = self.admit(guest, bucket, Act::new(action, key))?;
        let upload = self.buckets.objects().upload(&bucket, id).await.map_err(refused)?;
        if upload.key != key || upload.is_appended() {
            return Err(s3_error!(NoSuchUpload, "there is no such upload for this key"));
        }
        Ok((bucket, upload))
    }

    pub(super) async fn part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let guest = Guest::of(&request)?;
        let S3Request { input, headers, trailing_headers, .. } = request;
        let number = number(input.part_number)?;
        let size = writing::size(input.content_length, input.body.as_ref())?;
        let at = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let (bucket, upload) = self.upload(&guest, Action::PutObject, at).await?;
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
        let wanted = upload.form.checksum.map(|(algorithm, _)| algorithm);
        same_algorithm(wanted, said.checksum()?.map(|said| said.algorithm))?;
        let digests = said.digests(&headers, wanted)?;
        let (body, broken) = blobs::incoming(input.body, Some(size));
        let kept = self.buckets.objects().part(&bucket, (&upload.id, number), (body, digests)).await;
        let part = kept.map_err(|refusal| broken.told(refusal))?;
        let (sums, _) = checksums::told(part.checksum.as_ref());
        let [crc32, crc32c, crc64nvme, sha1, sha256] = sums;
        Ok(S3Response::new(UploadPartOutput {
            checksum_crc32: crc32,
            checksum_crc32c: crc32c,
            checksum_crc64nvme: crc64nvme,
            checksum_sha1: sha1,
            checksum_sha256: sha256,
            e_tag: Some(etag(&part.etag)),
            ..UploadPartOutput::default()
        }))
    }

    pub(super) async fn part_of(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let guest = Guest::of(&request)?;
        let S3Request { input, headers, .. } = request;
        let number = number(input.part_number)?;
        let source = self.source(&guest, &input.copy_source)?;
        let at = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let (target, upload) = self.upload(&guest, Action::PutObject, at).await?;
        let of = PartOf {
            from: &source.key,
            version: source.version.as_deref(),
            range: input.copy_source_range.as_deref().map(range).transpose()?,
        };
        let wanted = upload.form.checksum.map(|(algorithm, _)| algorithm);
        let digests = Said::default().digests(&headers, wanted)?;
        let conditions = Conditions {
            matches: input.copy_source_if_match,
            differs: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let fits = fits(conditions);
        let both = (&*source.bucket, &*target);
        let kept = self.buckets.objects().part_of(both, (&upload.id, number), of, (digests, &fits)).await;
        let part = kept.map_err(refused)?.ok_or_else(|| refused(no_object(&source.bucket, &source.key)))?;
        let (sums, _) = checksums::told(part.checksum.as_ref());
        let [crc32, crc32c, crc64nvme, sha1, sha256] = sums;
        let result = CopyPartResult {
            checksum_crc32: crc32,
            checksum_crc32c: crc32c,
            checksum_crc64nvme: crc64nvme,
            checksum_sha1: sha1,
            checksum_sha256: sha256,
            e_tag: Some(etag(&part.etag)),
            last_modified: Some(times::told(part.modified)),
        };
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(result),
            copy_source_version_id: source.version,
            ..UploadPartCopyOutput::default()
        }))
    }

    pub(super) async fn complete(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "name the parts"));
        }
        let named = input.if_match.is_some();
        let parts: Vec<Named> = parts.into_iter().map(part).collect::<S3Result<_>>()?;
        let bucket = self.admit(&guest, &input.bucket, Act::new(Action::PutObject, &input.key))?;
        let sums = [
            input.checksum_crc32,
            input.checksum_crc32c,
            input.checksum_crc64nvme,
            input.checksum_sha1,
            input.checksum_sha256,
        ];
        let at = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let known = self.upload(&guest, Action::PutObject, at).await;
        let object = match known {
            Ok((_, upload)) => {
                let complete = Complete {
                    parts: Some(parts),
                    checksum: checksums::one(&sums)?,
                    size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
                    least: LEAST,
                    condition: conditions::of_write(input.if_match, input.if_none_match)?,
                };
                let done =
                    self.buckets.objects().complete(guest.actor(), &bucket, &upload.id, complete).await;
                match done {
                    Ok(object) => object,
                    Err(refusal) if named => return Err(self.stale(&bucket, &input.key, refusal).await),
                    Err(refusal) => return Err(refused(refusal)),
                }
            }
            // A client that did not hear the answer asks again.
            Err(error) => self.complete_already(&bucket, &input.key, &parts).await.ok_or(error)?,
        };
        let (sums, checksum_type) = checksums::told(Some(&checksums::of_object(&object)));
        let [crc32, crc32c, crc64nvme, sha1, sha256] = sums;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("http://{}/{}/{}", guest.host, input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_crc32: crc32,
            checksum_crc32c: crc32c,
            checksum_crc64nvme: crc64nvme,
            checksum_sha1: sha1,
            checksum_sha256: sha256,
            checksum_type,
            e_tag: Some(etag(&object.etag)),
            version_id: version_written(&bucket, &object),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    /// The object that these parts are, when they are one already.
    async fn complete_already(&self, bucket: &Bucket, key: &str, parts: &[Named]) -> Option<Object> {
        let md5 = |(_, etag, _): &Named| hex::decode(etag).ok()?.try_into().ok();
        let md5s: Option<Vec<[u8; 16]>> = parts.iter().map(md5).collect();
        let newest = self.buckets.objects().newest(bucket, key).await.ok()??;
        (!newest.marker && newest.etag == etag_of_parts(&md5s?)).then_some(newest)
    }

    pub(super) async fn abort(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let at = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let (bucket, upload) = self.upload(&guest, Action::AbortUpload, at).await?;
        if !self.buckets.objects().abort(&bucket, &upload.id).await.map_err(refused)? {
            return Err(s3_error!(NoSuchUpload, "there is no such upload any more"));
        }
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// A part as it is named when an upload is completed: number, `ETag`, checksum.
type Named = (u32, String, Option<Checksum>);

fn part(part: CompletedPart) -> S3Result<Named> {
    let number = number(part.part_number.unwrap_or_default())?;
    let etag = part.e_tag.ok_or_else(|| s3_error!(MalformedXML, "part {number} has no ETag"))?;
    let sums = [
        part.checksum_crc32,
        part.checksum_crc32c,
        part.checksum_crc64nvme,
        part.checksum_sha1,
        part.checksum_sha256,
    ];
    Ok((number, etag.into_value(), checksums::one(&sums)?))
}

fn number(number: i32) -> S3Result<u32> {
    let known = u32::try_from(number).ok().filter(|number| (1..=MOST_PARTS).contains(number));
    known.ok_or_else(|| s3_error!(InvalidArgument, "parts have numbers from 1 to {MOST_PARTS}"))
}

/// `bytes=<first>-<last>`, as the bytes from the first up to before the one after the last.
fn range(text: &str) -> S3Result<(u64, u64)> {
    let both = text.strip_prefix("bytes=").and_then(|rest| rest.split_once('-'));
    let numbers = both.and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<u64>().ok()?)));
    let range: Option<(u64, u64)> = numbers.and_then(|(first, last)| Some((first, last.checked_add(1)?)));
    let range = range.filter(|(first, end)| first < end);
    range.ok_or_else(|| s3_error!(InvalidArgument, "x-amz-copy-source-range is `bytes=<first>-<last>`"))
}

fn same_algorithm(wanted: Option<Algorithm>, said: Option<Algorithm>) -> S3Result<()> {
    match (wanted, said) {
        (Some(wanted), Some(said)) if wanted != said => Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: {wanted}, actual checksum Type: {said}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use s3s::dto::ETag;

    use super::*;

    #[test]
    fn parts_have_numbers_that_s3_has() {
        assert_eq!(number(1).unwrap(), 1);
        assert_eq!(number(10_000).unwrap(), 10_000);
        for wrong in [0, -1, 10_001] {
            assert_eq!(number(wrong).unwrap_err().code().as_str(), "InvalidArgument", "{wrong}");
        }
    }

    #[test]
    fn a_range_of_what_is_copied_has_both_ends() {
        assert_eq!(range("bytes=0-4").unwrap(), (0, 5));
        for wrong in ["0-4", "bytes=4-0", "bytes=0-", "bytes=-4", "bytes=a-b", "bytes=0-18446744073709551615"]
        {
            assert_eq!(range(wrong).unwrap_err().code().as_str(), "InvalidArgument", "{wrong}");
        }
    }

    #[test]
    fn a_part_is_named_with_its_etag() {
        let named = CompletedPart {
            e_tag: Some(ETag::Strong("abc".into())),
            part_number: Some(3),
            ..CompletedPart::default()
        };
        assert_eq!(part(named).unwrap(), (3, "abc".to_owned(), None));
        let bare = CompletedPart { part_number: Some(3), ..CompletedPart::default() };
        assert_eq!(part(bare).unwrap_err().code().as_str(), "MalformedXML");
    }

    #[test]
    fn an_upload_keeps_to_its_algorithm() {
        assert!(same_algorithm(None, Some(Algorithm::Crc32)).is_ok());
        assert!(same_algorithm(Some(Algorithm::Crc32), None).is_ok());
        assert!(same_algorithm(Some(Algorithm::Sha1), Some(Algorithm::Crc32)).is_err());
    }
}
