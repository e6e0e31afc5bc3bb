//! `flagbase login`, `logout`, `whoami`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::credentials::{Credentials, Login};
use super::{ask, document};
use crate::config::{Environment, Secret};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, View};

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Your email address
    email: Option<String>,
    /// Read the password from this file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    password_file: Option<PathBuf>,
    /// Use the API key in this file instead of a password; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "email")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WhoamiArgs {
    /// Only print the token of the session, to use the same session elsewhere
    #[arg(long)]
    token: bool,
}

const ME: View = View(&[
    ("server", "/server"),
    ("email", "/email"),
    ("name", "/name"),
    ("kind", "/kind"),
    ("role", "/role"),
    ("groups", "/groups"),
    ("session ends", "/session/expires_at"),
    ("permissions", "/permissions"),
]);

pub(crate) async fn login(args: LoginArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    let variable = client.variable();
    // Who logs in is not who a variable says, and a token that has ended must not be in the way.
    let client = client.with_token(None);
    let (token, email) = match &args.token_file {
        Some(file) => (ask::from_file(file)?, String::new()),
        None => with_password(&client, &args).await?,
    };
    let client = client.with_token(Some(token.clone()));
    let me = client.call(Call::get(&["auth", "me"])).await?;
    let path = Credentials::path()?;
    let mut credentials = Credentials::load(&path)?;
    let login = Login { token: token.reveal().to_owned(), email };
    credentials.servers.insert(client.server().to_owned(), login);
    credentials.current = Some(client.server().to_owned());
    credentials.save(&path)?;
    if let Some(variable) = variable {
        output::warn(&format!("{variable} is set, and used instead of this login: unset it"));
    }
    client.changed(&format!("logged in to {} as {}", client.server(), name(&me)), &me, &ME)
}

pub(crate) async fn logout(client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    let path = Credentials::path()?;
    let mut credentials = Credentials::load(&path)?;
    let Some(login) = credentials.servers.remove(client.server()) else {
        client.printer.done(&format!("not logged in to {}", client.server()));
        return Ok(());
    };
    let server = client.server().to_owned();
    let is_session = !login.email.is_empty();
    let client = client.with_token(Some(Secret::new(login.token)));
    if is_session {
        match client.call(Call::post(&["auth", "logout"], json!({}))).await {
            // The session is over already: that is what was asked for.
            Err(failure) if failure.exit() == Exit::NotAllowed => {}
            other => {
                other?;
            }
        }
    }
    credentials.save(&path)?;
    client.printer.done(&format!("logged out of {server}"));
    Ok(())
}

pub(crate) async fn whoami(args: &WhoamiArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    // Asked in any case: a token that is not good any more is a failure, not an answer.
    let mut me = client.call(Call::get(&["auth", "me"])).await?;
    if args.token {
        return output::line(client.token().unwrap_or_default());
    }
    document::set(&mut me, "server", client.server());
    client.print(&me, &ME)
}

async fn with_password(client: &Client, args: &LoginArgs) -> Outcome<(Secret, String)> {
    let email = match &args.email {
        Some(email) => email.clone(),
        None => ask::text("Email:", "the email address as an argument")?,
    };
    let password = ask::password(args.password_file.as_deref())?;
    let body = json!({"email": email, "password": password.reveal()});
    let answer = client.call(Call::post(&["auth", "login"], body)).await?;
    let token = answer.get("token").and_then(Value::as_str);
    let token = token.ok_or_else(|| Failure::plain("the server answered without a token"))?;
    Ok((Secret::new(token), email))
}

fn name(me: &Value) -> &str {
    ["email", "name", "id"].iter().find_map(|member| me.get(member)?.as_str()).unwrap_or("somebody")
}
