//! `flagbase bucket cp`: the server copies, and no bytes come here.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::amounts::bytes;
use super::objects::OBJECTS;
use super::place::Place;
use super::progress::Bar;
use super::remote;
use super::transfer::together;
use crate::cli::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::View;

#[derive(Debug, Args)]
pub(super) struct CpArgs {
    /// `bucket/key`, or with --recursive `bucket` or `bucket/prefix/`
    from: String,
    /// `bucket/key`, or `bucket/prefix/` to keep the name
    to: String,
    /// Everything below the prefix, with what follows it in the keys
    #[arg(short, long)]
    recursive: bool,
    /// A version of the object
    #[arg(long, conflicts_with = "recursive")]
    version: Option<String>,
    /// Objects copied at once
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    parallel: usize,
}

pub(super) async fn cp(args: &CpArgs, client: &Client) -> Outcome {
    let here = |text: &str| Path::new(text).exists();
    let (Ok(from), Ok(to)) = (args.from.parse::<Place>(), args.to.parse::<Place>()) else {
        return Err(elsewhere(args, here));
    };
    if args.recursive {
        let copied = all(args, client, (&from, &to)).await;
        return copied.map_err(|failure| explained(args, failure, here));
    }
    if from.key.is_empty() {
        return Err(elsewhere(args, here));
    }
    let copied = one(args, client, (from.object()?, &to)).await;
    copied.map_err(|failure| match explained(args, failure, here) {
        failure if failure.is("object_not_found") && args.version.is_some() => failure.hint(format!(
            "or no such version of it: `flagbase bucket ls {} --versions` lists them",
            args.from
        )),
        failure if failure.is("object_not_found") => {
            failure.hint(format!("`flagbase bucket cp -r {}` copies what is below it", args.from))
        }
        failure => failure,
    })
}

async fn one(args: &CpArgs, client: &Client, (from, to): (&Place, &Place)) -> Outcome {
    let to = to.with(from.key.rsplit('/').next().unwrap_or_default());
    let copied = copy(client, (from, args.version.as_deref()), to.object()?).await?;
    client.changed(&format!("copied `{from}` to `{to}`"), &copied, &OBJECTS)
}

async fn all(args: &CpArgs, client: &Client, (from, to): (&Place, &Place)) -> Outcome {
    let from = Place { key: from.directory(), ..from.clone() };
    let to = Place { key: to.directory(), ..to.clone() };
    if from == to {
        return Err(Failure::usage(format!("`{from}` cannot be copied to itself")));
    }
    let objects = remote::all(client, &from).await?;
    if objects.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("there is nothing below `{from}`"))
            .hint(format!("`flagbase bucket ls {} -r` shows what there is", from.bucket)));
    }
    let size = objects.iter().map(|known| known.size).sum();
    let (bar, count) = (Bar::new(size, client.printer.quiet), objects.len());
    let work = objects.into_iter().map(|known| {
        let (bar, from, to) = (&bar, &from, &to);
        async move {
            let rest = known.key.strip_prefix(&from.key).unwrap_or_default();
            let target = Place { key: format!("{}{rest}", to.key), ..to.clone() };
            let source = Place { key: known.key.clone(), ..from.clone() };
            let copied = async { copy(client, (source.object()?, None), target.object()?).await };
            copied.await.map(|_| bar.add(known.size)).map_err(|failure| (source.to_string(), failure))
        }
    });
    let done = together(work.collect(), args.parallel, "objects could not be copied").await;
    bar.finish();
    done?;
    let message = match count {
        1 => format!("copied 1 object, {}, to `{to}`", bytes(size)),
        many => format!("copied {many} objects, {}, to `{to}`", bytes(size)),
    };
    client.changed(&message, &json!({"objects": count, "bytes": size}), &View::ALL)
}

/// Large objects may take longer than other calls.
async fn copy(client: &Client, (from, version): (&Place, Option<&str>), to: &Place) -> Outcome<Value> {
    let call = Call::put(&remote::path(to), Value::Null).scoped();
    let call = call.query("copy", from).query_some("copy_version", version);
    let response = client.stream(client.request(&call)?).await?;
    let answer = response.bytes().await.map_err(|error| client.unreachable(&error))?;
    Ok(serde_json::from_slice(&answer).unwrap_or_default())
}

/// A bucket that is not there may have been meant as a directory here.
fn explained(args: &CpArgs, failure: Failure, here: impl Fn(&str) -> bool) -> Failure {
    if failure.is("bucket_not_found") && (here(&args.from) || here(&args.to)) {
        return elsewhere(args, here);
    }
    failure
}

/// What was meant when an end of the copy is not in a bucket.
fn elsewhere(args: &CpArgs, here: impl Fn(&str) -> bool) -> Failure {
    let CpArgs { from, to, .. } = args;
    let is_path = |text: &str| text.starts_with(['/', '.', '~']);
    let failure = |what: &str| Failure::usage(format!("`cp` copies between buckets, and {what}"));
    if is_path(from) || here(from) {
        let command = if args.recursive || Path::new(from).is_dir() { "sync" } else { "put" };
        return failure(&format!("`{from}` is on this machine"))
            .hint(format!("`flagbase bucket {command} {from} {to}` sends it to a bucket"));
    }
    if is_path(to) || here(to) {
        let command = if args.recursive { "sync" } else { "get" };
        return failure(&format!("`{to}` is on this machine"))
            .hint(format!("`flagbase bucket {command} {from} {to}` fetches it from a bucket"));
    }
    failure(&format!("`{from}` names no object"))
        .hint("write it like `bucket/key`; `-r` copies all of a bucket, `flagbase bucket put` sends files from this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_this_machine_is_sent_and_fetched_by_other_commands() {
        let told = |from: &str, to: &str, recursive| {
            let args = CpArgs { from: from.into(), to: to.into(), recursive, version: None, parallel: 1 };
            elsewhere(&args, |text| text == "logo.png").to_string()
        };
        for (from, to, recursive, expected) in [
            ("logo.png", "site/x", false, "`flagbase bucket put logo.png site/x`"),
            ("./logo.png", "site/x", false, "`flagbase bucket put ./logo.png site/x`"),
            ("./public", "site/x/", true, "`flagbase bucket sync ./public site/x/`"),
            ("site/x", "./logo.png", false, "`flagbase bucket get site/x ./logo.png`"),
            ("site/x/", "./public", true, "`flagbase bucket sync site/x/ ./public`"),
            ("photo.png", "site/x", false, "`flagbase bucket put`"),
        ] {
            let told = told(from, to, recursive);
            assert!(told.contains("between buckets") && told.contains(expected), "{told}");
        }
    }
}
