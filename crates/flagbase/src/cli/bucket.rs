//! `flagbase bucket`: buckets, and everything one does with what is in them.

mod amounts;
mod copy;
mod download;
mod key;
mod mark;
mod objects;
mod place;
mod progress;
mod remote;
mod remove;
mod sending;
mod settings;
mod share;
mod sync;
mod transfer;
mod upload;
mod uploads;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::ask;
use super::client::{Call, Client, ClientArgs};
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output::View;

/// Where buckets live.
const BUCKETS: [&str; 3] = ["api", "v1", "buckets"];

const LIST: View = View(&[
    ("name", "/name"),
    ("versioning", "/versioning"),
    ("public", "/public"),
    ("description", "/description"),
    ("updated", "/updated_at"),
]);

const ONE: View = View(&[
    ("name", "/name"),
    ("description", "/description"),
    ("environment", "/environment_key"),
    ("versioning", "/versioning"),
    ("public", "/public"),
    ("quota", "/quota"),
    ("lifecycle", "/lifecycle"),
    ("cors", "/cors"),
    ("policy", "/policy"),
    ("site", "/site"),
    ("tags", "/tags"),
    ("usage", "/usage"),
    ("updated", "/updated_at"),
]);

const USAGE: View = View(&[
    ("objects", "/objects"),
    ("bytes", "/bytes"),
    ("older versions", "/older_versions"),
    ("their bytes", "/older_bytes"),
    ("uploads", "/uploads"),
    ("their bytes", "/uploaded_bytes"),
]);

#[derive(Debug, Args)]
pub(crate) struct BucketArgs {
    #[command(subcommand)]
    command: BucketCommand,
}

#[derive(Debug, Subcommand)]
enum BucketCommand {
    /// Make a bucket
    Create(settings::SettingsArgs),
    /// List buckets
    List {
        /// Only buckets whose name or description contains this
        #[arg(long)]
        search: Option<String>,
        /// At most so many
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show a bucket, and how much is in it
    Show {
        /// The bucket
        name: String,
    },
    /// Change a bucket
    Set(settings::SettingsArgs),
    /// Delete a bucket that holds nothing
    Delete {
        /// The bucket
        name: String,
    },
    /// List objects
    Ls(objects::LsArgs),
    /// Send files to a bucket
    Put(upload::PutArgs),
    /// Fetch an object
    Get(download::GetArgs),
    /// Delete objects
    Rm(remove::RmArgs),
    /// Copy an object, or all below a prefix, within the server
    Cp(copy::CpArgs),
    /// Make a prefix of a bucket equal to a directory, or the other way around
    Sync(sync::SyncArgs),
    /// Make a URL with which one thing may be done to one object without logging in
    Share(share::ShareArgs),
    /// Make an access key for clients of S3, good for a bucket or a prefix of it; its secret is printed once
    Key(key::KeyArgs),
    /// List uploads that are not finished, or give them up
    Uploads(uploads::UploadsArgs),
    /// Show how much is in a bucket
    Usage {
        /// The bucket
        name: String,
    },
}

pub(crate) async fn run(args: BucketArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let in_environment = client.environment.as_deref().unwrap_or("default");
    let client = Client::new(client, environment)?;
    match obey(args.command, &client, in_environment).await {
        Err(failure) if failure.is("bucket_not_found") => Err(with_those_there_are(&client, failure).await),
        done => done,
    }
}

async fn obey(command: BucketCommand, client: &Client, in_environment: &str) -> Outcome {
    match command {
        BucketCommand::Create(args) => settings::create(&args, client).await,
        BucketCommand::List { search, limit } => {
            let call = Call::get(&BUCKETS).scoped().query_some("search", search);
            client.print(&client.list(call, limit).await?, &LIST)
        }
        BucketCommand::Show { name } => {
            client.print(&client.call(Call::get(&at(&name)).scoped()).await?, &ONE)
        }
        BucketCommand::Set(args) => settings::set(&args, client).await,
        BucketCommand::Delete { name } => delete(client, &name).await,
        BucketCommand::Ls(args) => objects::ls(&args, client).await,
        BucketCommand::Put(args) => upload::run(&args, client).await,
        BucketCommand::Get(args) => download::run(&args, client).await,
        BucketCommand::Rm(args) => remove::rm(&args, client).await,
        BucketCommand::Cp(args) => copy::cp(&args, client).await,
        BucketCommand::Sync(args) => sync::run(&args, client).await,
        BucketCommand::Share(args) => share::share(&args, client).await,
        BucketCommand::Key(args) => key::run(&args, client, in_environment).await,
        BucketCommand::Uploads(args) => uploads::run(&args, client).await,
        BucketCommand::Usage { name } => {
            client.print(&client.call(Call::get(&under(&name, "usage")).scoped()).await?, &USAGE)
        }
    }
}

/// The path of a bucket.
fn at(name: &str) -> [&str; 4] {
    let [api, version, buckets] = BUCKETS;
    [api, version, buckets, name]
}

/// The path of something about a bucket.
fn under<'a>(name: &'a str, part: &'a str) -> [&'a str; 5] {
    let [api, version, buckets, name] = at(name);
    [api, version, buckets, name, part]
}

/// The failure, with what there is instead.
async fn with_those_there_are(client: &Client, failure: Failure) -> Failure {
    const MOST: usize = 5;
    let listed = client.list(Call::get(&BUCKETS).scoped(), Some(MOST + 1)).await.unwrap_or_default();
    let names = listed.as_array().into_iter().flatten().filter_map(|bucket| bucket.get("name")?.as_str());
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let create = "`flagbase bucket create NAME` makes one";
    failure.hint(match names.as_slice() {
        [] => create.to_owned(),
        some if some.len() <= MOST => format!("there is {}; {create}", some.join(", ")),
        _ => format!("`flagbase bucket list` shows which there are; {create}"),
    })
}

async fn delete(client: &Client, name: &str) -> Outcome {
    let current = client.send(Call::get(&at(name)).scoped()).await?;
    ask::confirm(&format!("Delete bucket `{name}`?"), client.yes)?;
    let deleted = client.call(Call::delete(&at(name)).scoped().if_match(current.etag)).await;
    deleted.map_err(|failure| {
        if failure.is("bucket_not_empty") { failure.hint(emptying(name, &current.body)) } else { failure }
    })?;
    client.printer.done(&format!("deleted bucket `{name}`"));
    Ok(())
}

/// How a bucket is emptied.
fn emptying(name: &str, bucket: &Value) -> String {
    let older = bucket.pointer("/usage/older_versions").and_then(Value::as_u64).unwrap_or_default();
    let versioning = bucket.get("versioning").and_then(Value::as_str).unwrap_or("off");
    // Deleting would only hide, and delete markers are no versions.
    let objects = bucket.pointer("/usage/objects").and_then(Value::as_u64).unwrap_or_default();
    let versions = if older > 0 || versioning != "off" || objects == 0 { "--versions " } else { "" };
    format!("`flagbase bucket rm -r {versions}{name}` empties it")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bucket_is_emptied_of_what_is_in_it() {
        let told = |versioning: &str, objects: u32, older: u32| {
            let usage = json!({"objects": objects, "older_versions": older});
            emptying("site", &json!({"versioning": versioning, "usage": usage}))
        };
        assert_eq!(told("off", 1, 0), "`flagbase bucket rm -r site` empties it");
        for versioned in [told("suspended", 1, 0), told("off", 1, 2), told("off", 0, 0)] {
            assert_eq!(versioned, "`flagbase bucket rm -r --versions site` empties it");
        }
    }
}
