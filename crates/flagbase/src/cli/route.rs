//! `flagbase route`: gateway routes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output::View;

#[derive(Debug, Args)]
pub(crate) struct RouteArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// List routes
    List,
    /// Show a route
    Get {
        /// The route's id
        id: String,
    },
    /// Add a route, or replace the one with the same pattern
    Add {
        /// The path below /gateway, such as `/shop`
        #[arg(required_unless_present = "file")]
        pattern: Option<String>,
        /// Where requests go, such as `http://127.0.0.1:9000`
        #[arg(required_unless_present = "file")]
        backend_url: Option<String>,
        /// Only callers for whom this flag is on get through
        #[arg(long, value_name = "KEY")]
        flag: Option<String>,
        /// Read the whole route from this JSON or YAML file; `-` is standard input
        #[arg(short, long, value_name = "FILE", conflicts_with_all = ["pattern", "backend_url", "flag"])]
        file: Option<PathBuf>,
    },
    /// Replace a route
    Update {
        /// The route's id
        id: String,
        /// Read the whole route from this JSON or YAML file; `-` is standard input
        #[arg(short, long, value_name = "FILE", required_unless_present = "set")]
        file: Option<PathBuf>,
        /// Change one member, such as `flag_key=checkout`; repeat for each
        #[arg(long, value_name = "NAME=VALUE", conflicts_with = "file")]
        set: Vec<String>,
    },
    /// Remove a route
    Remove {
        /// The route's id
        id: String,
    },
    /// Show where a request would go, and why
    Test {
        /// The path, such as `/gateway/shop`
        path: String,
        /// The method
        #[arg(short = 'X', long, default_value = "GET")]
        method: String,
        /// The host the request is sent to
        #[arg(long)]
        host: Option<String>,
        /// A header; repeat for each
        #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
        headers: Vec<String>,
    },
}

const VIEW: View = View(&[
    ("id", "/id"),
    ("pattern", "/pattern"),
    ("backend", "/backend_url"),
    ("flag", "/flag_key"),
    ("methods", "/methods"),
    ("host", "/host"),
]);

const ROUTES: [&str; 4] = ["api", "v1", "gateway", "routes"];

pub(crate) async fn run(args: RouteArgs, environment: &Environment) -> Outcome {
    let client = Client::new(&args.client, environment)?;
    match args.command {
        RouteCommand::List => client.print(
            &client.list(Call::get(&ROUTES).scoped(), None).await?,
            &VIEW,
        ),
        RouteCommand::Get { id } => client.print(
            &client.call(Call::get(&at(&id)).scoped()).await?,
            &View::ALL,
        ),
        RouteCommand::Add {
            pattern,
            backend_url,
            flag,
            file,
        } => {
            let route = match file {
                Some(file) => document::read(&file)?,
                None => simple(pattern, backend_url, flag),
            };
            let added = client.call(Call::post(&ROUTES, route).scoped()).await?;
            let id = added.get("id").and_then(Value::as_str).unwrap_or_default();
            client.changed(&format!("added route `{id}`"), &added, &VIEW)
        }
        RouteCommand::Update { id, file, set } => update(&client, &id, file, &set).await,
        RouteCommand::Remove { id } => {
            ask::confirm(&format!("Remove route `{id}`?"), client.yes)?;
            client.call(Call::delete(&at(&id)).scoped()).await?;
            client.printer.done(&format!("removed route `{id}`"));
            Ok(())
        }
        RouteCommand::Test {
            path,
            method,
            host,
            headers,
        } => {
            let mut request = json!({"method": method, "path": path});
            document::set_some(&mut request, "host", host);
            if !headers.is_empty() {
                document::set(&mut request, "headers", texts(document::pairs(&headers)?));
            }
            let [api, version, gateway, routes] = ROUTES;
            let call = Call::post(&[api, version, gateway, routes, "test"], request).scoped();
            client.print(&client.call(call).await?, &View::ALL)
        }
    }
}

fn at(id: &str) -> [&str; 5] {
    let [api, version, gateway, routes] = ROUTES;
    [api, version, gateway, routes, id]
}

fn simple(pattern: Option<String>, backend_url: Option<String>, flag: Option<String>) -> Value {
    let mut route = json!({});
    document::set_some(&mut route, "pattern", pattern);
    document::set_some(&mut route, "backend_url", backend_url);
    document::set_some(&mut route, "flag_key", flag);
    route
}

async fn update(client: &Client, id: &str, file: Option<PathBuf>, set: &[String]) -> Outcome {
    let current = client.send(Call::get(&at(id)).scoped()).await?;
    let mut route = match file {
        Some(file) => document::read(&file)?,
        None => current.body,
    };
    if !route.is_object() {
        return Err(Failure::usage("a route is an object with members"));
    }
    if let Value::Object(members) = document::pairs(set)? {
        for (name, value) in members {
            document::set(&mut route, &name, value);
        }
    }
    let saved = client
        .call(Call::put(&at(id), route).scoped().if_match(current.etag))
        .await?;
    client.changed(&format!("updated route `{id}`"), &saved, &VIEW)
}

/// Header values are text even when they look like numbers.
fn texts(headers: Value) -> Value {
    match headers {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(_) => (name, value),
                other => (name, Value::String(other.to_string())),
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_sends_only_what_was_given() {
        let route = simple(
            Some("/shop".into()),
            Some("http://127.0.0.1:9".into()),
            None,
        );
        assert_eq!(
            route,
            json!({"pattern": "/shop", "backend_url": "http://127.0.0.1:9"})
        );
    }

    #[test]
    fn header_values_stay_text() {
        assert_eq!(
            texts(json!({"x-a": 1, "x-b": "two"})),
            json!({"x-a": "1", "x-b": "two"})
        );
    }
}
