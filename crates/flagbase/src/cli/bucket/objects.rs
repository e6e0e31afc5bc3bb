//! `flagbase bucket ls`.

use clap::Args;
use serde_json::{Value, json};

use super::place::Place;
use super::remote::{self, members, text};
use crate::cli::client::Client;
use crate::exit::Outcome;
use crate::output::View;

pub(super) const OBJECTS: View =
    View(&[("key", "/key"), ("size", "/size"), ("type", "/content_type"), ("modified", "/modified_at")]);

const VERSIONS: View = View(&[
    ("key", "/key"),
    ("version", "/version"),
    ("latest", "/latest"),
    ("deleted", "/marker"),
    ("size", "/size"),
    ("modified", "/modified_at"),
]);

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// `bucket`, or `bucket/prefix`
    place: Place,
    /// Also what is below the next `/`
    #[arg(short, long)]
    recursive: bool,
    /// Older versions and delete markers, too
    #[arg(long)]
    versions: bool,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

pub(super) async fn ls(args: &LsArgs, client: &Client) -> Outcome {
    let (limit, mut items) = (args.limit.unwrap_or(usize::MAX), Vec::new());
    let delimiter = (!args.recursive).then_some("/");
    let listing = remote::listing(&args.place, (delimiter, args.versions));
    remote::pages(client, listing, remote::OBJECT_MARKS, |page| {
        let mut some: Vec<Value> = members(page, "prefixes").map(|prefix| json!({"key": prefix})).collect();
        some.extend(members(page, "objects").cloned());
        some.sort_by(|one, other| text(one, "key").cmp(text(other, "key")));
        items.extend(some);
        items.len() < limit
    })
    .await?;
    items.truncate(limit);
    client.print(&Value::Array(items), if args.versions { &VERSIONS } else { &OBJECTS })
}
