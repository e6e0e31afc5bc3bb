//! What a configuration file in the dialect of NATS says. Only what this server does is known; everything else
//! is refused by name, so that nobody believes in a setting that does nothing.

mod authorization;
mod section;
mod syntax;

use std::{path::PathBuf, time::Duration};

use flagbase_nats::Limits;

pub(crate) use self::{
    authorization::{Authorization, Operator, Secret, User},
    section::ConfigError,
};
use self::{
    section::{Problem, Section},
    syntax::Value,
};

/// Settings that change nothing that is promised here: what is logged, and how.
const IGNORED: &[&str] = &[
    "debug",
    "trace",
    "trace_verbose",
    "logtime",
    "logtime_utc",
    "log_size_limit",
    "syslog",
    "max_traced_msg_len",
    "system_account",
    "no_auth_user",
    "disable_sublist_cache",
    "prof_port",
    "client_advertise",
];
/// Settings of parts that are not there.
const ABSENT: &[&str] = &["cluster", "gateway", "leafnodes", "leaf", "mqtt", "accounts"];

/// What a configuration file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) host: Option<String>,
    /// Negative takes any that is free.
    pub(crate) port: Option<i64>,
    pub(crate) server_name: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) websocket: Option<WebSocketFile>,
    pub(crate) monitor: Option<Listen>,
    pub(crate) authorization: Authorization,
    pub(crate) operator: Option<Operator>,
    pub(crate) jetstream: bool,
    pub(crate) store_dir: Option<PathBuf>,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) lame_duck: Option<Duration>,
}

/// Where to listen; what is missing is taken from elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) host: Option<String>,
    pub(crate) port: i64,
}

/// Where keys and certificates are, and how TLS is begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authority: Option<PathBuf>,
    /// Whether clients have to bring a certificate.
    pub(crate) verify: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) first: First,
}

/// Whether the server waits for the handshake before it says anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum First {
    #[default]
    Info,
    Handshake,
    /// The handshake if it begins within this time.
    Either(Duration),
}

/// A listener for WebSocket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WebSocketFile {
    pub(crate) listen: Listen,
    pub(crate) no_tls: bool,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) same_origin: bool,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) handshake_timeout: Option<Duration>,
}

impl Config {
    /// Reads the text of a configuration file.
    pub(crate) fn read(text: &str) -> Result<Self, ConfigError> {
        let mut section = Section::new("", syntax::parse(text)?);
        section.refuse(ABSENT)?;
        section.ignore(IGNORED);
        let mut config = Self { limits: limits(&mut section)?, ..Self::default() };
        config.listening(&mut section)?;
        config.files(&mut section)?;
        config.server_name = section.text(&["server_name"])?;
        config.lame_duck = section.duration(&["lame_duck_duration"])?;
        section.duration(&["lame_duck_grace_period"])?;
        config.tls = section.block(&["tls"])?.map(tls).transpose()?;
        config.websocket = section.block(&["websocket", "ws"])?.map(websocket).transpose()?;
        if let Some(block) = section.block(&["authorization"])? {
            let (authorization, timeout) = authorization::read(block)?;
            config.authorization = authorization;
            config.limits.auth_timeout = timeout.unwrap_or(config.limits.auth_timeout);
        }
        config.operator = authorization::operator(&mut section)?;
        config.jetstream = jetstream(&mut section, &mut config.store_dir)?;
        section.finish()?;
        Ok(config)
    }

    fn listening(&mut self, section: &mut Section) -> Result<(), ConfigError> {
        if let Some(listen) = section.listen(&["listen"])? {
            self.host = listen.host;
            self.port = Some(listen.port);
        }
        self.host = section.text(&["host", "net"])?.or(self.host.take());
        self.port = section.integer(&["port"])?.or(self.port);
        self.monitor = section.listen(&["http"])?;
        if let Some(port) = section.integer(&["http_port", "monitor_port"])? {
            self.monitor = Some(Listen { host: None, port });
        }
        Ok(())
    }

    fn files(&mut self, section: &mut Section) -> Result<(), ConfigError> {
        self.store_dir = section.path(&["store_dir", "storedir"])?;
        self.log_file = section.path(&["log_file", "logfile"])?;
        self.pid_file = section.path(&["pid_file", "pidfile"])?;
        Ok(())
    }
}

fn limits(section: &mut Section) -> Result<Limits, ConfigError> {
    let mut limits = Limits::default();
    let mut size = |names: &[&str], limit: &mut usize| -> Result<(), ConfigError> {
        if let Some(number) = section.integer(names)? {
            // Below zero means without a limit, which is written as zero here.
            *limit = usize::try_from(number).unwrap_or(0);
        }
        Ok(())
    };
    size(&["max_payload"], &mut limits.max_payload)?;
    size(&["max_control_line"], &mut limits.max_control_line)?;
    size(&["max_pending"], &mut limits.max_pending)?;
    size(&["max_connections", "max_conn"], &mut limits.max_connections)?;
    size(&["max_subscriptions", "max_subs"], &mut limits.max_subscriptions)?;
    if let Some(times) = section.integer(&["ping_max"])? {
        limits.ping_max = u32::try_from(times).map_err(|_| section.wrong("ping_max", Problem::Range))?;
    }
    let durations: [(&str, &mut Duration); 2] =
        [("ping_interval", &mut limits.ping_interval), ("write_deadline", &mut limits.write_deadline)];
    for (name, limit) in durations {
        *limit = section.duration(&[name])?.unwrap_or(*limit);
    }
    Ok(limits)
}

fn tls(mut section: Section) -> Result<TlsFiles, ConfigError> {
    section.ignore(&["cipher_suites", "curve_preferences", "min_version", "connection_rate_limit"]);
    let first = match section.take(&["handshake_first", "first", "immediate"]) {
        None => First::Info,
        Some(Value::Truth(first)) => {
            if first {
                First::Handshake
            } else {
                First::Info
            }
        }
        Some(Value::Text(text)) if text == "auto" => First::Either(Duration::from_millis(50)),
        Some(value) => First::Either(section.as_duration("handshake_first", &value)?),
    };
    let missing = |section: &Section, name| section.wrong(name, Problem::Missing);
    let files = TlsFiles {
        certificate: section.path(&["cert_file"])?.ok_or_else(|| missing(&section, "cert_file"))?,
        key: section.path(&["key_file"])?.ok_or_else(|| missing(&section, "key_file"))?,
        authority: section.path(&["ca_file"])?,
        verify: section.truth(&["verify"])?.unwrap_or(false),
        timeout: section.duration(&["timeout"])?,
        first,
    };
    section.finish()?;
    Ok(files)
}

fn websocket(mut section: Section) -> Result<WebSocketFile, ConfigError> {
    section.ignore(&["compression", "advertise", "headers"]);
    let mut listen = section.listen(&["listen"])?.unwrap_or_default();
    listen.host = section.text(&["host", "net"])?.or(listen.host);
    listen.port = section.integer(&["port"])?.unwrap_or(listen.port);
    let file = WebSocketFile {
        listen,
        no_tls: section.truth(&["no_tls"])?.unwrap_or(false),
        tls: section.block(&["tls"])?.map(tls).transpose()?,
        same_origin: section.truth(&["same_origin"])?.unwrap_or(false),
        allowed_origins: section.texts(&["allowed_origins", "allowed_origin"])?.unwrap_or_default(),
        handshake_timeout: section.duration(&["handshake_timeout"])?,
    };
    if file.tls.is_none() && !file.no_tls {
        return Err(section.wrong("tls", Problem::Undecided));
    }
    section.finish()?;
    Ok(file)
}

/// Whether JetStream is asked for. What it may take is not limited here, so those settings are read over.
fn jetstream(section: &mut Section, store_dir: &mut Option<PathBuf>) -> Result<bool, ConfigError> {
    let value = match section.take(&["jetstream"]) {
        None => return Ok(false),
        Some(Value::Truth(on)) => return Ok(on),
        Some(Value::Text(text)) if text == "enabled" => return Ok(true),
        Some(Value::Text(text)) if text == "disabled" => return Ok(false),
        Some(value) => value,
    };
    let mut block = section.inner("jetstream", value)?;
    if let Some(path) = block.path(&["store_dir", "storedir"])? {
        *store_dir = Some(path);
    }
    let enabled = block.truth(&["enabled", "enable"])?.unwrap_or(true);
    block.refuse(&["domain"])?;
    let limits = ["strict", "max_mem_store", "max_memory_store", "max_mem", "max_file_store", "max_file"];
    block.ignore(&limits);
    block.ignore(&["limits", "sync_interval", "sync", "unique_tag", "max_outstanding_catchup"]);
    block.finish()?;
    Ok(enabled)
}

#[cfg(test)]
mod tests;
