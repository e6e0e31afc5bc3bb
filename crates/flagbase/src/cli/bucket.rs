//! `flagbase bucket`: buckets, and everything one does with what is in them.

mod download;
mod key;
mod objects;
mod place;
mod progress;
mod remote;
mod settings;
mod sync;
mod transfer;
mod upload;

use clap::{Args, Subcommand};

use super::ask;
use super::client::{Call, Client, ClientArgs};
use crate::config::Environment;
use crate::exit::Outcome;
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
    Rm(objects::RmArgs),
    /// Copy an object within the server
    Cp(objects::CpArgs),
    /// Make a prefix of a bucket equal to a directory, or the other way around
    Sync(sync::SyncArgs),
    /// Make a URL with which one thing may be done to one object without logging in
    Share(objects::ShareArgs),
    /// Make an access key for clients of S3, good for a bucket or a prefix of it; its secret is printed once
    Key(key::KeyArgs),
    /// Show how much is in a bucket
    Usage {
        /// The bucket
        name: String,
    },
}

pub(crate) async fn run(args: BucketArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let in_environment = client.environment.as_deref().unwrap_or("default");
    let client = Client::new(client, environment)?;
    match args.command {
        BucketCommand::Create(args) => settings::create(&args, &client).await,
        BucketCommand::List { search, limit } => {
            let call = Call::get(&BUCKETS).scoped().query_some("search", search);
            client.print(&client.list(call, limit).await?, &LIST)
        }
        BucketCommand::Show { name } => {
            client.print(&client.call(Call::get(&at(&name)).scoped()).await?, &ONE)
        }
        BucketCommand::Set(args) => settings::set(&args, &client).await,
        BucketCommand::Delete { name } => delete(&client, &name).await,
        BucketCommand::Ls(args) => objects::ls(&args, &client).await,
        BucketCommand::Put(args) => upload::run(&args, &client).await,
        BucketCommand::Get(args) => download::run(&args, &client).await,
        BucketCommand::Rm(args) => objects::rm(&args, &client).await,
        BucketCommand::Cp(args) => objects::cp(&args, &client).await,
        BucketCommand::Sync(args) => sync::run(&args, &client).await,
        BucketCommand::Share(args) => objects::share(&args, &client).await,
        BucketCommand::Key(args) => key::run(&args, &client, in_environment).await,
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

async fn delete(client: &Client, name: &str) -> Outcome {
    let current = client.send(Call::get(&at(name)).scoped()).await?;
    ask::confirm(&format!("Delete bucket `{name}`?"), client.yes)?;
    client.call(Call::delete(&at(name)).scoped().if_match(current.etag)).await?;
    client.printer.done(&format!("deleted bucket `{name}`"));
    Ok(())
}
