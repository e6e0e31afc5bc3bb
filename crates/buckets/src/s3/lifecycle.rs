//! What goes by itself, as S3 writes it.

use std::collections::BTreeMap;

use flagbase_core::buckets::LifecycleRule as Rule;
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        AbortIncompleteMultipartUpload, ExpirationStatus, GetBucketLifecycleConfigurationOutput,
        LifecycleExpiration, LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter,
        NoncurrentVersionExpiration, PutBucketLifecycleConfigurationInput,
    },
    s3_error,
};

use super::{Facade, guest::Guest, settings::stored, tagging};

impl Facade {
    pub(super) fn lifecycle<T>(
        &self,
        request: &S3Request<T>,
        name: &str,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        let bucket = self.set_up(request, name)?;
        if bucket.settings.lifecycle.is_empty() {
            return Err(s3_error!(NoSuchLifecycleConfiguration, "nothing goes by itself in this bucket"));
        }
        Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
            rules: Some(bucket.settings.lifecycle.iter().map(told).collect()),
            ..GetBucketLifecycleConfigurationOutput::default()
        }))
    }

    pub(super) async fn set_lifecycle(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<()> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let rules = input.lifecycle_configuration.map(|said| said.rules).unwrap_or_default();
        if rules.is_empty() {
            return Err(s3_error!(MalformedXML, "name at least one rule"));
        }
        let mut ids: Vec<&String> = rules.iter().filter_map(|rule| rule.id.as_ref()).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Err(s3_error!(InvalidArgument, "two rules have the same ID"));
        }
        let rules: Vec<Rule> = rules.into_iter().map(read).collect::<S3Result<_>>()?;
        self.set(&guest, &input.bucket, "lifecycle", stored(&rules)?).await
    }
}

fn told(rule: &Rule) -> LifecycleRule {
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    let expires = rule.expire_after_days.is_some() || rule.expired_markers;
    let status = if rule.disabled { ExpirationStatus::DISABLED } else { ExpirationStatus::ENABLED };
    LifecycleRule {
        abort_incomplete_multipart_upload: rule
            .abort_uploads_after_days
            .map(|after| AbortIncompleteMultipartUpload { days_after_initiation: days(Some(after)) }),
        expiration: expires.then(|| LifecycleExpiration {
            date: None,
            days: days(rule.expire_after_days),
            expired_object_delete_marker: rule.expired_markers.then_some(true),
        }),
        filter: Some(filter_told(rule)),
        id: rule.id.clone(),
        noncurrent_version_expiration: rule.noncurrent_after_days.map(|after| NoncurrentVersionExpiration {
            newer_noncurrent_versions: None,
            noncurrent_days: days(Some(after)),
        }),
        noncurrent_version_transitions: None,
        prefix: None,
        status: ExpirationStatus::from_static(status),
        transitions: None,
    }
}

fn filter_told(rule: &Rule) -> LifecycleRuleFilter {
    let mut tags = tagging::list(&rule.tags);
    if tags.is_empty() {
        return LifecycleRuleFilter { prefix: Some(rule.prefix.clone()), ..LifecycleRuleFilter::default() };
    }
    if tags.len() == 1 && rule.prefix.is_empty() {
        return LifecycleRuleFilter { tag: tags.pop(), ..LifecycleRuleFilter::default() };
    }
    let and = LifecycleRuleAndOperator {
        prefix: Some(rule.prefix.clone()),
        tags: Some(tags),
        ..LifecycleRuleAndOperator::default()
    };
    LifecycleRuleFilter { and: Some(and), ..LifecycleRuleFilter::default() }
}

/// What is not understood is refused: what should go and stays, or the other way round, is worse than an error.
fn read(rule: LifecycleRule) -> S3Result<Rule> {
    if rule.transitions.is_some() || rule.noncurrent_version_transitions.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "there is only one storage class, so nothing moves to another"
        ));
    }
    let disabled = match rule.status.as_str() {
        ExpirationStatus::ENABLED => false,
        ExpirationStatus::DISABLED => true,
        _ => return Err(s3_error!(MalformedXML, "the status of a rule is Enabled or Disabled")),
    };
    let (prefix, tags) = filter(rule.filter, rule.prefix)?;
    let expiration = rule.expiration.unwrap_or_default();
    if expiration.date.is_some() {
        return Err(s3_error!(NotImplemented, "objects go after days, not at a date"));
    }
    let noncurrent = rule.noncurrent_version_expiration;
    if noncurrent.as_ref().is_some_and(|rule| rule.newer_noncurrent_versions.is_some()) {
        return Err(s3_error!(NotImplemented, "versions go after days, however many there are"));
    }
    Ok(Rule {
        id: rule.id,
        disabled,
        prefix,
        tags,
        expire_after_days: days(expiration.days)?,
        noncurrent_after_days: days(noncurrent.and_then(|rule| rule.noncurrent_days))?,
        abort_uploads_after_days: days(
            rule.abort_incomplete_multipart_upload.and_then(|rule| rule.days_after_initiation),
        )?,
        expired_markers: expiration.expired_object_delete_marker.unwrap_or_default(),
    })
}

fn days(said: Option<i32>) -> S3Result<Option<u32>> {
    let read = |days: i32| u32::try_from(days).ok().filter(|days| *days > 0);
    match said {
        None => Ok(None),
        Some(days) => match read(days) {
            Some(days) => Ok(Some(days)),
            None => Err(s3_error!(InvalidArgument, "days are 1 or more")),
        },
    }
}

fn filter(
    filter: Option<LifecycleRuleFilter>,
    prefix: Option<String>,
) -> S3Result<(String, BTreeMap<String, String>)> {
    let Some(filter) = filter else { return Ok((prefix.unwrap_or_default(), BTreeMap::new())) };
    let and = filter.and.unwrap_or_default();
    let by_size = filter.object_size_greater_than.is_some()
        || filter.object_size_less_than.is_some()
        || and.object_size_greater_than.is_some()
        || and.object_size_less_than.is_some();
    if by_size {
        return Err(s3_error!(NotImplemented, "rules choose by prefix and tags, not by size"));
    }
    let mut tags = and.tags.unwrap_or_default();
    tags.extend(filter.tag);
    let prefix = filter.prefix.or(and.prefix).or(prefix);
    Ok((prefix.unwrap_or_default(), tagging::read(tags)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        Rule {
            id: Some("old logs".into()),
            prefix: "logs/".into(),
            expire_after_days: Some(30),
            noncurrent_after_days: Some(7),
            abort_uploads_after_days: Some(1),
            ..Rule::default()
        }
    }

    #[test]
    fn a_rule_goes_both_ways() {
        let tag = |name: &str| (name.to_owned(), "1".to_owned());
        for rule in [
            rule(),
            Rule { disabled: true, ..rule() },
            Rule { tags: [tag("a")].into(), prefix: String::new(), ..rule() },
            Rule { tags: [tag("a"), tag("b")].into(), ..rule() },
            Rule { expire_after_days: None, expired_markers: true, ..rule() },
        ] {
            assert_eq!(read(told(&rule)).unwrap(), rule);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let with = |change: &dyn Fn(&mut LifecycleRule)| {
            let mut said = told(&rule());
            change(&mut said);
            read(said).unwrap_err().code().as_str().to_owned()
        };
        assert_eq!(with(&|rule| rule.transitions = Some(Vec::new())), "NotImplemented");
        assert_eq!(with(&|rule| rule.status = ExpirationStatus::from_static("On")), "MalformedXML");
        assert_eq!(
            with(&|rule| rule.expiration = Some(LifecycleExpiration { days: Some(0), ..Default::default() })),
            "InvalidArgument"
        );
        let by_size = LifecycleRuleFilter { object_size_less_than: Some(1), ..Default::default() };
        assert_eq!(with(&|rule| rule.filter = Some(by_size.clone())), "NotImplemented");
    }
}
