//! `flagbase bucket create` and `set`: what is said of a bucket.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{ONE, at};
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Failure, Outcome};

#[derive(Debug, Args)]
pub(super) struct SettingsArgs {
    /// The bucket
    name: String,
    /// For people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether older versions are kept: `off`, `enabled` or `suspended`
    #[arg(long, value_name = "WORD")]
    versioning: Option<String>,
    /// What everybody may do: `none`, or `read` objects whose keys they know
    #[arg(long, value_name = "WORD")]
    public: Option<String>,
    /// How many bytes it may hold, such as `10GiB`; `none` for any number
    #[arg(long, value_name = "SIZE")]
    quota: Option<String>,
    /// How many objects it may hold; `none` for any number
    #[arg(long, value_name = "COUNT")]
    quota_objects: Option<String>,
    /// JSON or YAML with members of a bucket, such as `cors`, `lifecycle`, `policy`, `site` and `tags`; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn create(args: &SettingsArgs, client: &Client) -> Outcome {
    let name = &args.name;
    let body = members(args, &Value::Null)?;
    let created = client.call(Call::put(&at(name), body).scoped().if_none_match()).await?;
    client.changed(&format!("created bucket `{name}`"), &created, &ONE)
}

pub(super) async fn set(args: &SettingsArgs, client: &Client) -> Outcome {
    let name = &args.name;
    let current = client.send(Call::get(&at(name)).scoped()).await?;
    let body = members(args, &current.body)?;
    if body.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(Failure::usage("nothing to change").hint("see `flagbase bucket set --help`"));
    }
    let changed = client.call(Call::patch(&at(name), body).scoped().if_match(current.etag)).await?;
    client.changed(&format!("changed bucket `{name}`"), &changed, &ONE)
}

/// The members that were given; those of a quota beside those there are.
fn members(args: &SettingsArgs, current: &Value) -> Outcome<Value> {
    let mut body = args.file.as_deref().map(document::read).transpose()?.unwrap_or_else(|| json!({}));
    let options =
        [("description", &args.description), ("versioning", &args.versioning), ("public", &args.public)];
    for (name, value) in options {
        document::set_some(&mut body, name, value.clone());
    }
    if args.quota.is_some() || args.quota_objects.is_some() {
        let mut quota =
            current.get("quota").filter(|quota| quota.is_object()).cloned().unwrap_or_else(|| json!({}));
        for (name, text) in [("bytes", &args.quota), ("objects", &args.quota_objects)] {
            match text.as_deref() {
                None => {}
                Some("none") => drop(quota.as_object_mut().and_then(|quota| quota.remove(name))),
                Some(text) => document::set(&mut quota, name, size(text)?),
            }
        }
        document::set(&mut body, "quota", quota);
    }
    Ok(body)
}

/// A number of bytes as people write it: `1000`, `10MiB`, `5GB`.
pub(super) fn size(text: &str) -> Outcome<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: u64 = match text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        _ => 0,
    };
    let bytes = digits.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    bytes.filter(|_| unit > 0).ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a number of bytes")).hint("write it like `10GiB` or `500000`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("0", 0), ("1000", 1000), ("10MiB", 10 << 20), ("5gb", 5_000_000_000), ("2k", 2048)]
        {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "many", "1.5GB", "-1", "1XB", "99999999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_quota_is_changed_beside_the_other() {
        let args = SettingsArgs {
            name: "up".into(),
            description: None,
            versioning: Some("enabled".into()),
            public: None,
            quota: Some("1k".into()),
            quota_objects: None,
            file: None,
        };
        let body = members(&args, &json!({"quota": {"objects": 5, "bytes": 1}})).unwrap();
        assert_eq!(body, json!({"versioning": "enabled", "quota": {"objects": 5, "bytes": 1024}}));
        let without = SettingsArgs { quota: Some("none".into()), ..args };
        assert_eq!(members(&without, &json!({"quota": {"bytes": 1}})).unwrap()["quota"], json!({}));
    }
}
