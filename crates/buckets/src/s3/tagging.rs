//! Tags of objects.

use std::collections::BTreeMap;

use flagbase_core::buckets::{Act, Action, Amendment, no_object};
use percent_encoding::percent_decode_str;
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
        PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
    },
    s3_error,
};

use super::{Facade, guest::Guest, reading::version_told, refusals::refused};

impl Facade {
    pub(super) async fn tags(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let guest = Guest::of(&request)?;
        let GetObjectTaggingInput { bucket, key, version_id, .. } = request.input;
        let bucket = self.admit(&guest, &bucket, Act::new(Action::GetTags, &key))?;
        let found =
            self.buckets.objects().head(&bucket, &key, version_id.as_deref()).await.map_err(refused)?;
        let object =
            found.filter(|object| !object.marker).ok_or_else(|| refused(no_object(&bucket, &key)))?;
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set: list(&object.tags),
            version_id: version_told(&bucket, &object),
        }))
    }

    pub(super) async fn tag(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let guest = Guest::of(&request)?;
        let PutObjectTaggingInput { bucket, key, version_id, tagging, .. } = request.input;
        let tags = read(tagging.tag_set)?;
        let version_id = self.set_tags(&guest, (&bucket, &key, version_id.as_deref()), tags).await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
    }

    pub(super) async fn untag(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let guest = Guest::of(&request)?;
        let DeleteObjectTaggingInput { bucket, key, version_id, .. } = request.input;
        let none = BTreeMap::new();
        let version_id = self.set_tags(&guest, (&bucket, &key, version_id.as_deref()), none).await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
    }

    async fn set_tags(
        &self,
        guest: &Guest,
        (bucket, key, version): (&str, &str, Option<&str>),
        tags: BTreeMap<String, String>,
    ) -> S3Result<Option<String>> {
        let bucket = self.admit(guest, bucket, Act::new(Action::PutTags, key))?;
        let amendment = Amendment { tags: Some(tags), ..Amendment::default() };
        let amended = self.buckets.objects().amend(guest.actor(), &bucket, (key, version), amendment).await;
        let object = amended.map_err(refused)?.ok_or_else(|| refused(no_object(&bucket, key)))?;
        Ok(version_told(&bucket, &object))
    }
}

/// Tags as S3 lists them.
pub(super) fn list(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
    tags.iter().map(tag).collect()
}

/// Tags that S3 listed.
pub(super) fn read(list: Vec<Tag>) -> S3Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for Tag { key, value } in list {
        add(&mut tags, key.unwrap_or_default(), value.unwrap_or_default())?;
    }
    Ok(tags)
}

/// Tags as the header `x-amz-tagging` has them: like the query of a URL.
pub(super) fn of_header(header: Option<&str>) -> S3Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for pair in header.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        add(&mut tags, decoded(key)?, decoded(value)?)?;
    }
    Ok(tags)
}

fn add(tags: &mut BTreeMap<String, String>, key: String, value: String) -> S3Result<()> {
    match tags.insert(key, value) {
        None => Ok(()),
        Some(_) => Err(s3_error!(InvalidTag, "a tag is there twice")),
    }
}

fn decoded(text: &str) -> S3Result<String> {
    let plain = text.replace('+', " ");
    let decoded = percent_decode_str(&plain).decode_utf8().map(std::borrow::Cow::into_owned);
    decoded.map_err(|_| s3_error!(InvalidTag, "a tag is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_like_the_query_of_a_url() {
        let tags = of_header(Some("team=blue+sky&a%26b=%C3%A4&empty=&bare")).unwrap();
        let expected = [("a&b", "ä"), ("bare", ""), ("empty", ""), ("team", "blue sky")];
        assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert!(of_header(None).unwrap().is_empty());
        assert!(of_header(Some("a=1&a=2")).is_err());
        assert!(of_header(Some("a=%ff")).is_err());
    }

    #[test]
    fn a_list_goes_both_ways() {
        let tags = of_header(Some("a=1&b=2")).unwrap();
        assert_eq!(read(list(&tags)).unwrap(), tags);
        let twice = vec![Tag { key: Some("a".into()), value: None }; 2];
        assert!(read(twice).is_err());
    }
}
