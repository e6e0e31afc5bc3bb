//! The command line: what can be asked for, and who answers. One file per group of commands.

mod admin;
mod ask;
mod backup;
mod bucket;
mod client;
mod completions;
mod config;
mod credentials;
mod doctor;
mod document;
mod environment;
mod events;
mod flag;
mod function;
mod guard;
mod key;
mod overrides;
mod role;
mod route;
mod segment;
mod session;
mod settings;
mod start;
mod stream;
mod user;
mod version;
mod webhook;

use std::process::ExitCode;

use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::Environment;
use crate::exit::{EXIT_CODES, Failure, Outcome};
use settings::Global;
pub(crate) use version::VERSION;

const LONG_ABOUT: &str = "\
Flagbase stands in front of your software. It knows who each caller is, decides which features that caller gets, sends \
the request to the matching backend, measures what happened, and takes a feature back when it hurts.

Begin with `flagbase start`: no configuration is needed.";

/// Feature flags, identity and a gateway in one binary
#[derive(Debug, Parser)]
#[command(name = "flagbase", version, long_about = LONG_ABOUT, after_long_help = EXIT_CODES, propagate_version = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server
    Start(start::StartArgs),
    /// Show the version
    Version(version::VersionArgs),
    /// Show or check the configuration
    Config(config::ConfigArgs),
    /// Find out why something does not work
    Doctor(doctor::DoctorArgs),
    /// Administer accounts on the database directly, also while the server runs
    Admin(admin::AdminArgs),
    /// Save a copy of the database, also while the server runs
    Backup(backup::BackupArgs),
    /// Replace the database by a saved copy, while the server does not run
    Restore(backup::RestoreArgs),
    /// Log in to a server and remember the session
    Login(session::LoginArgs),
    /// End the remembered session
    Logout,
    /// Show who is logged in and what that permits
    Whoami(session::WhoamiArgs),
    /// Work with flags
    Flag(flag::FlagArgs),
    /// Work with segments: reusable sets of conditions
    Segment(segment::SegmentArgs),
    /// Work with environments
    #[command(visible_alias = "env")]
    Environment(environment::EnvironmentArgs),
    /// Set flags for your own session only
    Override(overrides::OverrideArgs),
    /// Work with gateway routes
    Route(route::RouteArgs),
    /// Work with users
    User(user::UserArgs),
    /// Work with roles
    Role(role::RoleArgs),
    /// Work with API keys
    Key(key::KeyArgs),
    /// Work with guards: rules that take a flag back
    Guard(guard::GuardArgs),
    /// Work with webhooks: endpoints that are told of events
    Webhook(webhook::WebhookArgs),
    /// Work with functions: code that runs here
    #[command(name = "fn", visible_alias = "function")]
    Function(function::FunctionArgs),
    /// Work with buckets: files that people and programs keep here
    Bucket(bucket::BucketArgs),
    /// Follow what happens
    Events(events::EventsArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
}

/// Commands that do not talk to a server, each with the options of those that do which it takes as well.
const LOCAL: [(&str, &[&str]); 8] = [
    ("start", &[]),
    ("version", &[]),
    ("config", &["output"]),
    ("doctor", &["output"]),
    ("admin", &[]),
    ("backup", &[]),
    ("restore", &["yes"]),
    ("completions", &[]),
];

/// The command line, with the help of each command showing what matters to it.
fn command() -> clap::Command {
    let whole = Cli::command();
    let shared: Vec<Arg> = whole
        .get_arguments()
        .filter(|option| option.get_help_heading() == Some(settings::SERVER_OPTIONS))
        .cloned()
        .collect();
    LOCAL.iter().fold(whole, |whole, (name, takes)| {
        let options = shared.iter().map(|option| {
            let taken = takes.contains(&option.get_id().as_str());
            option.clone().help_heading(None::<&str>).hide(!taken)
        });
        whole.mut_subcommand(name, |local| local.args(options))
    })
}

/// Parses the command line, runs the command, and says what failed.
pub(crate) fn main() -> ExitCode {
    let mut matches = command().get_matches();
    let cli =
        Cli::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.format(&mut command()).exit());
    match run(cli, &Environment::of_process()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli, environment: &Environment) -> Outcome {
    let global = cli.global;
    match cli.command {
        Command::Start(args) => start::run(&args, &global, environment),
        Command::Version(args) => version::run(&args),
        Command::Config(args) => config::run(args, &global, environment),
        Command::Completions(args) => completions::run(&args),
        other => small_runtime()?.block_on(run_async(other, &global, environment)),
    }
}

async fn run_async(command: Command, global: &Global, environment: &Environment) -> Outcome {
    let client = &global.client;
    match command {
        Command::Doctor(args) => doctor::run(args, global, environment).await,
        Command::Admin(args) => admin::run(args, global, environment).await,
        Command::Backup(args) => backup::backup(args, global, environment).await,
        Command::Restore(args) => backup::restore(args, global, environment).await,
        Command::Login(args) => session::login(args, client, environment).await,
        Command::Logout => session::logout(client, environment).await,
        Command::Whoami(args) => session::whoami(&args, client, environment).await,
        Command::Flag(args) => flag::run(args, client, environment).await,
        Command::Segment(args) => segment::run(args, client, environment).await,
        Command::Environment(args) => environment::run(args, client, environment).await,
        Command::Override(args) => overrides::run(args, client, environment).await,
        Command::Route(args) => route::run(args, client, environment).await,
        Command::User(args) => user::run(args, client, environment).await,
        Command::Role(args) => role::run(args, client, environment).await,
        Command::Key(args) => key::run(args, client, environment).await,
        Command::Guard(args) => guard::run(args, client, environment).await,
        Command::Function(args) => function::run(args, client, environment).await,
        Command::Bucket(args) => bucket::run(args, client, environment).await,
        Command::Events(args) => events::run(args, client, environment).await,
        Command::Webhook(args) => webhook::run(args, client, environment).await,
        Command::Start(_) | Command::Version(_) | Command::Config(_) | Command::Completions(_) => Ok(()),
    }
}

/// One thread is enough for a command that asks a server and prints the answer.
fn small_runtime() -> Outcome<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::plain(format!("cannot start: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    #[test]
    fn the_command_line_has_no_contradictions() {
        super::command().debug_assert();
    }

    #[test]
    fn options_of_every_command_may_stand_before_it_or_after_it() {
        for line in [
            "flagbase -o json -q -y --server http://a.example.com -e staging flag list",
            "flagbase flag -o json -q -y --server http://a.example.com -e staging list",
            "flagbase flag list -o json -q -y --server http://a.example.com -e staging",
            "flagbase -o json doctor",
            "flagbase -y restore copy.db",
        ] {
            let matches = super::command().try_get_matches_from(line.split(' ')).unwrap();
            let client = super::Cli::from_arg_matches(&matches).unwrap().global.client;
            assert!(client.output == crate::output::Format::Json || client.yes, "{line}");
            if line.contains("staging") {
                assert!(client.quiet && client.yes, "{line}");
                assert_eq!(client.environment.as_deref(), Some("staging"), "{line}");
                assert_eq!(client.server.as_deref(), Some("http://a.example.com"), "{line}");
            }
        }
    }
}
