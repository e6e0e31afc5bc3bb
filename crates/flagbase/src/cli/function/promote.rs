//! `flagbase fn promote`: a version that is there comes to run, for everybody or for some.

use clap::Args;
use serde_json::json;

use super::deploy::condition;
use super::{ONE, alias, at, under};
use crate::cli::client::{Call, Client};
use crate::exit::Outcome;

#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    /// The function
    name: String,
    /// The version
    #[arg(value_parser = super::version_number)]
    version: u32,
    /// Only for callers who meet this, such as `role=developer`; everybody else keeps the version they have
    #[arg(long = "for", value_name = "CONDITION")]
    only_for: Option<String>,
    /// With --for: turn the function's flag on again when it is off, such as after a guard turned it off
    #[arg(long, requires = "only_for")]
    enable: bool,
}

pub(super) async fn run(args: &PromoteArgs, client: &Client) -> Outcome {
    let PromoteArgs { name, version, only_for, enable } = args;
    let Some(text) = only_for else {
        let body = json!({"version": version});
        let function = client.call(Call::post(&under(name, "promote"), body).scoped()).await?;
        client.changed(&format!("version {version} of function `{name}` runs now"), &function, &ONE)?;
        alias::tell_of_others(client, &function).await;
        return Ok(());
    };
    let condition = condition(text)?;
    // Says so when there is no such version, before a flag names it.
    let number = version.to_string();
    let [api, v1, functions, name, versions] = under(name, "versions");
    client.call(Call::get(&[api, v1, functions, name, versions, &number]).scoped()).await?;
    alias::check(client, name, *enable).await?;
    let function = client.call(Call::get(&at(name)).scoped()).await?;
    let key = alias::put_behind(client, &function, (u64::from(*version), &condition), *enable).await?;
    let message = format!(
        "version {version} of function `{name}` runs for callers with {text} (flag `{key}`); everybody else gets {}",
        alias::for_others(&function)
    );
    let function = client.call(Call::get(&at(name)).scoped()).await?;
    client.changed(&message, &function, &ONE)
}
