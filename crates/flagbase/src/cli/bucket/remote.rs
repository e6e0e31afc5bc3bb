//! What a server knows of objects.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::place::Place;
use super::under;
use crate::cli::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) key: String,
    pub(super) size: u64,
    /// CRC-64/NVME in base64.
    pub(super) crc64: String,
    /// With quotes.
    pub(super) etag: String,
}

/// The path of an object: its key is one word of it, whatever is in it.
pub(super) fn path(place: &Place) -> [&str; 6] {
    let [api, version, buckets, bucket, objects] = under(&place.bucket, "objects");
    [api, version, buckets, bucket, objects, &place.key]
}

impl Known {
    /// What the headers of an answer say.
    pub(super) fn of(place: &Place, headers: &HeaderMap) -> Outcome<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let size = text("content-length").and_then(|size| size.parse().ok());
        match (size, text("x-checksum-crc64nvme"), text("etag")) {
            (Some(size), Some(crc64), Some(etag)) => Ok(Self { key: place.key.clone(), size, crc64, etag }),
            _ => Err(Failure::plain(format!("the server does not say what `{place}` is"))),
        }
    }

    fn listed(object: &Value) -> Option<Self> {
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let etag = format!("\"{}\"", text("etag")?);
        Some(Self { key: text("key")?, size: object.get("size")?.as_u64()?, crc64: text("crc64nvme")?, etag })
    }
}

/// What is known of one object.
pub(super) async fn head(client: &Client, place: &Place, version: Option<&str>) -> Outcome<Known> {
    let call = Call::head(&path(place)).scoped().query_some("version", version);
    match client.stream(client.request(&call)?).await {
        Ok(response) => Known::of(place, response.headers()),
        // An answer to `HEAD` has no words.
        Err(failure) if failure.exit() == Exit::NotFound => {
            Err(Failure::new(Exit::NotFound, format!("there is no object `{place}`")))
        }
        Err(failure) => Err(failure),
    }
}

/// One page of a listing after another, until `see` has seen enough.
pub(super) async fn pages(
    client: &Client,
    place: &Place,
    (delimiter, versions): (Option<&str>, bool),
    mut see: impl FnMut(&Value) -> Outcome<bool>,
) -> Outcome {
    let (mut after, mut version): (Option<String>, Option<String>) = (None, None);
    loop {
        let call = Call::get(&under(&place.bucket, "objects"))
            .scoped()
            .query("limit", 1000)
            .query("prefix", &place.key)
            .query("versions", versions)
            .query_some("delimiter", delimiter)
            .query_some("after", after.as_ref())
            .query_some("after_version", version.as_ref());
        let page = client.call(call).await?;
        if !see(&page)? {
            return Ok(());
        }
        let next =
            |name: &str| page.pointer(&format!("/next/{name}")).and_then(Value::as_str).map(str::to_owned);
        (after, version) = (next("after"), next("after_version"));
        if after.is_none() {
            return Ok(());
        }
    }
}

/// All objects under a prefix.
pub(super) async fn all(client: &Client, place: &Place) -> Outcome<Vec<Known>> {
    let mut all = Vec::new();
    pages(client, place, (None, false), |page| {
        let objects = page.get("objects").and_then(Value::as_array).into_iter().flatten();
        all.extend(objects.filter_map(Known::listed));
        Ok(true)
    })
    .await?;
    Ok(all)
}

/// Deletes many objects of a bucket. Returns what went wrong, a line for each.
pub(super) async fn delete(client: &Client, bucket: &str, keys: &[String]) -> Outcome<Vec<String>> {
    let mut wrong = Vec::new();
    for some in keys.chunks(1000) {
        let body = serde_json::json!({"keys": some});
        let answer = client.call(Call::post(&under(bucket, "delete"), body).scoped()).await?;
        for error in answer.get("errors").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            wrong.push(format!("{bucket}/{}: {}", text("key"), text("detail")));
        }
    }
    Ok(wrong)
}
