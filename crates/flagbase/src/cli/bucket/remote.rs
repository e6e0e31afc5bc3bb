//! What a server knows of objects.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::place::Place;
use super::progress::Bar;
use super::{at, under};
use crate::cli::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};

/// How many are deleted by one request, so that a bar moves.
const AT_ONCE: usize = 250;

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
        Err(failure) if failure.exit() == Exit::NotFound => Err(missing(client, place, version).await),
        Err(failure) => Err(failure),
    }
}

/// Why there is no such object.
async fn missing(client: &Client, place: &Place, version: Option<&str>) -> Failure {
    if let Err(failure) = bucket(client, &place.bucket).await {
        return failure;
    }
    let above = place.key.rsplit_once('/').map(|(above, _)| format!("{above}/")).unwrap_or_default();
    let bucket = &place.bucket;
    match version {
        Some(version) => Failure::new(Exit::NotFound, format!("`{place}` has no version `{version}`"))
            .hint(format!("`flagbase bucket ls {place} --versions` shows which there are")),
        None => Failure::new(Exit::NotFound, format!("there is no object `{place}`"))
            .hint(format!("`flagbase bucket ls {bucket}/{above}` shows what is there")),
    }
}

/// Fails when it is known that there is no such bucket. Whoever may not ask is told by what he does next.
pub(super) async fn bucket(client: &Client, name: &str) -> Outcome {
    match client.call(Call::get(&at(name)).scoped()).await {
        Err(failure) if failure.exit() == Exit::NotFound => Err(failure),
        _ => Ok(()),
    }
}

/// How objects, or all their versions, are listed.
pub(super) fn listing(place: &Place, (delimiter, versions): (Option<&str>, bool)) -> Call {
    Call::get(&under(&place.bucket, "objects"))
        .scoped()
        .query("limit", 1000)
        .query("prefix", &place.key)
        .query("versions", versions)
        .query_some("delimiter", delimiter)
}

/// One page of a listing after another, until `see` has seen enough. `marks` are what leads to the next page.
pub(super) async fn pages(
    client: &Client,
    listing: Call,
    marks: [&'static str; 2],
    mut see: impl FnMut(&Value) -> bool,
) -> Outcome {
    let mut call = listing.clone();
    loop {
        let page = client.call(call).await?;
        let more = see(&page);
        let next = page.get("next").filter(|next| more && next.is_object());
        let Some(next) = next else { return Ok(()) };
        call = marks.iter().fold(listing.clone(), |call, mark| {
            call.query_some(mark, next.get(*mark).and_then(Value::as_str))
        });
    }
}

/// What leads to the next page of objects.
pub(super) const OBJECT_MARKS: [&str; 2] = ["after", "after_version"];

/// All objects under a prefix.
pub(super) async fn all(client: &Client, place: &Place) -> Outcome<Vec<Known>> {
    let mut all = Vec::new();
    pages(client, listing(place, (None, false)), OBJECT_MARKS, |page| {
        all.extend(members(page, "objects").filter_map(Known::listed));
        true
    })
    .await?;
    Ok(all)
}

/// The members of an array in a page.
pub(super) fn members<'a>(page: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    page.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Text of an object.
pub(super) fn text<'a>(document: &'a Value, name: &str) -> &'a str {
    document.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What came of deleting.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    /// How many objects are only hidden, because their bucket keeps versions.
    pub(super) hidden: usize,
    /// A line for each that could not be deleted.
    pub(super) wrong: Vec<String>,
}

impl Deleted {
    /// The failure of deleting `count`, when there is one.
    pub(super) fn whole(self, count: usize) -> Outcome<usize> {
        if self.wrong.is_empty() {
            return Ok(self.hidden);
        }
        let message = format!("{} of {count} could not be deleted", self.wrong.len());
        Err(Failure::plain(message).details(self.wrong))
    }
}

/// Deletes many things of a bucket: keys, or `{"key", "version"}`.
pub(super) async fn delete(client: &Client, bucket: &str, which: &[Value], bar: &Bar) -> Outcome<Deleted> {
    let mut all = Deleted::default();
    for some in which.chunks(AT_ONCE) {
        let body = serde_json::json!({"keys": some});
        let answer = client.call(Call::post(&under(bucket, "delete"), body).scoped()).await?;
        all.hidden += members(&answer, "deleted").filter(|one| !text(one, "marker").is_empty()).count();
        for error in members(&answer, "errors") {
            all.wrong.push(format!("{bucket}/{}: {}", text(error, "key"), text(error, "detail")));
        }
        bar.add(some.len() as u64);
    }
    Ok(all)
}
