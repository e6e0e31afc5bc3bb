//! `flagbase bucket uploads`: what was begun and not finished, by whatever protocol.

use clap::Args;
use flagbase_core::clock::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::amounts::seconds;
use super::place::Place;
use super::progress::Bar;
use super::remote::{self, text};
use super::transfer::together;
use super::{at, under};
use crate::cli::ask;
use crate::cli::client::{Call, Client};
use crate::exit::Outcome;
use crate::output::View;

/// What leads to the next page.
const MARKS: [&str; 2] = ["after", "after_id"];

/// How many are given up at once.
const AT_ONCE: usize = 4;

const UPLOADS: View = View(&[
    ("id", "/id"),
    ("key", "/key"),
    ("arrived", "/offset"),
    ("of", "/length"),
    ("begun", "/begun"),
    ("ends", "/expires"),
]);

#[derive(Debug, Args)]
pub(super) struct UploadsArgs {
    /// `bucket`, or `bucket/prefix`
    place: Place,
    /// Only those that began so long ago or earlier, such as `1d`
    #[arg(long, value_name = "DURATION")]
    older_than: Option<String>,
    /// Give this one up; repeat for each
    #[arg(long, value_name = "ID", conflicts_with = "older_than")]
    abort: Vec<String>,
    /// Give up all that would be listed
    #[arg(long, conflicts_with = "abort")]
    abort_all: bool,
}

pub(super) async fn run(args: &UploadsArgs, client: &Client) -> Outcome {
    let place = &args.place;
    if !args.abort.is_empty() {
        return give_up(client, &place.bucket, args.abort.clone()).await;
    }
    let before = args.older_than.as_deref().map(before).transpose()?;
    let mut uploads: Vec<Value> = Vec::new();
    let listing =
        Call::get(&under(&place.bucket, "uploads")).scoped().query("limit", 1000).query("prefix", &place.key);
    remote::pages(client, listing, MARKS, |page| {
        let some = remote::members(page, "uploads");
        uploads.extend(some.filter(|upload| before.is_none_or(|before| is_before(upload, before))).cloned());
        true
    })
    .await?;
    if !args.abort_all {
        return client.print(&Value::Array(uploads), &UPLOADS);
    }
    if !uploads.is_empty() {
        let question = format!("Give up {} under `{place}`? What has arrived is lost", said(uploads.len()));
        ask::confirm(&question, client.yes)?;
    }
    give_up(client, &place.bucket, uploads.iter().map(|upload| text(upload, "id").to_owned()).collect()).await
}

async fn give_up(client: &Client, bucket: &str, ids: Vec<String>) -> Outcome {
    let (bar, count) = (Bar::counting(ids.len(), client.printer.quiet), ids.len());
    let work = ids.into_iter().map(|id| {
        let bar = &bar;
        async move {
            let [api, version, buckets, bucket] = at(bucket);
            let call = Call::delete(&[api, version, buckets, bucket, "uploads", &id]).scoped();
            let done = client.call(call).await;
            bar.add(1);
            done.map(drop).map_err(|failure| (id, failure))
        }
    });
    let done = together(work.collect(), AT_ONCE, "uploads could not be given up").await;
    bar.finish();
    done?;
    let message = format!("gave up {} of `{bucket}`", said(count));
    client.changed(&message, &json!({"uploads": count}), &View::ALL)
}

fn said(count: usize) -> String {
    if count == 1 { "1 upload".to_owned() } else { format!("{count} uploads") }
}

/// The moment so long ago.
fn before(age: &str) -> Outcome<Timestamp> {
    let age = SignedDuration::from_secs(i64::try_from(seconds(age)?).unwrap_or(i64::MAX));
    Ok(SystemClock.now().checked_sub(age).unwrap_or(Timestamp::MIN))
}

fn is_before(upload: &Value, before: Timestamp) -> bool {
    text(upload, "begun").parse::<Timestamp>().is_ok_and(|begun| begun <= before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_that_age_are_meant() {
        let upload = json!({"begun": "2026-01-02T00:00:00Z"});
        assert!(is_before(&upload, "2026-01-03T00:00:00Z".parse().unwrap()));
        assert!(!is_before(&upload, "2026-01-01T00:00:00Z".parse().unwrap()));
        assert!(!is_before(&json!({}), Timestamp::MAX), "what does not say its age is left alone");
        assert!(before("99999999d").unwrap() <= before("1d").unwrap());
    }
}
