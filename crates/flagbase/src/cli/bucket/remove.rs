//! `flagbase bucket rm`.

use clap::Args;
use serde_json::{Value, json};

use super::place::Place;
use super::progress::Bar;
use super::remote::{self, Deleted, text};
use crate::cli::ask;
use crate::cli::client::{Call, Client};
use crate::exit::{Failure, Outcome};
use crate::output::View;

#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// `bucket/key`, or with --recursive `bucket` or `bucket/prefix`; repeat for each
    #[arg(required = true)]
    places: Vec<Place>,
    /// Everything that begins so
    #[arg(short, long)]
    recursive: bool,
    /// All versions and delete markers, too, for good: nothing is left
    #[arg(long, requires = "recursive", conflicts_with = "version")]
    versions: bool,
    /// A version, which goes for good
    #[arg(long, conflicts_with = "recursive")]
    version: Option<String>,
}

/// What is to be deleted at a place, as the server wants to have it said.
struct Doomed {
    which: Vec<Value>,
    markers: usize,
}

pub(super) async fn rm(args: &RmArgs, client: &Client) -> Outcome {
    if let Some(version) = &args.version {
        return one_version(args, client, version).await;
    }
    let (mut count, mut markers, mut deleted) = (0, 0, Deleted::default());
    for place in &args.places {
        let doomed = find(args, client, place).await?;
        if args.recursive && !doomed.which.is_empty() {
            let what = said(args, (doomed.which.len(), doomed.markers));
            let end = if args.versions { " for good?" } else { "?" };
            ask::confirm(&format!("Delete {what} under `{place}`{end}"), client.yes)?;
        }
        let bar = Bar::counting(doomed.which.len(), client.printer.quiet);
        let done = remote::delete(client, &place.bucket, &doomed.which, &bar).await;
        bar.finish();
        let Deleted { hidden, wrong } = done?;
        deleted.hidden += hidden;
        deleted.wrong.extend(wrong);
        count += doomed.which.len();
        markers += doomed.markers;
    }
    let hidden = deleted.whole(count)?;
    let message = match args.places.as_slice() {
        [place] if !args.recursive => format!("deleted `{place}`"),
        [place] => format!("deleted {} under `{place}`", said(args, (count, markers))),
        _ => format!("deleted {}", said(args, (count, markers))),
    };
    let counts = if args.versions {
        json!({"versions": count - markers, "markers": markers})
    } else {
        json!({"objects": count, "hidden": hidden})
    };
    client.changed(&message, &counts, &View::ALL)?;
    if hidden > 0 {
        client
            .printer
            .hint("the bucket keeps their versions; `rm -r --versions` deletes those for good, too");
    }
    Ok(())
}

async fn one_version(args: &RmArgs, client: &Client, version: &str) -> Outcome {
    let [place] = args.places.as_slice() else {
        return Err(Failure::usage("a version is one of one object; name that alone"));
    };
    let call = Call::delete(&remote::path(place.object()?)).scoped().query("version", version);
    client.call(call).await?;
    client.printer.done(&format!("deleted version `{version}` of `{place}`"));
    Ok(())
}

async fn find(args: &RmArgs, client: &Client, place: &Place) -> Outcome<Doomed> {
    let mut doomed = Doomed { which: Vec::new(), markers: 0 };
    if !args.recursive {
        let found = match place.object() {
            // Deleting what is not there would say nothing of a mistyped key.
            Ok(place) => remote::head(client, place, None).await.map(drop),
            Err(failure) => Err(failure.hint("`rm -r` deletes everything that begins so")),
        };
        found?;
        doomed.which.push(json!(place.key));
        return Ok(doomed);
    }
    let listing = remote::listing(place, (None, args.versions));
    remote::pages(client, listing, remote::OBJECT_MARKS, |page| {
        for object in remote::members(page, "objects") {
            let (key, version) = (text(object, "key"), text(object, "version"));
            let is_marker = object.get("marker").and_then(Value::as_bool).unwrap_or_default();
            doomed.markers += usize::from(is_marker);
            doomed.which.push(if args.versions {
                json!({"key": key, "version": version})
            } else {
                json!(key)
            });
        }
        true
    })
    .await?;
    Ok(doomed)
}

/// How many there are, for people.
fn said(args: &RmArgs, (count, markers): (usize, usize)) -> String {
    let some = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    if !args.versions {
        return some(count, "object");
    }
    if markers == 0 {
        return some(count, "version");
    }
    format!("{} and {}", some(count - markers, "version"), some(markers, "delete marker"))
}
