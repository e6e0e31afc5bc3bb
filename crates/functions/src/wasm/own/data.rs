//! What guests of our own interfaces ask the host and wait for: secrets, stores, buckets, requests to the outside.

use std::sync::Arc;

use bytes::Bytes;
use flagbase_core::{
    buckets::Object,
    functions::{Bucket, HostError, Store},
};

use super::bindings::flagbase::faas::{buckets, fetch, keyvalue, secrets};
use crate::wasm::{guest::Guest, outbound::Failure};

impl secrets::Host for Guest {
    async fn get(&mut self, name: String) -> Result<Option<String>, String> {
        let call = Arc::clone(&self.call);
        call.host.secret(&call.visit, &name).await.map_err(|error| error.to_string())
    }
}

impl Guest {
    fn store(&self, name: &str) -> Result<Store, keyvalue::Error> {
        Ok(self.call.host.store(&self.call.visit, name)?)
    }

    fn bucket(&self, name: &str) -> Result<Bucket, buckets::Error> {
        Ok(self.call.host.bucket(&self.call.visit, name)?)
    }
}

impl From<HostError> for keyvalue::Error {
    fn from(error: HostError) -> Self {
        match error {
            HostError::NotFound(_) => Self::NoSuchStore,
            HostError::TooLarge(why) => Self::TooLarge(why),
            HostError::Denied(why) | HostError::Failed(why) => Self::Other(why),
        }
    }
}

impl keyvalue::Host for Guest {
    async fn get(&mut self, store: String, key: String) -> Result<Option<Vec<u8>>, keyvalue::Error> {
        Ok(self.store(&store)?.get(&key).await?.map(Vec::from))
    }

    async fn set(&mut self, store: String, key: String, value: Vec<u8>) -> Result<(), keyvalue::Error> {
        Ok(self.store(&store)?.set(&key, value.into()).await?)
    }

    async fn delete(&mut self, store: String, key: String) -> Result<(), keyvalue::Error> {
        self.store(&store)?.delete(&key).await?;
        Ok(())
    }

    async fn exists(&mut self, store: String, key: String) -> Result<bool, keyvalue::Error> {
        Ok(self.store(&store)?.get(&key).await?.is_some())
    }

    async fn keys(
        &mut self,
        store: String,
        prefix: String,
        after: Option<String>,
    ) -> Result<keyvalue::Page, keyvalue::Error> {
        let (keys, next) = self.store(&store)?.keys(&prefix, after.as_deref().unwrap_or_default()).await?;
        Ok(keyvalue::Page { keys, next })
    }

    async fn increment(&mut self, store: String, key: String, delta: i64) -> Result<i64, keyvalue::Error> {
        Ok(self.store(&store)?.increment(&key, delta).await?)
    }

    async fn swap(
        &mut self,
        store: String,
        key: String,
        old: Option<Vec<u8>>,
        new: Vec<u8>,
    ) -> Result<bool, keyvalue::Error> {
        Ok(self.store(&store)?.swap(&key, old.map(Bytes::from), new.into()).await?)
    }
}

impl From<HostError> for buckets::Error {
    fn from(error: HostError) -> Self {
        match error {
            HostError::NotFound(_) => Self::NoSuchBucket,
            HostError::TooLarge(why) => Self::TooLarge(why),
            HostError::Denied(why) | HostError::Failed(why) => Self::Other(why),
        }
    }
}

impl From<Object> for buckets::Object {
    fn from(object: Object) -> Self {
        Self {
            key: object.key,
            size: object.size,
            content_type: object.head.content_type,
            etag: object.etag,
            modified: object.modified.to_string(),
        }
    }
}

impl buckets::Host for Guest {
    async fn get(&mut self, bucket: String, key: String) -> Result<Option<Vec<u8>>, buckets::Error> {
        Ok(self.bucket(&bucket)?.get(&key).await?.map(Vec::from))
    }

    async fn put(
        &mut self,
        bucket: String,
        key: String,
        content_type: String,
        data: Vec<u8>,
    ) -> Result<buckets::Object, buckets::Error> {
        Ok(self.bucket(&bucket)?.put(&key, &content_type, data.into()).await?.into())
    }

    async fn head(&mut self, bucket: String, key: String) -> Result<Option<buckets::Object>, buckets::Error> {
        Ok(self.bucket(&bucket)?.head(&key).await?.map(Into::into))
    }

    async fn delete(&mut self, bucket: String, key: String) -> Result<(), buckets::Error> {
        Ok(self.bucket(&bucket)?.delete(&key).await?)
    }

    async fn keys(
        &mut self,
        bucket: String,
        prefix: String,
        after: Option<String>,
    ) -> Result<buckets::Page, buckets::Error> {
        let bucket = self.bucket(&bucket)?;
        let (objects, next) = bucket.list(&prefix, after.as_deref().unwrap_or_default()).await?;
        Ok(buckets::Page { objects: objects.into_iter().map(Into::into).collect(), next })
    }
}

impl fetch::Host for Guest {
    async fn send(&mut self, request: fetch::Outgoing) -> Result<fetch::Response, fetch::Failure> {
        let timeout = request.timeout_ms;
        let request = outgoing(request).map_err(fetch::Failure::Failed)?;
        let answer = self.outbound.send(request, timeout).await.map_err(failure)?;
        let (head, body) = answer.into_parts();
        let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = head.headers.iter();
        Ok(fetch::Response {
            status: head.status.as_u16(),
            headers: headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect(),
            body: body.into(),
        })
    }
}

fn outgoing(request: fetch::Outgoing) -> Result<http::Request<Bytes>, String> {
    let mut builder = http::Request::builder().method(request.method.as_str()).uri(request.url.as_str());
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    builder.body(request.body.into()).map_err(|error| format!("the request makes no sense: {error}"))
}

fn failure(failure: Failure) -> fetch::Failure {
    match failure {
        Failure::Denied(why) => fetch::Failure::Denied(why),
        Failure::TimedOut => fetch::Failure::TimedOut,
        Failure::TooLarge => fetch::Failure::TooLarge,
        Failure::Failed(why) => fetch::Failure::Failed(why),
    }
}
