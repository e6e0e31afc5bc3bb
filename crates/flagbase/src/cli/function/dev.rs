//! `flagbase fn dev`: a function on this machine, with a throw-away server of its own, again after every change.
//!
//! The server is this binary with a database that is gone afterwards, so that what works here works there.

mod flags;
mod server;
mod terms;
mod watch;

use std::path::PathBuf;

use clap::Args;

use super::manifest::Local;
use super::{address, build, deploy, logs, under};
use crate::app::Signals;
use crate::cli::client::{Call, Client, ClientArgs};
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output;
use flags::Flags;
use server::Server;
use watch::{Changed, Watch};

/// Lines of the log that are shown at once when following begins: all that a new server has.
const MOST_LINES: usize = 1000;

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// A .js, .ts or .wasm file, or the directory with a `function.yaml`
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The port to answer on; 0 takes a free one
    #[arg(short, long, default_value_t = 8787)]
    port: u16,
    /// What a flag gives, such as `loud-greeting=true`; repeat for each
    #[arg(long = "flag", value_name = "KEY=VALUE")]
    flags: Vec<String>,
    /// What flags give, as `key: value` in a YAML or JSON file; read again when it changes
    #[arg(long = "flags", value_name = "FILE")]
    flags_file: Option<PathBuf>,
    /// A variable; repeat for each
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// What it may reach, as `fn set` takes it, such as `secrets` or `outbound=https://api.example.com`; repeat for each
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// A secret; repeat for each. Command lines can be seen by others on this machine: see --secrets
    #[arg(long = "secret", value_name = "NAME=VALUE")]
    secrets: Vec<String>,
    /// Secrets, as `NAME: value` in a YAML or JSON file
    #[arg(long = "secrets", value_name = "FILE")]
    secrets_file: Option<PathBuf>,
}

pub(super) async fn run(args: &DevArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let local = Local::find(&args.path, None)?;
    let mut signals = Signals::listen()?;
    let server = tokio::select! {
        server = Server::start(args.port) => server?,
        () = signals.next() => return Ok(()),
    };
    let done = tokio::select! {
        done = develop(args, (client, environment), &local, &server) => done,
        ended = server.ended() => Err(ended),
        () = signals.next() => Ok(()),
    };
    server.stop().await;
    done
}

/// Brings the function up, and again after every change. Ends only when it cannot begin.
async fn develop(
    args: &DevArgs,
    (client, environment): (&ClientArgs, &Environment),
    local: &Local,
    server: &Server,
) -> Outcome {
    let own = ClientArgs { server: Some(server.address().to_owned()), environment: None, ..client.clone() };
    let client = server.login(Client::new(&own, environment)?).await?;
    let mut flags = Flags::new(&args.flags, args.flags_file.clone())?;
    flags.apply(&client).await?;
    let mut watch = Watch::over(local, args.flags_file.as_deref());
    let first = bring_up(&client, local, args).await;
    tell(&client, local, first);
    let follow = async {
        let call = Call::get(&under(&local.name, "logs")).query("follow", true).query("limit", MOST_LINES);
        loop {
            // A stream that ends is opened again: the function may not be there yet.
            drop(logs::follow(&client, call.clone()).await);
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    };
    let again = async {
        loop {
            if watch.changed().await == Changed::Flags {
                match flags.apply(&client).await {
                    Ok(()) => client.printer.done("the flags are as the file says"),
                    Err(failure) => wait_after(failure),
                }
                continue;
            }
            let done = bring_up(&client, local, args).await;
            tell(&client, local, done);
        }
    };
    tokio::select! {
        () = follow => Ok(()),
        () = again => Ok(()),
    }
}

async fn bring_up(client: &Client, local: &Local, args: &DevArgs) -> Outcome {
    // What the manifest says may have changed; what the function is called stays.
    let local = Local { name: local.name.clone(), ..Local::find(&args.path, None)? };
    build::build_if_needed(&local, client.printer).await?;
    terms::apply(client, &local, args).await?;
    deploy::upload(client, &local, (true, None)).await.map(|_| ())
}

/// A failure is no end: the next change may mend it.
fn tell(client: &Client, local: &Local, done: Outcome) {
    match done {
        Ok(()) => {
            client.printer.done(&format!("`{}` answers at {}", local.name, address(client, &local.name)));
        }
        Err(failure) => wait_after(failure),
    }
}

fn wait_after(failure: Failure) {
    let _code = failure.report();
    output::say("waiting for the next change");
}
