//! Listing objects and their versions.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flagbase_core::buckets::{Act, Action, Bucket, Listed, Listing, MOST_LISTED, Object, Position};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        self, CommonPrefix, DeleteMarkerEntry, EncodingType, ListObjectVersionsInput,
        ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
        ListObjectsV2Output, ObjectStorageClass, ObjectVersion, ObjectVersionStorageClass, Owner,
    },
    s3_error,
};

use super::{Facade, checksums, conditions::etag, guest::Guest, refusals::refused, times};

/// What stands in a URL as it is, and in S3's listings, too.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Whoever owns what there is.
const OWNER: &str = "flagbase";

/// How keys are written in an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    encoded: bool,
}

impl Words {
    pub(super) fn of(encoding: Option<&EncodingType>) -> Self {
        Self { encoded: encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL) }
    }

    /// A key or a part of one.
    pub(super) fn word(self, text: &str) -> String {
        if self.encoded { utf8_percent_encode(text, ENCODED).to_string() } else { text.to_owned() }
    }

    pub(super) fn groups(self, prefixes: &[String]) -> Vec<CommonPrefix> {
        let group = |prefix: &String| CommonPrefix { prefix: Some(self.word(prefix)) };
        prefixes.iter().map(group).collect()
    }
}

/// Who owns objects.
pub(super) fn owner() -> Owner {
    Owner { display_name: Some(OWNER.to_owned()), id: Some(OWNER.to_owned()) }
}

/// How many items a page may have, as it was said.
pub(super) fn most(said: Option<i32>) -> S3Result<u32> {
    match said.map(u32::try_from) {
        None => Ok(MOST_LISTED),
        Some(Ok(most)) => Ok(most.min(MOST_LISTED)),
        Some(Err(_)) => Err(s3_error!(InvalidArgument, "a page has 0 to {MOST_LISTED} items")),
    }
}

/// What is listed, wherever the list goes on.
struct Asked {
    prefix: Option<String>,
    delimiter: Option<String>,
    limit: u32,
    after: Option<Position>,
    versions: bool,
}

impl Facade {
    async fn page(&self, guest: &Guest, bucket: &str, asked: Asked) -> S3Result<Listed> {
        let action = if asked.versions { Action::ListVersions } else { Action::ListBucket };
        let prefix = asked.prefix.unwrap_or_default();
        let bucket: std::sync::Arc<Bucket> = self.admit(guest, bucket, Act::new(action, &prefix))?;
        if asked.limit == 0 {
            return Ok(Listed::default());
        }
        let listing = Listing {
            prefix,
            delimiter: asked.delimiter.filter(|delimiter| !delimiter.is_empty()),
            after: asked.after,
            versions: asked.versions,
            limit: asked.limit,
        };
        self.buckets.objects().list(&bucket, &listing).await.map_err(refused)
    }

    pub(super) async fn list(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let (limit, words) = (most(input.max_keys)?, Words::of(input.encoding_type.as_ref()));
        let after = input.marker.clone().filter(|marker| !marker.is_empty()).map(Position::after);
        let asked = Asked {
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            limit,
            after,
            versions: false,
        };
        let listed = self.page(&guest, &input.bucket, asked).await?;
        let next = listed.next.as_ref().filter(|_| input.delimiter.is_some());
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(words.word(&input.prefix.unwrap_or_default())),
            marker: Some(words.word(&input.marker.unwrap_or_default())),
            max_keys: i32::try_from(limit).ok(),
            is_truncated: Some(listed.next.is_some()),
            next_marker: next.map(|next| words.word(&next.key)),
            contents: Some(listed.objects.iter().map(|object| told(object, words, true)).collect()),
            common_prefixes: Some(words.groups(&listed.prefixes)),
            delimiter: input.delimiter.filter(|it| !it.is_empty()).map(|it| words.word(&it)),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        }))
    }

    pub(super) async fn list_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let (limit, words) = (most(input.max_keys)?, Words::of(input.encoding_type.as_ref()));
        let start = input.start_after.clone().filter(|start| !start.is_empty());
        let after = match input.continuation_token.as_ref().filter(|token| !token.is_empty()) {
            Some(token) => Some(read(token)?),
            None => start,
        };
        let asked = Asked {
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            limit,
            after: after.map(Position::after),
            versions: false,
        };
        let listed = self.page(&guest, &input.bucket, asked).await?;
        let with_owner = input.fetch_owner.unwrap_or_default();
        let contents: Vec<_> = listed.objects.iter().map(|object| told(object, words, with_owner)).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(words.word(&input.prefix.unwrap_or_default())),
            max_keys: i32::try_from(limit).ok(),
            key_count: i32::try_from(contents.len() + listed.prefixes.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(listed.next.is_some()),
            next_continuation_token: listed.next.as_ref().map(|next| token(&next.key)),
            contents: Some(contents),
            common_prefixes: Some(words.groups(&listed.prefixes)),
            delimiter: input.delimiter.filter(|it| !it.is_empty()).map(|it| words.word(&it)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|start| words.word(&start)),
            ..ListObjectsV2Output::default()
        }))
    }

    pub(super) async fn versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let (limit, words) = (most(input.max_keys)?, Words::of(input.encoding_type.as_ref()));
        let key = input.key_marker.clone().filter(|key| !key.is_empty());
        let version = input.version_id_marker.clone().filter(|version| !version.is_empty());
        if version.is_some() && key.is_none() {
            return Err(s3_error!(InvalidArgument, "version-id-marker needs key-marker"));
        }
        let asked = Asked {
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            limit,
            after: key.map(|key| Position { key, version: version.unwrap_or_default() }),
            versions: true,
        };
        let listed = self.page(&guest, &input.bucket, asked).await?;
        let (markers, versions): (Vec<&Object>, Vec<&Object>) =
            listed.objects.iter().partition(|object| object.marker);
        let next = listed.next.as_ref();
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(words.word(&input.prefix.unwrap_or_default())),
            max_keys: i32::try_from(limit).ok(),
            is_truncated: Some(next.is_some()),
            key_marker: Some(words.word(&input.key_marker.unwrap_or_default())),
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            next_key_marker: next.map(|next| words.word(&next.key)),
            next_version_id_marker: next.map(|next| next.version.clone()).filter(|it| !it.is_empty()),
            versions: Some(versions.into_iter().map(|object| version_told(object, words)).collect()),
            delete_markers: Some(markers.into_iter().map(|object| marker_told(object, words)).collect()),
            common_prefixes: Some(words.groups(&listed.prefixes)),
            delimiter: input.delimiter.filter(|it| !it.is_empty()).map(|it| words.word(&it)),
            encoding_type: input.encoding_type,
            ..ListObjectVersionsOutput::default()
        }))
    }
}

fn told(object: &Object, words: Words, with_owner: bool) -> dto::Object {
    dto::Object {
        checksum_algorithm: object.checksum.as_ref().map(|sum| vec![checksums::named(sum.algorithm)]),
        checksum_type: object.checksum.as_ref().map(|sum| checksums::kind(sum.composite)),
        e_tag: Some(etag(&object.etag)),
        key: Some(words.word(&object.key)),
        last_modified: Some(times::told(object.modified)),
        owner: with_owner.then(owner),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
    }
}

fn version_told(object: &Object, words: Words) -> ObjectVersion {
    ObjectVersion {
        checksum_algorithm: object.checksum.as_ref().map(|sum| vec![checksums::named(sum.algorithm)]),
        checksum_type: object.checksum.as_ref().map(|sum| checksums::kind(sum.composite)),
        e_tag: Some(etag(&object.etag)),
        is_latest: Some(object.latest),
        key: Some(words.word(&object.key)),
        last_modified: Some(times::told(object.modified)),
        owner: Some(owner()),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
        version_id: Some(object.version.clone()),
    }
}

fn marker_told(object: &Object, words: Words) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(object.latest),
        key: Some(words.word(&object.key)),
        last_modified: Some(times::told(object.modified)),
        owner: Some(owner()),
        version_id: Some(object.version.clone()),
    }
}

/// Where a list goes on, as clients carry it.
fn token(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn read(token: &str) -> S3Result<String> {
    let key = URL_SAFE_NO_PAD.decode(token).ok().and_then(|key| String::from_utf8(key).ok());
    let key = key.filter(|key| !key.is_empty());
    key.ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is none of ours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_where_the_list_goes_on() {
        for key in ["a", "ä/b c", "\u{1f980}", "a/"] {
            assert_eq!(read(&token(key)).unwrap(), key);
        }
        for wrong in ["", "!", "_w"] {
            assert_eq!(read(wrong).unwrap_err().code().as_str(), "InvalidArgument", "{wrong}");
        }
    }

    #[test]
    fn keys_are_encoded_when_that_was_asked() {
        let plain = Words::of(None);
        let encoded = Words::of(Some(&EncodingType::from_static(EncodingType::URL)));
        assert_eq!(plain.word("a b/ä\u{1}"), "a b/ä\u{1}");
        assert_eq!(encoded.word("a b/ä+\u{1}"), "a%20b/%C3%A4%2B%01");
    }

    #[test]
    fn a_page_has_at_most_a_thousand_items() {
        assert_eq!(most(None).unwrap(), 1000);
        assert_eq!(most(Some(0)).unwrap(), 0);
        assert_eq!(most(Some(5000)).unwrap(), 1000);
        assert!(most(Some(-1)).is_err());
    }
}
