//! What clients ask for out of habit, and what has only one answer here.

use flagbase_core::buckets::Public;
use flagbase_core::buckets::{Act, Action, no_object};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        AccessControlPolicy, BucketCannedACL, GetBucketAclOutput, GetBucketOwnershipControlsOutput,
        GetBucketRequestPaymentOutput, GetObjectAclInput, GetObjectAclOutput, GetPublicAccessBlockOutput,
        Grant, Grantee, ObjectCannedACL, ObjectOwnership, OwnershipControls, OwnershipControlsRule, Payer,
        Permission, PublicAccessBlockConfiguration, PutBucketAclInput, PutBucketOwnershipControlsInput,
        PutObjectAclInput, PutPublicAccessBlockInput, Type,
    },
    s3_error,
};

use super::{Facade, guest::Guest, heads, listing::owner, refusals::refused};

impl Facade {
    pub(super) fn acl<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        self.admit(&Guest::of(request)?, name, Act::new(Action::HeadBucket, ""))?;
        Ok(S3Response::new(GetBucketAclOutput { grants: Some(vec![full_control()]), owner: Some(owner()) }))
    }

    pub(super) fn set_acl(&self, request: &S3Request<PutBucketAclInput>) -> S3Result<()> {
        let input = &request.input;
        self.admit(&Guest::of(request)?, &input.bucket, Act::new(Action::PutSettings, ""))?;
        let private = input.acl.as_ref().is_none_or(|acl| acl.as_str() == BucketCannedACL::PRIVATE);
        if private && owners_only(input.access_control_policy.as_ref()) {
            return Ok(());
        }
        Err(s3_error!(AccessControlListNotSupported, "the bucket does not allow ACLs; use its policy"))
    }

    pub(super) async fn object_acl(
        &self,
        request: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        let guest = Guest::of(&request)?;
        let GetObjectAclInput { bucket, key, version_id, .. } = request.input;
        self.there(&guest, Action::GetObject, (&bucket, &key, version_id.as_deref())).await?;
        Ok(S3Response::new(GetObjectAclOutput {
            grants: Some(vec![full_control()]),
            owner: Some(owner()),
            ..GetObjectAclOutput::default()
        }))
    }

    pub(super) async fn set_object_acl(&self, request: S3Request<PutObjectAclInput>) -> S3Result<()> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let at = (input.bucket.as_str(), input.key.as_str(), input.version_id.as_deref());
        self.there(&guest, Action::PutObject, at).await?;
        heads::check_acl(input.acl.as_ref().filter(|acl| acl.as_str() != ObjectCannedACL::PRIVATE))?;
        if owners_only(input.access_control_policy.as_ref()) {
            return Ok(());
        }
        Err(s3_error!(AccessControlListNotSupported, "the bucket does not allow ACLs; use its policy"))
    }

    async fn there(
        &self,
        guest: &Guest,
        action: Action,
        (bucket, key, version): (&str, &str, Option<&str>),
    ) -> S3Result<()> {
        let bucket = self.admit(guest, bucket, Act::new(action, key))?;
        let found = self.buckets.objects().head(&bucket, key, version).await.map_err(refused)?;
        found.map(drop).ok_or_else(|| refused(no_object(&bucket, key)))
    }

    pub(super) fn ownership<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
        self.set_up(request, name)?;
        let object_ownership = ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED);
        let rules = vec![OwnershipControlsRule { object_ownership }];
        let ownership_controls = Some(OwnershipControls { rules });
        Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls }))
    }

    pub(super) fn set_ownership(&self, request: &S3Request<PutBucketOwnershipControlsInput>) -> S3Result<()> {
        let input = &request.input;
        self.admit(&Guest::of(request)?, &input.bucket, Act::new(Action::PutSettings, ""))?;
        let enforced = |rule: &OwnershipControlsRule| {
            rule.object_ownership.as_str() == ObjectOwnership::BUCKET_OWNER_ENFORCED
        };
        if input.ownership_controls.rules.iter().all(enforced) {
            return Ok(());
        }
        Err(s3_error!(NotImplemented, "there is only BucketOwnerEnforced: policies decide, not ACLs"))
    }

    pub(super) fn public_access<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
        let bucket = self.set_up(request, name)?;
        let by_policy = bucket.policy.as_ref().is_some_and(flagbase_core::buckets::Policy::is_public);
        let private = !by_policy && bucket.settings.public == Public::None;
        // There are no ACLs, so they make nothing public.
        let configuration = PublicAccessBlockConfiguration {
            block_public_acls: Some(true),
            block_public_policy: Some(private),
            ignore_public_acls: Some(true),
            restrict_public_buckets: Some(private),
        };
        Ok(S3Response::new(GetPublicAccessBlockOutput {
            public_access_block_configuration: Some(configuration),
        }))
    }

    pub(super) async fn set_public_access(
        &self,
        request: S3Request<PutPublicAccessBlockInput>,
    ) -> S3Result<()> {
        let guest = Guest::of(&request)?;
        let PutPublicAccessBlockInput { bucket: name, public_access_block_configuration: wanted, .. } =
            request.input;
        let bucket = self.admit(&guest, &name, Act::new(Action::PutSettings, ""))?;
        let blocks = wanted.block_public_policy == Some(true) || wanted.restrict_public_buckets == Some(true);
        if blocks && bucket.policy.as_ref().is_some_and(flagbase_core::buckets::Policy::is_public) {
            return Err(s3_error!(
                NotImplemented,
                "the policy of this bucket is public, and nothing else blocks it; change the policy"
            ));
        }
        if blocks && bucket.settings.public != Public::None {
            return self.set(&guest, &name, "public", "none".into()).await;
        }
        Ok(())
    }

    pub(super) fn payer<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketRequestPaymentOutput>> {
        self.set_up(request, name)?;
        let payer = Some(Payer::from_static(Payer::BUCKET_OWNER));
        Ok(S3Response::new(GetBucketRequestPaymentOutput { payer }))
    }
}

/// Whoever owns the bucket may do everything.
fn full_control() -> Grant {
    let owner = owner();
    let grantee = Grantee {
        display_name: owner.display_name,
        email_address: None,
        id: owner.id,
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    Grant { grantee: Some(grantee), permission: Some(Permission::from_static(Permission::FULL_CONTROL)) }
}

/// Whether a list says no more than what is so anyway.
fn owners_only(list: Option<&AccessControlPolicy>) -> bool {
    let owner = owner();
    let owners = |grant: &Grant| grant.grantee.as_ref().is_some_and(|grantee| grantee.id == owner.id);
    list.and_then(|list| list.grants.as_ref()).is_none_or(|grants| grants.iter().all(owners))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_says_what_is_so_anyway_is_taken() {
        let list = |grants: Vec<Grant>| AccessControlPolicy { grants: Some(grants), owner: None };
        assert!(owners_only(None));
        assert!(owners_only(Some(&list(vec![full_control()]))));
        let mut everybody = full_control();
        everybody.grantee = Some(Grantee {
            display_name: None,
            email_address: None,
            id: None,
            type_: Type::from_static(Type::GROUP),
            uri: Some("http://acs.amazonaws.com/groups/global/AllUsers".into()),
        });
        assert!(!owners_only(Some(&list(vec![full_control(), everybody]))));
    }
}
