//! What the S3 façade is made from; known whether or not it is built in.

use std::{sync::Arc, time::Duration};

use flagbase_core::{buckets::Buckets, caller::Caller, clock::Clock, gateway::TrustedProxy, random::Random};

/// What the façade is made from.
pub struct S3Parts {
    /// Buckets and what is in them.
    pub buckets: Arc<Buckets>,
    /// Who stands behind access keys.
    pub keys: AccessKeys,
    /// Tells how long signed URLs are good for.
    pub clock: Arc<dyn Clock>,
    /// Names requests.
    pub random: Arc<dyn Random>,
    /// How it is set up.
    pub options: S3Options,
}

/// Finds who stands behind the id of an access key; `None` when nobody does (any more).
pub type AccessKeys = Arc<dyn Fn(&str) -> Option<AccessKey> + Send + Sync>;

/// Who stands behind an access key.
#[derive(Clone)]
pub struct AccessKey {
    /// The caller.
    pub caller: Arc<Caller>,
    /// The environment's key.
    pub environment: Arc<str>,
    /// What its requests are signed with.
    pub secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("environment", &self.environment).finish_non_exhaustive()
    }
}

/// How the façade is set up.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// Buckets are also served at `<bucket>.<domain>`; empty: only below paths.
    pub domain: String,
    /// What is told as the region; requests may be signed for any.
    pub region: String,
    /// Proxies in front of this server whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The environment of those who bring no key.
    pub environment: Arc<str>,
    /// What clients are held to.
    pub limits: S3Limits,
}

/// What clients are held to.
#[derive(Debug, Clone, Copy)]
pub struct S3Limits {
    /// The longest a connection may take for the head of a request, or be idle before it.
    pub header_timeout: Duration,
    /// The longest a client may pause within a body.
    pub body_timeout: Duration,
    /// Connections at the same time; more wait to be accepted.
    pub connections: usize,
}

impl Default for S3Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_secs(30),
            connections: 4096,
        }
    }
}

/// This build does not speak S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this build does not speak S3; build it with the feature `s3`, or set `storage.s3.listen: none`")]
pub struct NotBuiltIn;
