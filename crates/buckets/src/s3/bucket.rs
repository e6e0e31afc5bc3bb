//! Buckets themselves.

use flagbase_core::{
    buckets::{Act, Action},
    catalog::{Document, Page},
    refusal::{Class, Precondition},
};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        Bucket, BucketCannedACL, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput,
        DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput,
        HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
    },
    s3_error,
};
use serde_json::json;

use super::{Facade, guest::Guest, listing::owner, refusals::refused, times};

/// The region that has no name in answers.
const NAMELESS: &str = "us-east-1";

/// Buckets that are read at once.
const PAGE: u32 = 1000;

impl Facade {
    pub(super) async fn make(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        if input.object_lock_enabled_for_bucket == Some(true) {
            return Err(s3_error!(NotImplemented, "objects cannot be locked here"));
        }
        if input.acl.as_ref().is_some_and(|acl| acl.as_str() != BucketCannedACL::PRIVATE) {
            return Err(s3_error!(
                AccessControlListNotSupported,
                "the bucket does not allow ACLs; use its policy, or make it public by the API"
            ));
        }
        let made = self.buckets.put(guest.asked(), &input.bucket, &json!({}), Precondition::Absent).await;
        match made {
            Ok(_) => {
                let location = Some(format!("/{}", input.bucket));
                Ok(S3Response::new(CreateBucketOutput { location }))
            }
            Err(refusal) if refusal.class == Class::Stale => Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "there is such a bucket already; use it, or choose another name"
            )),
            Err(refusal) => Err(refused(refusal)),
        }
    }

    pub(super) async fn unmake(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let guest = Guest::of(&request)?;
        let bucket = request.input.bucket;
        self.admit(&guest, &bucket, Act::new(Action::PutSettings, ""))?;
        self.buckets.delete(guest.asked(), &bucket, Precondition::None).await.map_err(refused)?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    pub(super) fn see(&self, request: &S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let guest = Guest::of(request)?;
        self.admit(&guest, &request.input.bucket, Act::new(Action::HeadBucket, ""))?;
        let region = Some(self.region.to_string());
        Ok(S3Response::new(HeadBucketOutput { bucket_region: region, ..HeadBucketOutput::default() }))
    }

    pub(super) fn place(
        &self,
        request: &S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let guest = Guest::of(request)?;
        self.admit(&guest, &request.input.bucket, Act::new(Action::HeadBucket, ""))?;
        let region = Some(&*self.region).filter(|region| *region != NAMELESS);
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: region.map(|region| BucketLocationConstraint::from(region.to_owned())),
        }))
    }

    pub(super) async fn all(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let guest = Guest::of(&request)?;
        let ListBucketsInput { continuation_token, max_buckets, prefix, .. } = request.input;
        let most = match max_buckets.map(usize::try_from) {
            None => usize::MAX,
            Some(Ok(most @ 1..=10_000)) => most,
            Some(_) => return Err(s3_error!(InvalidArgument, "a page has 1 to 10000 buckets")),
        };
        let begins = prefix.clone().unwrap_or_default();
        let (mut after, mut buckets, mut more) = (continuation_token, Vec::new(), false);
        loop {
            let page = Page { after: after.take(), search: None, limit: PAGE };
            let found = self.buckets.list(&guest.caller, &guest.environment, page).await.map_err(refused)?;
            after = found.last().map(|document| document.id.key.to_string());
            let full = found.len() >= PAGE as usize;
            for document in found.iter().filter(|document| document.id.key.starts_with(&begins)) {
                more |= buckets.len() >= most;
                if !more {
                    buckets.push(self.told(document));
                }
            }
            if !full || more {
                break;
            }
        }
        let last = buckets.last().and_then(|bucket: &Bucket| bucket.name.clone());
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets),
            continuation_token: last.filter(|_| more),
            owner: Some(owner()),
            prefix,
        }))
    }

    fn told(&self, document: &Document) -> Bucket {
        Bucket {
            bucket_region: Some(self.region.to_string()),
            creation_date: Some(times::told(document.created_at)),
            name: Some(document.id.key.to_string()),
        }
    }
}
