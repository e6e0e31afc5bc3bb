//! `flagbase fn delete`.

use clap::Args;
use serde_json::Value;

use super::{FUNCTIONS, alias, at};
use crate::cli::ask;
use crate::cli::client::{Call, Client};
use crate::exit::Outcome;

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The function
    name: String,
    /// Leave the function's flag
    #[arg(long)]
    keep_flag: bool,
}

/// What becomes of the function's flag.
#[derive(Debug, PartialEq, Eq)]
enum Flag<'a> {
    None,
    /// It was made for this function, and goes with it.
    Goes(&'a str),
    /// Others use it, or may.
    Stays(&'a str),
}

pub(super) async fn run(args: &DeleteArgs, client: &Client) -> Outcome {
    let name = args.name.as_str();
    let current = client.send(Call::get(&at(name)).scoped()).await?;
    let flag = match alias::key_of(&current.body) {
        None => Flag::None,
        Some(key) if args.keep_flag || is_shared(client, name, key).await => Flag::Stays(key),
        Some(key) => Flag::Goes(key),
    };
    ask::confirm(&question(name, &flag), client.yes)?;
    client.call(Call::delete(&at(name)).scoped().if_match(current.etag.clone())).await?;
    match flag {
        Flag::None => client.printer.done(&format!("deleted function `{name}`")),
        Flag::Stays(key) => {
            client.printer.done(&format!("deleted function `{name}`; its flag `{key}` stays"));
            client.printer.hint(&format!("`flagbase flag delete {key}` deletes it, too"));
        }
        Flag::Goes(key) => match client.call(Call::delete(&["api", "v1", "flags", key]).scoped()).await {
            Ok(_) => client.printer.done(&format!(
                "deleted function `{name}` and its flag `{key}`; `flagbase flag revert` can bring the flag back"
            )),
            Err(failure) => {
                client.printer.done(&format!("deleted function `{name}`; its flag `{key}` stays: {failure}"));
            }
        },
    }
    Ok(())
}

fn question(name: &str, flag: &Flag<'_>) -> String {
    let flag = match flag {
        Flag::Goes(key) => format!(", and its flag `{key}`"),
        Flag::None | Flag::Stays(_) => String::new(),
    };
    format!("Delete function `{name}` with its versions and secrets{flag}?")
}

/// Whether a flag is anything but the one that was made for this function and that nothing else asks. Who may not see all
/// there is takes it for shared.
async fn is_shared(client: &Client, name: &str, key: &str) -> bool {
    if key != alias::own_key(name) {
        return true;
    }
    let functions = client.list(Call::get(&FUNCTIONS).scoped(), None).await;
    let routes = client.list(Call::get(&["api", "v1", "gateway", "routes"]).scoped(), None).await;
    let (Ok(functions), Ok(routes)) = (functions, routes) else { return true };
    asks(&functions, key, name) || asks(&routes, key, "")
}

/// Whether one of these, but for the one called `except`, asks this flag.
fn asks(documents: &Value, key: &str, except: &str) -> bool {
    documents.as_array().into_iter().flatten().any(|document| {
        alias::key_of(document) == Some(key) && document.get("name").and_then(Value::as_str) != Some(except)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flag_that_others_ask_is_seen() {
        let functions = json!([{"name": "hello", "flag_key": "hello-version"}, {"name": "other"}]);
        assert!(!asks(&functions, "hello-version", "hello"));
        assert!(asks(&functions, "hello-version", "other"));
        assert!(asks(&json!([{"id": "r", "flag_key": "hello-version"}]), "hello-version", ""));
    }

    #[test]
    fn what_goes_is_asked_before() {
        assert!(question("hello", &Flag::Goes("hello-version")).contains("`hello-version`"));
        assert!(!question("hello", &Flag::Stays("colour")).contains("colour"));
    }
}
