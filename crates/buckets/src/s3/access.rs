//! Whose signature is on a request, and whom that lets in.

use std::sync::Arc;

use async_trait::async_trait;
use flagbase_core::caller::{Caller, Peer};
use s3s::{
    S3Result,
    access::{S3Access, S3AccessContext},
    auth::{S3Auth, SecretKey},
    host::{S3Host, VirtualHost},
    s3_error,
    validation::NameValidation,
};

use super::{AccessKeys, guest::Guest};

/// Tells s3s what requests are signed with.
pub(super) struct Secrets(pub(super) AccessKeys);

#[async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match (self.0)(access_key) {
            Some(key) => Ok(SecretKey::from(key.secret)),
            None => {
                Err(s3_error!(InvalidAccessKeyId, "there is no such access key; it may have been revoked"))
            }
        }
    }
}

/// Notes whom a request comes from. What they may do is looked at where it is done.
pub(super) struct Door {
    pub(super) keys: AccessKeys,
    pub(super) environment: Arc<str>,
}

#[async_trait]
impl S3Access for Door {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let known = match context.credentials().map(|credentials| (self.keys)(&credentials.access_key)) {
            Some(None) => return Err(s3_error!(InvalidAccessKeyId, "there is no such access key")),
            Some(Some(key)) => Some((key.caller, key.environment)),
            None => None,
        };
        let (caller, environment) =
            known.unwrap_or_else(|| (Caller::nobody(), Arc::clone(&self.environment)));
        let host = context.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = Arc::from(host.unwrap_or_default());
        let from = context.extensions_mut().get::<Peer>().map(|peer| peer.0);
        context.extensions_mut().insert(Guest { caller, environment, from, host });
        Ok(())
    }
}

/// Finds buckets in the names of hosts: `<bucket>.<domain>`. Every other host is this server itself.
pub(super) struct Domain(pub(super) String);

impl Domain {
    /// The bucket that `host` names: names of hosts have no case, those of buckets are in lower case.
    pub(super) fn bucket(&self, host: &str) -> Option<String> {
        let (host, domain) = (without_port(host), self.0.split(':').next().unwrap_or_default());
        let before = host.len().checked_sub(domain.len())?;
        let (bucket, rest) = (host.get(..before)?, host.get(before..)?);
        let fits = !domain.is_empty() && rest.eq_ignore_ascii_case(domain);
        let bucket = bucket.strip_suffix('.').filter(|bucket| fits && !bucket.is_empty());
        bucket.map(str::to_ascii_lowercase)
    }
}

fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => text,
    }
}

impl S3Host for Domain {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match self.bucket(host) {
            Some(bucket) => VirtualHost::new(self.0.as_str()).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

/// Buckets that were made elsewhere may have shorter names than S3's.
pub(super) struct Names;

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        flagbase_core::buckets::is_bucket_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_found_before_the_domain_with_or_without_a_port() {
        let domain = Domain("s3.example.com".to_owned());
        for (host, bucket) in [
            ("photos.s3.example.com", Some("photos")),
            ("my.photos.s3.example.com:9000", Some("my.photos")),
            ("Photos.S3.Example.com", Some("photos")),
            ("s3.example.com", None),
            ("s3.example.com:9000", None),
            ("photos.example.com", None),
            ("evils3.example.com", None),
            ("localhost:9000", None),
            ("", None),
        ] {
            assert_eq!(domain.bucket(host).as_deref(), bucket, "{host}");
        }
        assert_eq!(Domain(String::new()).bucket("photos.localhost"), None);
    }
}
