//! `flagbase user`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Answer, Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::View;

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// List users
    List {
        /// Only users whose email contains this
        #[arg(long)]
        search: Option<String>,
        /// At most so many
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show a user
    Get {
        /// Email or id
        user: String,
    },
    /// Make an account
    Create {
        /// The email address
        email: String,
        /// The role that holds in every environment
        #[arg(long, default_value = "user")]
        role: String,
        /// A group; repeat for each
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Read the password from this file; `-` is standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Make a one-time token that lets somebody register with a role; it is printed once
    Invite {
        /// The role
        role: String,
        /// The only address that may use it
        #[arg(long)]
        email: Option<String>,
        /// How long it is valid, such as `72h`
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<String>,
    },
    /// See the invitations nobody has used yet, and take them back
    Invitations {
        #[command(subcommand)]
        command: InvitationCommand,
    },
    /// Change the role that holds in every environment
    SetRole {
        /// Email or id
        user: String,
        /// The role
        role: String,
    },
    /// Replace the groups
    Groups {
        /// Email or id
        user: String,
        /// All groups the user shall be in; none removes him from all
        groups: Vec<String>,
    },
    /// Grant a role in one environment
    Grant {
        /// Email or id
        user: String,
        /// The environment
        in_environment: String,
        /// The role
        #[arg(required_unless_present = "remove")]
        role: Option<String>,
        /// Take the grant back instead
        #[arg(long, conflicts_with = "role")]
        remove: bool,
    },
    /// Lock an account out at once
    Disable {
        /// Email or id
        user: String,
    },
    /// Let a disabled account in again
    Enable {
        /// Email or id
        user: String,
    },
    /// End all sessions of a user
    Logout {
        /// Email or id
        user: String,
    },
    /// Remove an account
    Delete {
        /// Email or id
        user: String,
    },
}

#[derive(Debug, Subcommand)]
enum InvitationCommand {
    /// List open invitations, the first to end first
    List,
    /// Take an invitation back; its token is worth nothing from then on
    Revoke {
        /// The invitation's id
        id: String,
    },
}

const VIEW: View = View(&[
    ("email", "/email"),
    ("role", "/role"),
    ("groups", "/groups"),
    ("grants", "/grants"),
    ("disabled", "/disabled"),
    ("id", "/id"),
    ("created", "/created_at"),
]);

const INVITATION_VIEW: View =
    View(&[("id", "/id"), ("role", "/role"), ("email", "/email"), ("expires", "/expires_at")]);

const USERS: [&str; 3] = ["api", "v1", "users"];
const INVITATIONS: [&str; 3] = ["api", "v1", "invitations"];

pub(crate) async fn run(args: UserArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        UserCommand::List { search, limit } => {
            let call = Call::get(&USERS).query_some("search", search);
            client.print(&client.list(call, limit).await?, &VIEW)
        }
        UserCommand::Get { user } => client.print(&find(&client, &user).await?.body, &VIEW),
        UserCommand::Create { email, role, groups, password_file } => {
            let password = ask::new_password(password_file.as_deref())?;
            let body = json!({"email": email, "password": password.reveal(), "role": role, "groups": groups});
            let user = client.call(Call::post(&USERS, body)).await?;
            client.changed(&format!("created user `{email}`"), &user, &VIEW)
        }
        UserCommand::Invite { role, email, expires_in } => {
            let mut body = json!({"role": role});
            document::set_some(&mut body, "email", email);
            document::set_some(&mut body, "expires_in", expires_in);
            let invited = client.call(Call::post(&INVITATIONS, body)).await?;
            client.print(&invited, &View::ALL)
        }
        UserCommand::Invitations { command } => invitations(command, &client).await,
        UserCommand::SetRole { user, role } => change(&client, &user, |_| json!({"role": role})).await,
        UserCommand::Groups { user, groups } => change(&client, &user, |_| json!({"groups": groups})).await,
        UserCommand::Grant { user, in_environment, role, .. } => {
            change(&client, &user, |current| granted(current, &in_environment, role.as_deref())).await
        }
        UserCommand::Disable { user } => change(&client, &user, |_| json!({"disabled": true})).await,
        UserCommand::Enable { user } => change(&client, &user, |_| json!({"disabled": false})).await,
        UserCommand::Logout { user } => end_sessions(&client, &user).await,
        UserCommand::Delete { user } => delete(&client, &user).await,
    }
}

async fn invitations(command: InvitationCommand, client: &Client) -> Outcome {
    match command {
        InvitationCommand::List => {
            client.print(&client.list(Call::get(&INVITATIONS), None).await?, &INVITATION_VIEW)
        }
        InvitationCommand::Revoke { id } => {
            let [api, version, invitations] = INVITATIONS;
            client.call(Call::delete(&[api, version, invitations, &id])).await?;
            client.printer.done(&format!("took invitation `{id}` back"));
            Ok(())
        }
    }
}

async fn end_sessions(client: &Client, user: &str) -> Outcome {
    let found = find(client, user).await?;
    let [api, version, users] = USERS;
    let path = [api, version, users, id(&found.body), "logout"];
    client.call(Call::post(&path, json!({}))).await?;
    client.printer.done(&format!("ended all sessions of `{user}`"));
    Ok(())
}

async fn delete(client: &Client, user: &str) -> Outcome {
    let found = find(client, user).await?;
    ask::confirm(&format!("Delete user `{user}`?"), client.yes)?;
    let call = Call::delete(&at(id(&found.body))).if_match(found.etag);
    client.call(call).await?;
    client.printer.done(&format!("deleted user `{user}`"));
    Ok(())
}

/// Reads before it writes, so that a change by somebody else in between is a conflict and not lost.
async fn change(client: &Client, user: &str, patch: impl FnOnce(&Value) -> Value) -> Outcome {
    let found = find(client, user).await?;
    let call = Call::patch(&at(id(&found.body)), patch(&found.body)).if_match(found.etag);
    let changed = client.call(call).await?;
    client.changed(&format!("changed user `{user}`"), &changed, &VIEW)
}

/// People know emails, the API knows ids.
async fn find(client: &Client, user: &str) -> Outcome<Answer> {
    if !user.contains('@') {
        return client.send(Call::get(&at(user))).await;
    }
    let users = client.list(Call::get(&USERS).query("search", user), Some(1000)).await?;
    let matches = |found: &&Value| {
        found.get("email").and_then(Value::as_str).is_some_and(|email| email.eq_ignore_ascii_case(user))
    };
    match users.as_array().into_iter().flatten().find(matches) {
        Some(found) => client.send(Call::get(&at(id(found)))).await,
        None => Err(Failure::new(Exit::NotFound, format!("there is no user `{user}`"))),
    }
}

fn at(id: &str) -> [&str; 4] {
    let [api, version, users] = USERS;
    [api, version, users, id]
}

fn id(user: &Value) -> &str {
    user.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// The grants with the one in `environment` replaced, or removed when there is no role.
fn granted(user: &Value, environment: &str, role: Option<&str>) -> Value {
    let mut grants = user.get("grants").and_then(Value::as_array).cloned().unwrap_or_default();
    grants.retain(|grant| grant.get("environment").and_then(Value::as_str) != Some(environment));
    grants.extend(role.map(|role| json!({"environment": environment, "role": role})));
    let mut patch = json!({});
    document::set(&mut patch, "grants", grants);
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_replaces_the_one_in_the_same_environment_only() {
        let user = json!({"grants": [{"environment": "a", "role": "x"}, {"environment": "b", "role": "y"}]});
        assert_eq!(
            granted(&user, "a", Some("z")),
            json!({"grants": [{"environment": "b", "role": "y"}, {"environment": "a", "role": "z"}]})
        );
        assert_eq!(granted(&user, "b", None), json!({"grants": [{"environment": "a", "role": "x"}]}));
        assert_eq!(granted(&json!({}), "b", None), json!({"grants": []}));
    }
}
