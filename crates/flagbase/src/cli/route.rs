//! `flagbase route`: gateway routes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, View};

#[derive(Debug, Args)]
pub(crate) struct RouteArgs {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// List routes
    List,
    /// Show a route
    Get {
        /// The route's id, or its pattern when only one route has it
        #[arg(value_name = "ROUTE")]
        id: String,
    },
    /// Add a route, or replace the one that takes the same requests
    Add(AddArgs),
    /// Change members of a route, or replace it by a file
    Update(UpdateArgs),
    /// Remove a route
    Remove {
        /// The route's id, or its pattern when only one route has it
        #[arg(value_name = "ROUTE")]
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

#[derive(Debug, Default, Args)]
struct AddArgs {
    /// The path below /gateway, such as `/shop`, or `/shop/*` for everything below
    #[arg(required_unless_present = "file")]
    pattern: Option<String>,
    /// Where requests go, such as `http://127.0.0.1:9100`, `function:hello` or `bucket:site/releases/1/`
    #[arg(required_unless_present_any = ["file", "variants"])]
    backend_url: Option<String>,
    /// Only callers for whom this flag is on get through; or it chooses the upstream, see --variant
    #[arg(long, value_name = "KEY")]
    flag: Option<String>,
    /// Where requests of callers with this variant go; repeat for each
    #[arg(long = "variant", value_name = "VARIANT=URL", requires = "flag")]
    variants: Vec<String>,
    /// A method it takes; repeat for each, or leave out for all
    #[arg(short = 'X', long = "method", value_name = "METHOD")]
    methods: Vec<String>,
    /// The host it answers for
    #[arg(long)]
    host: Option<String>,
    /// Cut the route's own path off before forwarding
    #[arg(long)]
    strip_prefix: bool,
    /// Only callers with a valid token get through
    #[arg(long)]
    authenticated: bool,
    /// Only callers with this role get through; repeat for each
    #[arg(long = "role", value_name = "ROLE", conflicts_with = "authenticated")]
    roles: Vec<String>,
    /// Pass the caller's token on to the upstream
    #[arg(long)]
    forward_token: bool,
    /// Read the whole route from this JSON or YAML file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["pattern", "backend_url", "flag", "variants", "methods", "host", "strip_prefix", "authenticated", "roles", "forward_token"])]
    file: Option<PathBuf>,
}

#[derive(Debug, Default, Args)]
struct UpdateArgs {
    /// The route's id, or its pattern when only one route has it
    #[arg(value_name = "ROUTE")]
    id: String,
    /// The flag that opens it, or chooses the upstream
    #[arg(long, value_name = "KEY")]
    flag: Option<String>,
    /// Where requests of callers with this variant go: adds it, or changes the one of this name, and keeps the others; repeat for each
    #[arg(long = "variant", value_name = "VARIANT=URL")]
    variants: Vec<String>,
    /// Take a variant away; repeat for each
    #[arg(long = "remove-variant", value_name = "VARIANT")]
    removed: Vec<String>,
    /// Change any other member, such as `name=Shop` or `methods=["GET"]`; repeat for each
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Read the whole route from this JSON or YAML file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["flag", "variants", "removed", "set"])]
    file: Option<PathBuf>,
}

const VIEW: View = View(&[
    ("id", "/id"),
    ("pattern", "/pattern"),
    ("backend", "/backend_url"),
    ("flag", "/flag_key"),
    ("methods", "/methods"),
    ("host", "/host"),
]);

const PREVIEW: View = View(&[
    ("decision", "/decision"),
    ("status", "/status"),
    ("route", "/route"),
    ("pattern", "/pattern"),
    ("flag", "/flag"),
    ("variant", "/variant"),
    ("reason", "/reason"),
    ("upstreams", "/upstreams"),
    ("function", "/function"),
    ("version", "/version"),
    ("bucket", "/bucket"),
    ("object", "/key"),
    ("upstream path", "/upstream_path"),
    ("why", "/why"),
    ("flag's story", "/explanation/summary"),
]);

const ROUTES: [&str; 4] = ["api", "v1", "gateway", "routes"];

pub(crate) async fn run(args: RouteArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        RouteCommand::List => client.print(&client.list(Call::get(&ROUTES).scoped(), None).await?, &VIEW),
        RouteCommand::Get { id } => {
            let id = find(&client, &id).await?;
            client.print(&client.call(Call::get(&at(&id)).scoped()).await?, &View::ALL)
        }
        RouteCommand::Add(args) => {
            // Who may write routes and not read them is not told what was there.
            let before = client.list(Call::get(&ROUTES).scoped(), None).await.unwrap_or_default();
            let added = client.call(Call::post(&ROUTES, args.route()?).scoped()).await?;
            let id = added.get("id").and_then(Value::as_str).unwrap_or_default();
            let was =
                before.as_array().into_iter().flatten().find(|route| route.get("id") == added.get("id"));
            let done = if was.is_some() { "replaced" } else { "added" };
            client.changed(&format!("{done} route `{id}`"), &added, &VIEW)?;
            if let Some(flag) = was.and_then(|route| route.get("flag_key")).and_then(Value::as_str)
                && added.get("flag_key").and_then(Value::as_str) != Some(flag)
            {
                output::warn(&format!(
                    "flag `{flag}` chose on this route, and does not any more; `flagbase route update` keeps what it is not told"
                ));
            }
            warn_of(&added);
            client.say_who_serves();
            Ok(())
        }
        RouteCommand::Update(args) => update(&client, &args).await,
        RouteCommand::Remove { id } => {
            let id = find(&client, &id).await?;
            ask::confirm(&format!("Remove route `{id}`?"), client.yes)?;
            client.call(Call::delete(&at(&id)).scoped()).await?;
            client.printer.done(&format!("removed route `{id}`"));
            Ok(())
        }
        RouteCommand::Test { path, method, host, headers } => {
            let mut request = json!({"method": method, "path": path});
            document::set_some(&mut request, "host", host);
            if !headers.is_empty() {
                document::set(&mut request, "headers", texts(document::pairs(&headers)?));
            }
            let [api, version, gateway, routes] = ROUTES;
            let call = Call::post(&[api, version, gateway, routes, "test"], request).scoped();
            client.print(&client.call(call).await?, &PREVIEW)?;
            client.say_who_serves();
            Ok(())
        }
    }
}

/// Says what the server takes and thinks is not meant, such as a release that holds nothing.
fn warn_of(route: &Value) {
    let warnings = route.get("warnings").and_then(Value::as_array).into_iter().flatten();
    warnings.filter_map(Value::as_str).for_each(output::warn);
}

/// People know patterns, the API knows ids.
async fn find(client: &Client, named: &str) -> Outcome<String> {
    if !named.contains(['/', '*']) {
        return Ok(named.to_owned());
    }
    let routes = client.list(Call::get(&ROUTES).scoped(), None).await?;
    let ids = with_pattern(&routes, named);
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Failure::new(Exit::NotFound, format!("there is no route `{named}`"))
            .hint("`flagbase route list` shows all")),
        many => Err(Failure::usage(format!("{} routes have the pattern `{named}`", many.len()))
            .hint(format!("name one by its id: {}", many.join(", ")))),
    }
}

/// The ids of the routes with this pattern, with or without `/gateway` in front.
fn with_pattern<'r>(routes: &'r Value, pattern: &str) -> Vec<&'r str> {
    let below = pattern.strip_prefix("/gateway").filter(|rest| rest.starts_with('/'));
    let member = |route: &'r Value, name: &str| route.get(name).and_then(Value::as_str);
    let all = routes.as_array().into_iter().flatten();
    all.filter(|route| {
        let has = member(route, "pattern");
        has == Some(pattern) || (has.is_some() && has == below)
    })
    .filter_map(|route| member(route, "id"))
    .collect()
}

fn at(id: &str) -> [&str; 5] {
    let [api, version, gateway, routes] = ROUTES;
    [api, version, gateway, routes, id]
}

impl AddArgs {
    fn route(&self) -> Outcome<Value> {
        if let Some(file) = &self.file {
            return document::read(file);
        }
        let mut route = json!({});
        document::set_some(&mut route, "pattern", self.pattern.clone());
        document::set_some(&mut route, "backend_url", self.backend_url.clone());
        document::set_some(&mut route, "flag_key", self.flag.clone());
        document::set_some(&mut route, "host", self.host.clone());
        document::set_some(&mut route, "strip_prefix", self.strip_prefix.then_some(true));
        document::set_some(&mut route, "forward_token", self.forward_token.then_some(true));
        document::set_some(&mut route, "require", self.authenticated.then_some("authenticated"));
        if !self.roles.is_empty() {
            document::set(&mut route, "require", json!({"roles": self.roles}));
        }
        if !self.methods.is_empty() {
            document::set(&mut route, "methods", self.methods.clone());
        }
        if !self.variants.is_empty() {
            document::set(&mut route, "variants", texts(document::pairs(&self.variants)?));
        }
        Ok(route)
    }
}

impl UpdateArgs {
    /// The route as it is to be.
    fn changed(&self, current: Value) -> Outcome<Value> {
        let mut route = match &self.file {
            Some(file) => document::read(file)?,
            None if [&self.variants, &self.removed, &self.set].iter().all(|given| given.is_empty())
                && self.flag.is_none() =>
            {
                return Err(Failure::usage("nothing to change")
                    .hint("give at least one of the options, such as --variant or --set"));
            }
            None => current,
        };
        if !route.is_object() {
            return Err(Failure::usage("a route is an object with members"));
        }
        document::set_some(&mut route, "flag_key", self.flag.clone());
        if !(self.variants.is_empty() && self.removed.is_empty()) {
            let variants = self.merged(route.get("variants"))?;
            document::set(&mut route, "variants", variants);
        }
        if let Value::Object(members) = document::pairs(&self.set)? {
            for (name, value) in members {
                document::set(&mut route, &name, value);
            }
        }
        Ok(route)
    }

    /// The variants there are, without those that go and with those that were given.
    fn merged(&self, current: Option<&Value>) -> Outcome<Value> {
        let mut variants = current.and_then(Value::as_object).cloned().unwrap_or_default();
        for name in &self.removed {
            if variants.remove(name).is_none() {
                let names: Vec<String> = variants.keys().map(|name| format!("`{name}`")).collect();
                let hint = match names.as_slice() {
                    [] => "the route has none".to_owned(),
                    some => format!("the route has {}", some.join(", ")),
                };
                return Err(Failure::usage(format!("there is no variant `{name}` to remove")).hint(hint));
            }
        }
        if let Value::Object(given) = texts(document::pairs(&self.variants)?) {
            variants.extend(given);
        }
        Ok(variants.into())
    }
}

async fn update(client: &Client, args: &UpdateArgs) -> Outcome {
    let id = find(client, &args.id).await?;
    let current = client.send(Call::get(&at(&id)).scoped()).await?;
    let route = args.changed(current.body)?;
    let saved = client.call(Call::put(&at(&id), route).scoped().if_match(current.etag)).await?;
    client.changed(&format!("updated route `{id}`"), &saved, &VIEW)?;
    warn_of(&saved);
    Ok(())
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
        let url = "http://127.0.0.1:9".to_owned();
        let args = AddArgs { pattern: Some("/shop".into()), backend_url: Some(url), ..AddArgs::default() };
        assert_eq!(args.route().unwrap(), json!({"pattern": "/shop", "backend_url": "http://127.0.0.1:9"}));
    }

    #[test]
    fn a_flag_chooses_among_upstreams() {
        let args = AddArgs {
            pattern: Some("/shop/*".into()),
            flag: Some("checkout".into()),
            variants: vec!["true=http://127.0.0.1:9".into(), "false=http://127.0.0.1:8".into()],
            roles: vec!["developer".into()],
            ..AddArgs::default()
        };
        let route = args.route().unwrap();
        assert_eq!(route["variants"]["false"], "http://127.0.0.1:8");
        assert_eq!(route["require"], json!({"roles": ["developer"]}));
    }

    #[test]
    fn an_update_adds_changes_and_removes_variants_and_keeps_the_others() {
        let route = json!({"flag_key": "checkout", "variants": {"v1": ["http://a"], "v2": ["http://b"]}});
        let args = UpdateArgs {
            variants: vec!["v2=http://c".into(), "3=bucket:site/3/".into()],
            removed: vec!["v1".into()],
            ..UpdateArgs::default()
        };
        let changed = args.changed(route.clone()).unwrap();
        assert_eq!(changed["variants"], json!({"v2": "http://c", "3": "bucket:site/3/"}));
        assert_eq!(changed["flag_key"], "checkout");
        let wrong = UpdateArgs { removed: vec!["v9".into()], ..UpdateArgs::default() };
        let failure = wrong.changed(route.clone()).unwrap_err().to_string();
        assert!(failure.contains("`v9`") && failure.contains("`v1`, `v2`"), "{failure}");
        assert!(UpdateArgs::default().changed(route).is_err(), "nothing is to be changed");
    }

    #[test]
    fn a_route_is_found_by_its_pattern() {
        let routes = json!([{"id": "1", "pattern": "/shop"}, {"id": "2", "pattern": "/shop/*"},
            {"id": "3", "pattern": "/shop/*", "host": "a.example.com"}]);
        assert_eq!(with_pattern(&routes, "/shop"), ["1"]);
        assert_eq!(with_pattern(&routes, "/gateway/shop"), ["1"]);
        assert_eq!(with_pattern(&routes, "/shop/*"), ["2", "3"]);
        assert!(with_pattern(&routes, "/nowhere").is_empty());
    }

    #[test]
    fn header_values_stay_text() {
        assert_eq!(texts(json!({"x-a": 1, "x-b": "two"})), json!({"x-a": "1", "x-b": "two"}));
    }
}
