//! Arguments that become configuration.

use std::path::PathBuf;

use clap::Args;
use figment::value::Value;

use super::client::ClientArgs;
use crate::config::{Environment, FlagValue, Loaded, Sources};
use crate::exit::Outcome;
use crate::output;

/// The heading of what only matters to commands that talk to a server.
pub(crate) const SERVER_OPTIONS: &str = "Talking to a server";

/// Arguments every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Read this configuration file, over the usual ones
    #[arg(short, long, global = true, value_name = "FILE", env = "FLAGBASE_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// What to log: error, warn, info, debug, trace or a filter
    #[arg(short, long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    #[command(flatten, next_help_heading = SERVER_OPTIONS)]
    pub(crate) client: ClientArgs,
}

/// Arguments of commands that read the server's configuration.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArgs {
    /// The address to listen on [default: 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// The port to listen on; 0 takes a free one [default: 8080]
    #[arg(short, long)]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

/// Arguments of commands that read the database only.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DatabaseArgs {
    /// The SQLite file [default: flagbase.db]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) database: Option<PathBuf>,
}

impl From<DatabaseArgs> for ServerArgs {
    fn from(database: DatabaseArgs) -> Self {
        Self { database, ..Self::default() }
    }
}

/// Where the configuration comes from, given these arguments.
pub(crate) fn sources(server: &ServerArgs, global: &Global, environment: &Environment) -> Sources {
    let mut flags = Vec::new();
    let mut add = |key, flag, value: Option<Value>| {
        flags.extend(value.map(|value| FlagValue { key, flag, value }));
    };
    add("server.host", "--host", server.host.clone().map(Value::from));
    add("server.port", "--port", server.port.map(Value::from));
    let database = server.database.database.as_ref().map(|path| path.to_string_lossy().into_owned());
    add("database.path", "--database", database.map(Value::from));
    let verbose = match global.verbose {
        0 => None,
        1 => Some("debug"),
        _ => Some("trace"),
    };
    add("log.level", "-v", verbose.map(Value::from));
    add("log.level", "--log-level", global.log_level.clone().map(Value::from));
    Sources { environment: environment.clone(), file: global.config.clone(), flags }
}

/// Reads the configuration and passes its warnings on.
pub(crate) fn load(server: &ServerArgs, global: &Global, environment: &Environment) -> Outcome<Loaded> {
    let loaded = sources(server, global, environment).load()?;
    for warning in &loaded.warnings {
        output::warn(warning);
    }
    Ok(loaded)
}
