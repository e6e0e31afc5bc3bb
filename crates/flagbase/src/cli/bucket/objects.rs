//! `flagbase bucket ls`, `rm`, `cp` and `share`.

use clap::Args;
use serde_json::{Value, json};

use super::place::Place;
use super::settings::size;
use super::{remote, under};
use crate::cli::ask;
use crate::cli::client::{Call, Client};
use crate::exit::{Failure, Outcome};
use crate::output::{self, Format, View};

const OBJECTS: View =
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
    remote::pages(client, &args.place, (delimiter, args.versions), |page| {
        let list = |name: &str| page.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut some: Vec<Value> =
            list("prefixes").into_iter().map(|prefix| json!({"key": prefix})).collect();
        some.extend(list("objects"));
        some.sort_by(|one, other| text(one, "key").cmp(text(other, "key")));
        items.extend(some);
        Ok(items.len() < limit)
    })
    .await?;
    items.truncate(limit);
    client.print(&Value::Array(items), if args.versions { &VERSIONS } else { &OBJECTS })
}

#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// `bucket/key`; repeat for each
    #[arg(required = true)]
    places: Vec<Place>,
    /// Everything that begins so
    #[arg(short, long)]
    recursive: bool,
    /// A version, which goes for good
    #[arg(long, conflicts_with = "recursive")]
    version: Option<String>,
}

pub(super) async fn rm(args: &RmArgs, client: &Client) -> Outcome {
    if let Some(version) = &args.version {
        let [place] = args.places.as_slice() else {
            return Err(Failure::usage("a version is one of one object; name that alone"));
        };
        let call = Call::delete(&remote::path(place.object()?)).scoped().query("version", version);
        client.call(call).await?;
        client.printer.done(&format!("deleted version `{version}` of `{place}`"));
        return Ok(());
    }
    let (mut count, mut wrong) = (0, Vec::new());
    for place in &args.places {
        let keys = if args.recursive {
            let keys: Vec<String> =
                remote::all(client, place).await?.into_iter().map(|known| known.key).collect();
            ask::confirm(&format!("Delete {} objects that begin with `{place}`?", keys.len()), client.yes)?;
            keys
        } else {
            // Deleting what is not there would say nothing of a mistyped key.
            remote::head(client, place.object()?, None).await?;
            vec![place.key.clone()]
        };
        wrong.extend(remote::delete(client, &place.bucket, &keys).await?);
        count += keys.len();
    }
    if !wrong.is_empty() {
        return Err(
            Failure::plain(format!("{} of {count} objects could not be deleted", wrong.len())).details(wrong)
        );
    }
    client.printer.done(&match (args.places.as_slice(), count) {
        ([place], 1) if !args.recursive => format!("deleted `{place}`"),
        _ => format!("deleted {count} objects"),
    });
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct CpArgs {
    /// `bucket/key`
    from: Place,
    /// `bucket/key`, or `bucket/prefix/` to keep the name
    to: Place,
    /// A version of the object
    #[arg(long)]
    version: Option<String>,
}

pub(super) async fn cp(args: &CpArgs, client: &Client) -> Outcome {
    let from = args.from.object()?;
    let to = args.to.with(from.key.rsplit('/').next().unwrap_or_default());
    let call = Call::put(&remote::path(to.object()?), Value::Null)
        .scoped()
        .query("copy", from)
        .query_some("copy_version", args.version.as_ref());
    let copied = client.call(call).await?;
    client.changed(&format!("copied `{from}` to `{to}`"), &copied, &OBJECTS)
}

#[derive(Debug, Args)]
pub(super) struct ShareArgs {
    /// `bucket/key`
    place: Place,
    /// What may be done: `GET`, `PUT` or `DELETE`
    #[arg(long, default_value = "GET")]
    method: String,
    /// For how long, such as `30m`, `12h` or `7d`
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    expires_in: String,
    /// How many bytes may be written, such as `10MiB`
    #[arg(long, value_name = "SIZE")]
    max_size: Option<String>,
    /// The media type that has to be written
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
    /// The version that may be read
    #[arg(long)]
    version: Option<String>,
}

pub(super) async fn share(args: &ShareArgs, client: &Client) -> Outcome {
    let place = args.place.object()?;
    let max_size = args.max_size.as_deref().map(size).transpose()?;
    let mut body = json!({"method": args.method, "key": place.key, "expires_in": seconds(&args.expires_in)?});
    super::super::document::set_some(&mut body, "max_size", max_size);
    super::super::document::set_some(&mut body, "content_type", args.content_type.clone());
    super::super::document::set_some(&mut body, "version", args.version.clone());
    let mut signed = client.call(Call::post(&under(&place.bucket, "sign"), body).scoped()).await?;
    let url = format!("{}{}", client.server(), text(&signed, "url"));
    super::super::document::set(&mut signed, "url", url.as_str());
    if client.printer.format == Format::Table {
        client.printer.done(&format!("good until {}", text(&signed, "expires_at")));
        return output::line(&url);
    }
    client.print(&signed, &View::ALL)
}

fn text<'a>(document: &'a Value, name: &str) -> &'a str {
    document.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A time as people write it: `90s`, `30m`, `12h`, `7d`.
fn seconds(text: &str) -> Outcome<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => 0,
    };
    let seconds =
        digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).filter(|count| *count > 0);
    seconds.ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a time")).hint("write it like `30m`, `12h` or `7d`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, expected) in [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604_800)] {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        for text in ["", "0", "1w", "-1h", "1.5h", "h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
