//! Keeps blobs in S3-compatible stores.
//!
//! A blob is one object below the prefix of `storage.url`. Small ones are written at once; larger ones part by part, so
//! that two parts are in memory however large they are.

mod parts;
mod target;
mod upload;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use flagbase_core::{
    blobs::{BlobError, Blobs, Reading},
    functions::{BodyFault, BodyStream},
    tasks::Tasks,
};
use futures_util::{StreamExt as _, stream};
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    list::{PaginatedListOptions, PaginatedListStore as _},
    path::Path,
};
use parts::{PART, Parts};
use target::Target;
use upload::Upload;

use crate::remote_errors::RemoteError;

/// The longest it may take to be connected.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest a store may say nothing, while a part is sent to it or it sends one.
const SILENCE: Duration = Duration::from_mins(2);

/// How often what failed is tried again, and for how long.
const RETRIES: (usize, Duration) = (4, Duration::from_secs(30));

/// Larger ones are not copied by one request of S3.
const MOST_COPIED: u64 = 5 << 30;

/// Blobs in the store that `url` names: `s3://bucket/prefix?region=…&endpoint=…&path_style=true`. Who we are there is said by
/// the address (`s3://key:secret@bucket`), or by what AWS calls it in the environment. A store that does not answer is told
/// of in the log; it need not be there yet.
///
/// # Errors
/// The address makes no sense.
pub fn remote(url: &str, tasks: &Tasks) -> Result<Arc<dyn Blobs>, RemoteError> {
    let remote = Remote::open(&Target::parse(url)?, tasks)?;
    let (first, stop) = (remote.clone(), tasks.stopping());
    tasks.spawn("storage.connect", async move {
        if let Some(Err(error)) = stop.run_until_cancelled(first.list("", "", 1)).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(
                cause,
                "the store that `storage.url` names cannot be used; `flagbase doctor` looks closer"
            );
        }
    });
    Ok(Arc::new(remote))
}

/// Blobs in an S3-compatible store. Clones share it.
#[derive(Debug, Clone)]
struct Remote {
    store: AmazonS3,
    /// Empty, or with a slash at the end.
    prefix: Arc<str>,
    tasks: Tasks,
}

impl Remote {
    fn open(target: &Target, tasks: &Tasks) -> Result<Self, RemoteError> {
        let Target { bucket, prefix, region, endpoint, path_style, login } = target;
        let insecure = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let client = ClientOptions::new()
            .with_allow_http(insecure)
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT)
            .with_read_timeout(SILENCE);
        let (max_retries, retry_timeout) = RETRIES;
        let retries = RetryConfig { max_retries, retry_timeout, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_client_options(client)
            .with_retry(retries)
            .with_bucket_name(bucket)
            .with_virtual_hosted_style_request(!path_style)
            .with_disable_bulk_delete(true);
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = endpoint {
            let endpoint = if *path_style { endpoint.clone() } else { with_host(endpoint, bucket) };
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        if let Some((id, secret)) = login {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.as_str());
        }
        let store = builder.build().map_err(|error| RemoteError::Unusable(error.into()))?;
        Ok(Self { store, prefix: prefix.as_str().into(), tasks: tasks.clone() })
    }

    fn path(&self, name: &str) -> Result<Path, BlobError> {
        Path::parse(format!("{}{name}", self.prefix)).map_err(|error| BlobError::Unavailable(error.into()))
    }

    /// How many bytes there are; `None` when it is not there.
    async fn size(&self, path: &Path) -> Result<Option<u64>, BlobError> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// Moves the bytes of what is too large for the store to copy.
    async fn copy_by_hand(&self, from: &str, to: &str) -> Result<bool, BlobError> {
        let Some(Reading { bytes, .. }) = self.get(from, None).await? else { return Ok(false) };
        self.put(to, bytes).await.map(|_| true)
    }
}

#[async_trait]
impl Blobs for Remote {
    async fn put(&self, name: &str, bytes: BodyStream) -> Result<u64, BlobError> {
        let path = self.path(name)?;
        let mut parts = Parts::of(bytes);
        let first = parts.next().await?;
        if first.len() < PART {
            let size = first.len() as u64;
            self.store.put(&path, first.into()).await.map_err(fault)?;
            return Ok(size);
        }
        Upload::begin(&self.store, &path, &self.tasks).await?.all(first, parts).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, BlobError> {
        let (source, target) = (self.path(from)?, self.path(to)?);
        if source == target {
            return Ok(self.size(&source).await?.is_some());
        }
        match self.store.copy(&source, &target).await {
            Ok(()) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => match self.size(&source).await? {
                None => Ok(false),
                Some(size) if size > MOST_COPIED => self.copy_by_hand(from, to).await,
                Some(_) => Err(fault(error)),
            },
        }
    }

    async fn get(&self, name: &str, range: Option<(u64, u64)>) -> Result<Option<Reading>, BlobError> {
        let path = self.path(name)?;
        let wanted = match range {
            None => None,
            // No request can ask for nothing.
            Some((from, to)) if from >= to => {
                return Ok(self.size(&path).await?.map(nothing_of));
            }
            Some((from, u64::MAX)) => Some(GetRange::Offset(from)),
            Some((from, to)) => Some(GetRange::Bounded(from..to)),
        };
        let options = GetOptions { range: wanted, ..GetOptions::default() };
        match self.store.get_opts(&path, options).await {
            Ok(found) => {
                let size = found.meta.size;
                let bytes = found.into_stream().map(|part| part.map_err(|error| broken(&error)));
                Ok(Some(Reading { size, bytes: Box::pin(bytes), file: None }))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => {
                // Stores refuse ranges that begin beyond the end, each in its own words.
                let Some((from, _)) = range else { return Err(fault(error)) };
                match self.size(&path).await? {
                    None => Ok(None),
                    Some(size) if from >= size => Ok(Some(nothing_of(size))),
                    Some(_) => Err(fault(error)),
                }
            }
        }
    }

    async fn delete(&self, name: &str) -> Result<(), BlobError> {
        match self.store.delete(&self.path(name)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(fault(error)),
        }
    }

    async fn list(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<String>, BlobError> {
        let limit = limit as usize;
        let below = format!("{}{prefix}", self.prefix);
        let (mut names, mut page_token) = (Vec::new(), None);
        while names.len() < limit {
            let page = PaginatedListOptions {
                offset: (!after.is_empty()).then(|| format!("{}{after}", self.prefix)),
                max_keys: Some((limit - names.len()).min(1000)),
                page_token,
                ..PaginatedListOptions::default()
            };
            let found = self.store.list_paginated(Some(&below), page).await.map_err(fault)?;
            let found_names = found.result.objects.iter().filter_map(|object| {
                object.location.as_ref().strip_prefix(self.prefix.as_ref()).map(str::to_owned)
            });
            names.extend(found_names);
            match found.page_token {
                Some(token) => page_token = Some(token),
                None => break,
            }
        }
        Ok(names)
    }
}

/// `endpoint` with the bucket as part of its host.
fn with_host(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{bucket}.{rest}"),
        None => endpoint.to_owned(),
    }
}

fn nothing_of(size: u64) -> Reading {
    Reading { size, bytes: Box::pin(stream::empty()), file: None }
}

fn broken(error: &Error) -> BodyFault {
    BodyFault::Broken(error.to_string())
}

/// What went wrong. Stores say in their own codes that there is no room left.
fn fault(error: Error) -> BlobError {
    const FULL: [&str; 5] =
        ["InsufficientStorage", "507 Insufficient", "QuotaExceeded", "StorageFull", "EntityTooLargeForQuota"];
    let told = error.to_string();
    if FULL.iter().any(|code| told.contains(code)) {
        return BlobError::Full;
    }
    BlobError::Unavailable(error.into())
}

#[cfg(test)]
mod tests;
