//! What is sent along with an object's bytes.

use std::collections::HashMap;

use flagbase_core::buckets::ObjectHead;
use s3s::{
    S3Result,
    dto::{ObjectCannedACL, StorageClass, Timestamp},
    s3_error,
};

use super::times;

/// What S3 says of bytes whose type nobody said.
const NO_TYPE: &str = "binary/octet-stream";

/// The fields of a request that become a head.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) metadata: Option<HashMap<String, String>>,
}

impl From<Fields> for ObjectHead {
    fn from(fields: Fields) -> Self {
        let metadata = fields.metadata.unwrap_or_default();
        Self {
            content_type: fields.content_type.unwrap_or_default(),
            cache_control: fields.cache_control,
            content_disposition: fields.content_disposition,
            content_encoding: fields.content_encoding.and_then(|encoding| plain_encoding(&encoding)),
            content_language: fields.content_language,
            expires: fields.expires.as_ref().and_then(times::written),
            metadata: metadata.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
        }
    }
}

/// How the bytes are encoded that are kept: `aws-chunked` was only for the way.
fn plain_encoding(encoding: &str) -> Option<String> {
    let words = encoding.split(',').map(str::trim);
    let kept: Vec<&str> = words.filter(|word| !word.is_empty() && *word != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// The media type of an object.
pub(super) fn content_type(head: &ObjectHead) -> String {
    if head.content_type.is_empty() { NO_TYPE.to_owned() } else { head.content_type.clone() }
}

/// There are no lists of who may do what on objects: policies do that.
pub(super) fn check_acl(acl: Option<&ObjectCannedACL>) -> S3Result<()> {
    let fits = |acl: &ObjectCannedACL| {
        matches!(acl.as_str(), "" | "private" | "bucket-owner-full-control" | "bucket-owner-read")
    };
    if acl.is_none_or(fits) {
        return Ok(());
    }
    Err(s3_error!(AccessControlListNotSupported, "the bucket does not allow ACLs; use its policy"))
}

/// There is one way in which objects are kept.
pub(super) fn check_storage(class: Option<&StorageClass>) -> S3Result<()> {
    if class.is_none_or(|class| class.as_str() == StorageClass::STANDARD) {
        return Ok(());
    }
    Err(s3_error!(InvalidStorageClass, "there is only the storage class STANDARD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_the_way_is_not_kept() {
        for (said, kept) in [
            ("aws-chunked", None),
            ("gzip", Some("gzip")),
            ("aws-chunked,gzip", Some("gzip")),
            ("gzip, aws-chunked", Some("gzip")),
            ("", None),
        ] {
            let head = ObjectHead::from(Fields { content_encoding: Some(said.into()), ..Fields::default() });
            assert_eq!(head.content_encoding.as_deref(), kept, "{said}");
        }
    }

    #[test]
    fn names_of_metadata_are_lower_case_and_bytes_without_a_type_have_one() {
        let metadata = HashMap::from([("Owner".to_owned(), "Alice".to_owned())]);
        let head = ObjectHead::from(Fields { metadata: Some(metadata), ..Fields::default() });
        assert_eq!(head.metadata["owner"], "Alice");
        assert_eq!(content_type(&head), "binary/octet-stream");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        assert!(check_acl(None).is_ok());
        assert!(check_acl(Some(&ObjectCannedACL::from_static(ObjectCannedACL::PRIVATE))).is_ok());
        assert!(check_acl(Some(&ObjectCannedACL::from_static(ObjectCannedACL::PUBLIC_READ))).is_err());
        assert!(check_storage(Some(&StorageClass::from_static(StorageClass::STANDARD))).is_ok());
        assert!(check_storage(Some(&StorageClass::from_static(StorageClass::GLACIER))).is_err());
    }
}
