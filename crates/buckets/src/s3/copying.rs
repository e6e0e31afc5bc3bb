//! Copying objects.

use flagbase_core::{
    buckets::{Act, Action, Bucket, Copying, Object, no_object},
    refusal::{Class, Refusal},
};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, MetadataDirective, TaggingDirective,
    },
    s3_error,
};

use super::{
    Facade, checksums,
    conditions::{Conditions, Verdict, etag},
    guest::Guest,
    heads::{self, Fields},
    reading::version_written,
    refusals::refused,
    tagging, times,
};
use std::sync::Arc;

/// What is copied.
pub(super) struct Source {
    pub(super) bucket: Arc<Bucket>,
    pub(super) key: String,
    pub(super) version: Option<String>,
}

impl Facade {
    /// What is to be copied, when the guest may read it.
    pub(super) fn source(&self, guest: &Guest, source: &CopySource) -> S3Result<Source> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(s3_error!(NotImplemented, "say `<bucket>/<key>` in x-amz-copy-source"));
        };
        let action = if version_id.is_some() { Action::GetVersion } else { Action::GetObject };
        let bucket = self.admit(guest, bucket, Act::new(action, key))?;
        Ok(Source { bucket, key: key.to_string(), version: version_id.as_deref().map(str::to_owned) })
    }

    pub(super) async fn duplicate(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        heads::check_acl(input.acl.as_ref())?;
        heads::check_storage(input.storage_class.as_ref())?;
        let source = self.source(&guest, &input.copy_source)?;
        let target = self.admit(&guest, &input.bucket, Act::new(Action::PutObject, &input.key))?;
        let replaces = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
            None | Some(MetadataDirective::COPY) => false,
            Some(MetadataDirective::REPLACE) => true,
            Some(_) => return Err(s3_error!(InvalidArgument, "x-amz-metadata-directive is COPY or REPLACE")),
        };
        let retags = match input.tagging_directive.as_ref().map(TaggingDirective::as_str) {
            None | Some(TaggingDirective::COPY) => false,
            Some(TaggingDirective::REPLACE) => true,
            Some(_) => return Err(s3_error!(InvalidArgument, "x-amz-tagging-directive is COPY or REPLACE")),
        };
        let same = source.bucket.id == target.id && source.key == input.key && source.version.is_none();
        if same && !replaces {
            return Err(s3_error!(
                InvalidRequest,
                "an object is not copied to itself without changing its metadata; say REPLACE"
            ));
        }
        let head = Fields {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            expires: input.expires,
            metadata: input.metadata,
        };
        let tags = if retags { Some(tagging::of_header(input.tagging.as_deref())?) } else { None };
        let conditions = Conditions {
            matches: input.copy_source_if_match,
            differs: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let copying = Copying {
            from: &source.key,
            version: source.version.as_deref(),
            to: &input.key,
            head: replaces.then(|| head.into()),
            tags,
            ..Copying::default()
        };
        let both = (&*source.bucket, &*target);
        let copied = self.buckets.objects().copy(guest.actor(), both, copying, &fits(conditions)).await;
        let object =
            copied.map_err(refused)?.ok_or_else(|| refused(no_object(&source.bucket, &source.key)))?;
        let output = CopyObjectOutput {
            copy_object_result: Some(result(&object)),
            copy_source_version_id: source.version,
            version_id: version_written(&target, &object),
            ..CopyObjectOutput::default()
        };
        Ok(S3Response::new(output))
    }
}

/// Refuses to copy what is not what was expected.
pub(super) fn fits(conditions: Conditions) -> impl Fn(&Object) -> Result<(), Refusal> + Send + Sync {
    move |object| match conditions.judge(object) {
        Verdict::Holds => Ok(()),
        Verdict::NotModified | Verdict::Failed => {
            let message = "what is to be copied is not what was expected";
            Err(Refusal::new(Class::Stale, "precondition_failed", message))
        }
    }
}

fn result(object: &Object) -> CopyObjectResult {
    let (sums, checksum_type) = checksums::told(Some(&checksums::of_object(object)));
    let [checksum_crc32, checksum_crc32c, checksum_crc64nvme, checksum_sha1, checksum_sha256] = sums;
    CopyObjectResult {
        checksum_crc32,
        checksum_crc32c,
        checksum_crc64nvme,
        checksum_sha1,
        checksum_sha256,
        checksum_type,
        e_tag: Some(etag(&object.etag)),
        last_modified: Some(times::told(object.modified)),
    }
}
