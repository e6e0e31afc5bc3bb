//! How buckets are set up: versions, CORS, policies, tags, sites.

use std::{collections::BTreeMap, sync::Arc};

use flagbase_core::{
    buckets::{Act, Action, Bucket, CorsRule, Public, Versioning},
    refusal::{Precondition, Refusal},
};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        BucketVersioningStatus, CORSRule, ErrorDocument, GetBucketCorsOutput, GetBucketPolicyOutput,
        GetBucketPolicyStatusOutput, GetBucketTaggingOutput, GetBucketVersioningOutput,
        GetBucketWebsiteOutput, IndexDocument, PolicyStatus, PutBucketCorsInput, PutBucketPolicyInput,
        PutBucketTaggingInput, PutBucketVersioningInput, PutBucketWebsiteInput,
    },
    s3_error,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Facade, guest::Guest, refusals::refused, tagging};

impl Facade {
    /// The bucket of a request whose set-up is read.
    pub(super) fn set_up<T>(&self, request: &S3Request<T>, name: &str) -> S3Result<Arc<Bucket>> {
        self.admit(&Guest::of(request)?, name, Act::new(Action::GetSettings, ""))
    }

    /// Sets one member of the bucket's document; null takes it away.
    pub(super) async fn set(&self, guest: &Guest, bucket: &str, member: &str, value: Value) -> S3Result<()> {
        self.admit(guest, bucket, Act::new(Action::PutSettings, ""))?;
        let patch = json!({ member: value });
        let done = self.buckets.patch(guest.asked(), bucket, &patch, Precondition::None).await;
        done.map(drop).map_err(refused)
    }

    pub(super) async fn unset<T>(&self, request: &S3Request<T>, bucket: &str, member: &str) -> S3Result<()> {
        self.set(&Guest::of(request)?, bucket, member, Value::Null).await
    }

    pub(super) fn versioning<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        // Clients that only read and write look, too.
        let bucket = self.admit(&Guest::of(request)?, name, Act::new(Action::HeadBucket, ""))?;
        let status = match bucket.settings.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        let status = status.map(BucketVersioningStatus::from_static);
        Ok(S3Response::new(GetBucketVersioningOutput { mfa_delete: None, status }))
    }

    pub(super) async fn set_versioning(&self, request: S3Request<PutBucketVersioningInput>) -> S3Result<()> {
        let guest = Guest::of(&request)?;
        let PutBucketVersioningInput { bucket, versioning_configuration, .. } = request.input;
        let word = match versioning_configuration.status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => "enabled",
            Some(BucketVersioningStatus::SUSPENDED) => "suspended",
            _ => {
                return Err(s3_error!(
                    IllegalVersioningConfigurationException,
                    "the status is Enabled or Suspended"
                ));
            }
        };
        self.set(&guest, &bucket, "versioning", word.into()).await
    }

    pub(super) fn cors<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketCorsOutput>> {
        let bucket = self.set_up(request, name)?;
        if bucket.settings.cors.is_empty() {
            return Err(s3_error!(NoSuchCORSConfiguration, "the bucket has no rules of CORS"));
        }
        let cors_rules = Some(bucket.settings.cors.iter().map(cors_told).collect());
        Ok(S3Response::new(GetBucketCorsOutput { cors_rules }))
    }

    pub(super) async fn set_cors(&self, request: S3Request<PutBucketCorsInput>) -> S3Result<()> {
        let guest = Guest::of(&request)?;
        let PutBucketCorsInput { bucket, cors_configuration, .. } = request.input;
        let rules: Vec<CorsRule> = cors_configuration.cors_rules.into_iter().map(cors_read).collect();
        if rules.is_empty() {
            return Err(s3_error!(MalformedXML, "name at least one rule"));
        }
        self.set(&guest, &bucket, "cors", stored(&rules)?).await
    }

    pub(super) fn policy<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        let bucket = self.set_up(request, name)?;
        let policy = bucket.settings.policy.as_ref().map(Value::to_string);
        if policy.is_none() {
            return Err(s3_error!(NoSuchBucketPolicy, "the bucket has no policy"));
        }
        Ok(S3Response::new(GetBucketPolicyOutput { policy }))
    }

    pub(super) async fn set_policy(&self, request: S3Request<PutBucketPolicyInput>) -> S3Result<()> {
        let guest = Guest::of(&request)?;
        let PutBucketPolicyInput { bucket, policy, .. } = request.input;
        let policy: Value = serde_json::from_str(&policy)
            .map_err(|error| s3_error!(MalformedPolicy, "the policy is no JSON: {error}"))?;
        self.set(&guest, &bucket, "policy", policy).await
    }

    pub(super) fn policy_status<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
        let bucket = self.set_up(request, name)?;
        let by_policy = bucket.policy.as_ref().is_some_and(flagbase_core::buckets::Policy::is_public);
        let is_public = Some(by_policy || bucket.settings.public == Public::Read);
        Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status: Some(PolicyStatus { is_public }) }))
    }

    pub(super) fn bucket_tags<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketTaggingOutput>> {
        let bucket = self.set_up(request, name)?;
        if bucket.settings.tags.is_empty() {
            return Err(s3_error!(NoSuchTagSet, "the bucket has no tags"));
        }
        Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tagging::list(&bucket.settings.tags) }))
    }

    pub(super) async fn set_bucket_tags(&self, request: S3Request<PutBucketTaggingInput>) -> S3Result<()> {
        let guest = Guest::of(&request)?;
        let PutBucketTaggingInput { bucket, tagging, .. } = request.input;
        let tags: BTreeMap<String, String> = tagging::read(tagging.tag_set)?;
        self.set(&guest, &bucket, "tags", stored(&tags)?).await
    }

    pub(super) fn website<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
        let bucket = self.set_up(request, name)?;
        let Some(site) = &bucket.settings.site else {
            return Err(s3_error!(NoSuchWebsiteConfiguration, "the bucket is no site"));
        };
        Ok(S3Response::new(GetBucketWebsiteOutput {
            error_document: site.error.clone().map(|key| ErrorDocument { key }),
            index_document: Some(IndexDocument { suffix: site.index.clone() }),
            ..GetBucketWebsiteOutput::default()
        }))
    }

    pub(super) async fn set_website(&self, request: S3Request<PutBucketWebsiteInput>) -> S3Result<()> {
        let guest = Guest::of(&request)?;
        let PutBucketWebsiteInput { bucket, website_configuration: site, .. } = request.input;
        if site.redirect_all_requests_to.is_some() || site.routing_rules.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "a site has an index and an error document, and no redirects"
            ));
        }
        let Some(index) = site.index_document else {
            return Err(s3_error!(InvalidArgument, "name the index document"));
        };
        let mut value = json!({ "index": index.suffix });
        if let (Some(error), Some(members)) = (site.error_document, value.as_object_mut()) {
            members.insert("error".to_owned(), error.key.into());
        }
        self.set(&guest, &bucket, "site", value).await
    }
}

/// As the document has it.
pub(super) fn stored(value: &impl Serialize) -> S3Result<Value> {
    serde_json::to_value(value).map_err(|error| {
        refused(Refusal::new(flagbase_core::refusal::Class::Internal, "store_corrupt", error.to_string()))
    })
}

fn cors_told(rule: &CorsRule) -> CORSRule {
    let some = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    CORSRule {
        allowed_headers: some(&rule.headers),
        allowed_methods: rule.methods.clone(),
        allowed_origins: rule.origins.clone(),
        expose_headers: some(&rule.expose),
        id: rule.id.clone(),
        max_age_seconds: rule.max_age.and_then(|age| i32::try_from(age).ok()),
    }
}

fn cors_read(rule: CORSRule) -> CorsRule {
    CorsRule {
        id: rule.id,
        origins: rule.allowed_origins,
        methods: rule.allowed_methods,
        headers: rule.allowed_headers.unwrap_or_default(),
        expose: rule.expose_headers.unwrap_or_default(),
        max_age: rule.max_age_seconds.and_then(|age| u32::try_from(age).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_cors_goes_both_ways() {
        let rule = CorsRule {
            id: Some("app".into()),
            origins: vec!["https://example.com".into()],
            methods: vec!["GET".into()],
            headers: Vec::new(),
            expose: vec!["ETag".into()],
            max_age: Some(60),
        };
        assert_eq!(cors_read(cors_told(&rule)), rule);
    }
}
