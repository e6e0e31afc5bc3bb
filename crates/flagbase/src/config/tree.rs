//! The typed tree. Defaults live in `defaults.yaml` alone, so that no key can have two.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Secret, duration, size};

/// Everything that can be configured, checked and ready to be handed to the components.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub mode: Mode,
    pub server: Server,
    pub database: Database,
    pub iam: Iam,
    pub storage: Storage,
    pub events: Events,
    pub gateway: Gateway,
    pub webhooks: Webhooks,
    pub compute: Compute,
    pub functions: Functions,
    pub metrics: Metrics,
    pub guard: Guard,
    pub log: Log,
}

/// How strict this installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    Local,
    Cluster,
}

/// The listener and what every API request is held to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub host: String,
    pub port: u16,
    pub data_dir: PathBuf,
    /// In bytes.
    #[serde(deserialize_with = "size::deserialize")]
    pub max_body: u64,
    pub cors_origins: Vec<String>,
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub header_timeout: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub shutdown_timeout: Duration,
    /// Empty when people reach the server at its own host and port.
    pub public_url: String,
}

/// The SQLite file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    pub path: PathBuf,
}

/// Accounts, sessions and the limits on logging in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Iam {
    pub jwt_secret: Option<Secret>,
    /// Already read into `jwt_secret` while loading; kept so that the key is known.
    #[serde(default)]
    #[expect(dead_code, reason = "the loader has put the content of the file into `jwt_secret`")]
    pub jwt_secret_file: Option<PathBuf>,
    #[serde(deserialize_with = "duration::deserialize")]
    pub token_ttl: Duration,
    pub registration: Registration,
    pub default_role: String,
    pub self_assignable_roles: Vec<String>,
    pub hash_concurrency: usize,
    pub hash_queue: usize,
    pub login_attempts: u32,
    #[serde(deserialize_with = "duration::deserialize")]
    pub login_window: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub setup_token_ttl: Duration,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Registration {
    Open,
    Invite,
    Closed,
}

/// Where objects are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    pub base_path: PathBuf,
    /// Empty: below `base_path`.
    pub url: Secret,
    /// Already read into `url` while loading; kept so that the key is known.
    #[serde(default)]
    #[expect(dead_code, reason = "the loader has put the content of the file into `url`")]
    pub url_file: Option<PathBuf>,
    pub s3: S3,
}

/// Buckets for clients of S3.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct S3 {
    /// `none` for nowhere.
    pub listen: String,
    /// Empty for none.
    pub domain: String,
    pub region: String,
}

/// The event bus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Events {
    /// Empty for none.
    pub url: Secret,
    /// Already read into `url` while loading; kept so that the key is known.
    #[serde(default)]
    #[expect(dead_code, reason = "the loader has put the content of the file into `url`")]
    pub url_file: Option<PathBuf>,
    pub embedded: bool,
    pub nats_port: u16,
    pub host: String,
    pub anonymous: Anonymous,
    /// Empty for none.
    pub tls_cert: PathBuf,
    /// Empty for none.
    pub tls_key: PathBuf,
    /// Empty for nowhere.
    pub websocket: String,
    /// Empty for nowhere.
    pub monitor: String,
    pub jetstream: bool,
    #[serde(deserialize_with = "duration::deserialize")]
    pub retention: Duration,
}

/// Who may watch without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Anonymous {
    Auto,
    Off,
    Read,
}

/// The proxy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gateway {
    pub environment: String,
    pub hosts: Vec<String>,
    pub paths: Vec<String>,
    #[serde(deserialize_with = "duration::deserialize")]
    pub connect_timeout: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_timeout: Duration,
    pub max_idle_per_host: usize,
    pub retries: u32,
    pub allow_loopback_upstreams: bool,
    pub allow_private_upstreams: bool,
    pub trusted_proxies: Vec<String>,
}

/// What is sent to webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhooks {
    pub allow_loopback: bool,
    pub allow_private: bool,
    #[serde(deserialize_with = "duration::deserialize")]
    pub timeout: Duration,
    pub concurrency: usize,
    pub concurrency_per_endpoint: usize,
    #[serde(deserialize_with = "duration::deserialize")]
    pub retention: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub disable_after: Duration,
}

/// What runs functions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compute {
    pub driver: Driver,
    pub firecracker: Firecracker,
}

/// What runs functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Driver {
    Wasm,
    Firecracker,
    None,
}

/// How microVMs are made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Firecracker {
    pub binary: PathBuf,
    pub jailer: PathBuf,
    pub kernel: PathBuf,
    pub rootfs: PathBuf,
    /// For the kernel, beside what microVMs need.
    pub kernel_args: String,
    pub chroot_base: PathBuf,
    pub uid: u32,
    pub gid: u32,
    pub pool: usize,
    /// In bytes.
    #[serde(deserialize_with = "size::deserialize")]
    pub memory: u64,
    pub vcpus: u8,
}

/// Functions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Functions {
    /// In bytes.
    #[serde(deserialize_with = "size::deserialize")]
    pub max_code: u64,
    /// Empty: in the data directory.
    pub cache_path: PathBuf,
    pub loaded: usize,
    pub instances: u32,
    #[serde(deserialize_with = "duration::deserialize")]
    pub compile_timeout: Duration,
    /// In bytes.
    #[serde(deserialize_with = "size::deserialize")]
    pub compile_memory: u64,
    pub allow_loopback_outbound: bool,
    pub allow_private_outbound: bool,
    /// Empty: one is made and kept.
    pub secrets_key: Secret,
    /// Already read into `secrets_key` while loading; kept so that the key is known.
    #[serde(default)]
    #[expect(dead_code, reason = "the loader has put the content of the file into `secrets_key`")]
    pub secrets_key_file: Option<PathBuf>,
}

/// Measurements.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metrics {
    #[serde(deserialize_with = "duration::deserialize")]
    pub flush_interval: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub retention: Duration,
}

/// The guard.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guard {
    #[serde(deserialize_with = "duration::deserialize")]
    pub interval: Duration,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}
