//! `flagbase bucket create` and `set`: what is said of a bucket.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::amounts::size;
use super::{ONE, at};
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Exit, Failure, Outcome};

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
    let created = client.call(Call::put(&at(name), body).scoped().if_none_match()).await;
    let created = created.map_err(|failure| {
        if !failure.is("revision_mismatch") {
            return failure;
        }
        Failure::new(Exit::Conflict, format!("there is a bucket `{name}` already"))
            .hint(format!("`flagbase bucket set {name}` changes it"))
    })?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
