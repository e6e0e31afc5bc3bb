//! `flagbase override`: a flag set for one session only.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::document;
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output::View;

#[derive(Debug, Args)]
pub(crate) struct OverrideArgs {
    #[command(subcommand)]
    command: OverrideCommand,
}

#[derive(Debug, Subcommand)]
enum OverrideCommand {
    /// Set a flag for this session
    Set {
        /// The flag
        flag: String,
        /// The value it shall have
        #[arg(required_unless_present = "variant")]
        value: Option<String>,
        /// The variant it shall have, instead of a value
        #[arg(long, conflicts_with = "value")]
        variant: Option<String>,
        /// The session, when it is not this one
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
    /// List what is set
    List {
        /// The session, when it is not this one
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
    /// Let a flag be what it is for everyone
    Remove {
        /// The flag
        flag: Option<String>,
        /// Remove every override of the session
        #[arg(long, conflicts_with = "flag")]
        all: bool,
        /// The session, when it is not this one
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
}

const VIEW: View = View(&[
    ("environment", "/environment"),
    ("flag", "/flag"),
    ("variant", "/variant"),
    ("set", "/set_at"),
    ("by", "/set_by"),
]);

const OVERRIDES: [&str; 3] = ["api", "v1", "overrides"];

pub(crate) async fn run(args: OverrideArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        OverrideCommand::Set { flag, value, variant, session } => {
            let body = chosen(value.as_deref(), variant.as_deref());
            let call = Call::put(&at(&flag), body).scoped().query_some("session", session);
            let saved = client.call(call).await?;
            client.changed(&format!("set flag `{flag}` for this session only"), &saved, &VIEW)
        }
        OverrideCommand::List { session } => {
            let call = Call::get(&OVERRIDES).query_some("session", session);
            client.print(&client.call(call).await?, &VIEW)
        }
        OverrideCommand::Remove { flag, all, session } => {
            let call = match &flag {
                Some(flag) => Call::delete(&at(flag)).scoped(),
                None if all => Call::delete(&OVERRIDES),
                None => return Err(Failure::usage("which flag?").hint("name one, or give --all")),
            };
            let list = Call::get(&OVERRIDES).query_some("session", session.clone());
            let before = client.call(list).await?;
            client.call(call.query_some("session", session)).await?;
            client.printer.done(&removed(flag.as_deref(), client.environment(), &before));
            Ok(())
        }
    }
}

fn at(flag: &str) -> [&str; 5] {
    ["api", "v1", "flags", flag, "override"]
}

/// What removing did, given what was set before.
fn removed(flag: Option<&str>, environment: Option<&str>, before: &Value) -> String {
    let is = |set: &Value, member: &str, wanted: Option<&str>| {
        wanted.is_none() || set.get(member).and_then(Value::as_str) == wanted
    };
    let mut set = before.as_array().into_iter().flatten();
    let any = match flag {
        Some(_) => set.any(|set| is(set, "flag", flag) && is(set, "environment", environment)),
        None => set.next().is_some(),
    };
    match flag {
        Some(flag) if any => format!("removed what was set for `{flag}`"),
        Some(flag) => format!("nothing was set for `{flag}`"),
        None if any => "removed all that was set".to_owned(),
        None => "nothing was set".to_owned(),
    }
}

fn chosen(value: Option<&str>, variant: Option<&str>) -> Value {
    match (variant, value) {
        (Some(variant), _) => json!({"variant": variant}),
        (None, value) => json!({"value": document::value(value.unwrap_or_default())}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_nothing_is_said() {
        let before = json!([{"flag": "checkout", "environment": "staging"}]);
        assert_eq!(
            removed(Some("checkout"), Some("staging"), &before),
            "removed what was set for `checkout`"
        );
        assert_eq!(removed(Some("checkout"), Some("default"), &before), "nothing was set for `checkout`");
        assert_eq!(removed(Some("chekcout"), None, &before), "nothing was set for `chekcout`");
        assert_eq!(removed(None, None, &json!([])), "nothing was set");
    }

    #[test]
    fn a_value_or_a_variant_is_sent_never_both() {
        assert_eq!(chosen(Some("true"), None), json!({"value": true}));
        assert_eq!(chosen(None, Some("blue")), json!({"variant": "blue"}));
    }
}
