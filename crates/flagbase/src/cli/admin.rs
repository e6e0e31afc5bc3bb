//! `flagbase admin`: accounts, on the database directly. What is written goes through the same use cases and the same
//! change log as everything else, so that a running server sees it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use flagbase_core::accounts::Accounts;
use flagbase_core::catalog::Catalog;
use flagbase_core::clock::{Clock, SystemClock};
use flagbase_core::feed::Feed;
use flagbase_core::identity::{self, Credentials, Identity};
use flagbase_core::random::{Random, SystemRandom};
use flagbase_store::Sqlite;

use super::ask;
use super::settings::{self, DatabaseArgs, Global};
use crate::app::{settings as components, setup};
use crate::config::{Config, Environment};
use crate::exit::{Failure, Outcome};
use crate::{output, place, progress};

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Make a new one-time token for the first administrator; the one before is void
    SetupToken,
    /// Make an administrator
    Create(AccountArgs),
    /// Set a new password and end all sessions of the account
    ResetPassword(AccountArgs),
}

#[derive(Debug, Args)]
struct AccountArgs {
    /// The email address
    email: String,
    /// Read the password from this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(crate) async fn run(args: AdminArgs, global: &Global, environment: &Environment) -> Outcome {
    let config = settings::load(&args.database.into(), global, environment)?.config;
    place::prepare(&config.server.data_dir)?;
    let was_there = config.database.path.exists();
    let (store, identity) = open(&config).await?;
    let done = work(args.command, &identity, &config).await;
    store.close().await;
    place::tell(&config.database.path, was_there);
    done
}

async fn work(command: AdminCommand, identity: &Identity, config: &Config) -> Outcome {
    match command {
        AdminCommand::SetupToken => {
            let invited = identity.setup_token().await?;
            setup::keep(config, &invited)?;
            output::say(&format!("valid once, until {:.0}", invited.expires_at));
            output::line(&invited.token)
        }
        AdminCommand::Create(args) => {
            let credentials = args.credentials()?;
            let admin = progress::during("hashing the password", identity.create_admin(credentials)).await?;
            setup::forget(config);
            output::say(&format!("made administrator `{}`; log in with `flagbase login {0}`", admin.email));
            Ok(())
        }
        AdminCommand::ResetPassword(args) => {
            let credentials = args.credentials()?;
            let user = progress::during("hashing the password", identity.reset_password(credentials)).await?;
            output::say(&format!(
                "set the password of `{}` and ended all sessions of the account",
                user.email
            ));
            Ok(())
        }
    }
}

impl AccountArgs {
    fn credentials(&self) -> Outcome<Credentials> {
        let password = ask::new_password(self.password_file.as_deref())?;
        Ok(Credentials { email: self.email.clone(), password: password.reveal().to_owned() })
    }
}

/// Opens the database beside a server that may be running. Nothing is signed here, so that any secret will do.
async fn open(config: &Config) -> Outcome<(Sqlite, Identity)> {
    let store = place::open(place::database(config).beside()).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let catalog: Arc<dyn Catalog> = Arc::new(store.clone());
    let accounts: Arc<dyn Accounts> = Arc::new(store.clone());
    let feed = Feed::open(catalog, Arc::clone(&clock), Arc::clone(&random))
        .await
        .map_err(|error| Failure::plain(format!("the database cannot be read: {error}")))?;
    let secret = identity::Secret::new(random.bytes::<32>());
    let config = components::identity(config, secret);
    let identity = Identity::new(config, accounts, Arc::new(feed), clock, random)
        .map_err(|error| Failure::plain(error.to_string()))?;
    Ok((store, identity))
}
