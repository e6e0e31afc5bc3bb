//! Rules that types alone cannot express.

mod functions;
mod storage;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::{Anonymous, Config, Mode, Secret};

/// The value the first release shipped with; known to everyone, so worth nothing.
const SEED_SECRET: &str = "change-me-in-production";

/// The fewest bytes a signing secret may have outside local mode: the size of an HS256 key.
const SECRET_BYTES: usize = 32;

/// One value that cannot be used.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) key: &'static str,
    /// Continues a sentence that begins with the key.
    pub(crate) what: String,
    pub(crate) help: String,
}

/// How far a signing secret can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretStrength {
    /// None given, or the well-known default.
    Absent,
    /// Too short or too regular to withstand guessing.
    Weak,
    Good,
}

impl SecretStrength {
    pub(crate) fn of(secret: Option<&Secret>) -> Self {
        let text = secret.map_or("", Secret::reveal);
        if text.is_empty() || text == SEED_SECRET {
            return Self::Absent;
        }
        let distinct = text.bytes().collect::<BTreeSet<_>>().len();
        let guessable = text.contains(SEED_SECRET) || distinct < 10;
        if text.len() < SECRET_BYTES || guessable { Self::Weak } else { Self::Good }
    }
}

/// Everything wrong with `config`.
pub(crate) fn check(config: &Config) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    wrong.extend(signing_secret(config));
    wrong.extend(server(config));
    wrong.extend(iam(config));
    wrong.extend(storage::check(config));
    wrong.extend(events(config));
    wrong.extend(gateway(config));
    wrong.extend(durations(config));
    wrong.extend(webhooks(config));
    wrong.extend(functions::check(config));
    wrong.extend(log(config));
    wrong
}

/// What works but is probably not meant.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let weak = SecretStrength::of(config.iam.jwt_secret.as_ref()) == SecretStrength::Weak;
    if weak {
        warnings.push(format!(
            "`iam.jwt_secret` is weak; leave it out and a good one is generated, or use {SECRET_BYTES} random bytes"
        ));
    }
    if config.server.cors_origins.iter().any(|origin| origin == "*") {
        warnings.push("`server.cors_origins` lets every website call the API".to_owned());
    }
    let events = &config.events;
    if events.embedded && events.anonymous == Anonymous::Read && !is_this_machine(&events.host) {
        warnings.push(
            "`events.anonymous: read` lets everybody who reaches the embedded NATS server watch development \
             environments; use `off` to ask for a token"
                .to_owned(),
        );
    }
    warnings
}

fn signing_secret(config: &Config) -> Option<Wrong> {
    if config.mode == Mode::Local {
        return None;
    }
    let what = match SecretStrength::of(config.iam.jwt_secret.as_ref()) {
        SecretStrength::Good => return None,
        SecretStrength::Absent => "must be set outside local mode; the well-known default never signs",
        SecretStrength::Weak => "is too short or too regular to sign with outside local mode",
    };
    Some(Wrong {
        key: "iam.jwt_secret",
        what: what.to_owned(),
        help: "make one with `openssl rand -hex 32` and set FLAGBASE_IAM__JWT_SECRET, or put it into a file and set FLAGBASE_IAM__JWT_SECRET_FILE".to_owned(),
    })
}

fn server(config: &Config) -> Vec<Wrong> {
    let server = &config.server;
    let mut wrong = Vec::new();
    if server.host.is_empty() || server.host.contains(['/', ' ']) {
        wrong.push(bad(
            "server.host",
            &server.host,
            "is not a host name or address",
            "use `0.0.0.0` for every interface, or `127.0.0.1`",
        ));
    }
    if !server.public_url.is_empty() && !is_origin_or_url(&server.public_url) {
        wrong.push(bad(
            "server.public_url",
            &server.public_url,
            "is not a web address",
            "use something like `https://flags.example.com`",
        ));
    }
    for origin in server.cors_origins.iter().filter(|origin| *origin != "*") {
        if !is_origin_or_url(origin) || origin.matches('/').count() > 2 {
            wrong.push(bad(
                "server.cors_origins",
                origin,
                "is not an origin",
                "use scheme and host without a path, such as `https://app.example.com`",
            ));
        }
    }
    if server.max_body == 0 {
        wrong.push(bad("server.max_body", "0", "leaves no room for any request", "use `1MiB`"));
    }
    if config.database.path.as_os_str().is_empty() {
        wrong.push(bad("database.path", "", "is empty", "name a file, such as `flagbase.db`"));
    }
    wrong
}

fn iam(config: &Config) -> Vec<Wrong> {
    let iam = &config.iam;
    let counts = [
        ("iam.hash_concurrency", iam.hash_concurrency, 64),
        ("iam.hash_queue", iam.hash_queue, 100_000),
        ("iam.login_attempts", usize::try_from(iam.login_attempts).unwrap_or(usize::MAX), 100_000),
    ];
    let mut wrong: Vec<Wrong> = counts
        .into_iter()
        .filter(|(_, count, most)| *count == 0 || count > most)
        .map(|(key, count, most)| {
            bad(key, &count.to_string(), "is out of range", &format!("use a number from 1 to {most}"))
        })
        .collect();
    if iam.default_role.is_empty() {
        wrong.push(bad("iam.default_role", "", "is empty", "name a role, such as `user`"));
    }
    for role in std::iter::once(&iam.default_role).chain(&iam.self_assignable_roles) {
        if role == "admin" {
            wrong.push(bad(
                "iam.self_assignable_roles",
                role,
                "would make anyone an administrator",
                "leave `admin` to `flagbase admin create` and to other administrators",
            ));
        }
    }
    wrong
}

fn events(config: &Config) -> Vec<Wrong> {
    let events = &config.events;
    let mut wrong = Vec::new();
    if let Err(error) = flagbase_events::Target::parse(events.url.reveal()) {
        // Without the value: it may hold a password.
        wrong.push(Wrong {
            key: "events.url",
            what: error.to_string(),
            help: "leave it empty for the embedded bus alone".to_owned(),
        });
    }
    if events.host.is_empty() || events.host.contains(['/', ' ']) {
        wrong.push(bad(
            "events.host",
            &events.host,
            "is not a host name or address",
            "use `127.0.0.1`, or `0.0.0.0` for every interface",
        ));
    }
    for (key, address) in [("events.websocket", &events.websocket), ("events.monitor", &events.monitor)] {
        if !address.is_empty() && address.parse::<SocketAddr>().is_err() {
            wrong.push(bad(
                key,
                address,
                "is not an address with a port",
                "use something like `127.0.0.1:8222`",
            ));
        }
    }
    let given = |path: &Path| !path.as_os_str().is_empty();
    if given(&events.tls_cert) != given(&events.tls_key) {
        wrong.push(Wrong {
            key: if given(&events.tls_cert) { "events.tls_cert" } else { "events.tls_key" },
            what: "is set without its counterpart".to_owned(),
            help: "set both `events.tls_cert` and `events.tls_key`, or neither".to_owned(),
        });
    }
    wrong
}

fn gateway(config: &Config) -> Vec<Wrong> {
    let gateway = &config.gateway;
    let mut wrong = Vec::new();
    for path in &gateway.paths {
        if !path.starts_with('/') || path == "/" {
            wrong.push(bad(
                "gateway.paths",
                path,
                "is not a path prefix of its own",
                "begin with `/` and name at least one segment, such as `/shop`",
            ));
        }
    }
    for host in &gateway.hosts {
        if host.is_empty() || host.contains(['/', ':', ' ']) {
            wrong.push(bad(
                "gateway.hosts",
                host,
                "is not a host name",
                "use a name without scheme, port or path, such as `shop.example.com`",
            ));
        }
    }
    for proxy in &gateway.trusted_proxies {
        if !is_network(proxy) {
            wrong.push(bad(
                "gateway.trusted_proxies",
                proxy,
                "is not an address or CIDR range",
                "use something like `10.0.0.0/8` or `192.0.2.7`",
            ));
        }
    }
    if gateway.retries > 10 {
        wrong.push(bad(
            "gateway.retries",
            &gateway.retries.to_string(),
            "is out of range",
            "use a number from 0 to 10",
        ));
    }
    wrong
}

fn webhooks(config: &Config) -> Vec<Wrong> {
    let webhooks = &config.webhooks;
    let counts = [
        ("webhooks.concurrency", webhooks.concurrency),
        ("webhooks.concurrency_per_endpoint", webhooks.concurrency_per_endpoint),
    ];
    let wrong = counts.into_iter().filter(|(_, count)| !(1..=1000).contains(count));
    wrong
        .map(|(key, count)| bad(key, &count.to_string(), "is out of range", "use a number from 1 to 1000"))
        .collect()
}

fn durations(config: &Config) -> Vec<Wrong> {
    let (server, iam, gateway) = (&config.server, &config.iam, &config.gateway);
    let all = [
        ("server.request_timeout", server.request_timeout),
        ("server.header_timeout", server.header_timeout),
        ("iam.token_ttl", iam.token_ttl),
        ("iam.login_window", iam.login_window),
        ("iam.setup_token_ttl", iam.setup_token_ttl),
        ("events.retention", config.events.retention),
        ("gateway.connect_timeout", gateway.connect_timeout),
        ("gateway.request_timeout", gateway.request_timeout),
        ("gateway.idle_timeout", gateway.idle_timeout),
        ("webhooks.timeout", config.webhooks.timeout),
        ("webhooks.retention", config.webhooks.retention),
        ("webhooks.disable_after", config.webhooks.disable_after),
        ("functions.compile_timeout", config.functions.compile_timeout),
        ("metrics.flush_interval", config.metrics.flush_interval),
        ("metrics.retention", config.metrics.retention),
        ("guard.interval", config.guard.interval),
    ];
    all.into_iter()
        .filter(|(_, duration)| *duration == Duration::ZERO)
        .map(|(key, _)| bad(key, "0s", "must be longer than nothing", "leave it out for the default"))
        .collect()
}

fn log(config: &Config) -> Option<Wrong> {
    let level = &config.log.level;
    tracing_subscriber::EnvFilter::builder()
        .parse(level)
        .err()
        .map(|_| bad("log.level", level, "is not a log level", "use error, warn, info, debug or trace"))
}

/// Whether only programs of this machine can reach what listens on `host`.
pub(crate) fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn bad(key: &'static str, value: &str, what: &str, help: &str) -> Wrong {
    Wrong { key, what: format!("is `{value}`, which {what}"), help: help.to_owned() }
}

fn is_origin_or_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        !host.is_empty() && !rest.contains([' ', '?', '#', '@'])
    })
}

fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}
