//! Which bus `events.url` names, and how it is to be used.

use std::time::Duration;

use crate::url::BusUrl;
pub use crate::url::{Hidden, UrlError};

/// How long one batch may take before the bus counts as unavailable.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a new stream keeps events when nobody says.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The bus within this process: an empty `events.url`.
    Embedded,
    /// An external NATS server: `nats://host:4222`, or `tls://host:4222`.
    Nats(Box<NatsTarget>),
    /// A Kafka cluster: `kafka://host:9092,host:9092/topic`.
    Kafka(Box<KafkaTarget>),
}

/// An external NATS server and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsTarget {
    /// `host:port`, at least one.
    pub hosts: Vec<String>,
    /// Who we are there.
    pub login: NatsLogin,
    /// Whether and how the connection is encrypted.
    pub tls: Option<TlsTarget>,
    /// The stream that keeps the events; `None` for core NATS, which keeps nothing.
    pub stream: Option<StreamTarget>,
    /// How long one batch may take.
    pub timeout: Duration,
}

/// How we log in to NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsLogin {
    /// Not at all.
    None,
    /// `nats://user:password@…`.
    Password(String, Hidden),
    /// `nats://token@…`.
    Token(Hidden),
    /// `?credentials=<file>`: a `.creds` file with a JWT and its key.
    Credentials(String),
    /// `?nkey=<file>`: a file with the seed of an `NKey`.
    NKey(String),
}

/// A `JetStream` stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamTarget {
    /// Its name.
    pub name: String,
    /// Copies in a cluster; `None` leaves that to whoever made it, and makes one copy.
    pub replicas: Option<usize>,
    /// How long an event id is remembered, so that a repeated event is stored once; `None`: 10 minutes for a new one.
    pub duplicates: Option<Duration>,
    /// How long events are kept; `None`: as it is set up there.
    pub max_age: Option<Duration>,
    /// How long a stream that we make keeps them, unless `max_age` says so.
    pub keep: Duration,
    /// Whether we make and change it, or somebody else does.
    pub manage: bool,
}

/// A topic of a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTarget {
    /// `host:port` to ask for the cluster, at least one.
    pub hosts: Vec<String>,
    /// The topic.
    pub topic: String,
    /// How we log in.
    pub sasl: Option<Sasl>,
    /// Whether and how connections are encrypted.
    pub tls: Option<TlsTarget>,
    /// Partitions of a topic that we make; `None`: as the brokers have it.
    pub partitions: Option<i32>,
    /// Copies of a topic that we make; `None`: as the brokers have it.
    pub replication: Option<i16>,
    /// Whether we make the topic when it is not there.
    pub create: bool,
    /// Whether the brokers drop what is sent twice; this needs librdkafka.
    pub idempotent: bool,
    /// How long one batch may take.
    pub timeout: Duration,
}

/// How we log in to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How the password is shown.
    pub mechanism: Mechanism,
    /// Who we are.
    pub user: String,
    /// The password.
    pub password: Hidden,
}

/// A way to show a password to Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// As it is.
    Plain,
    /// SCRAM with SHA-256.
    Scram256,
    /// SCRAM with SHA-512.
    Scram512,
}

/// Whom we trust and as whom we show ourselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsTarget {
    /// A PEM file with the authorities to trust; `None`: those of the system.
    pub ca: Option<String>,
    /// PEM files with our certificate and its key.
    pub identity: Option<(String, String)>,
    /// Whether TLS begins at once, before the server says anything (NATS).
    pub first: bool,
}

const NATS_OPTIONS: &str = "`jetstream`, `replicas`, `duplicates`, `max_age`, `manage`, `credentials`, `nkey`, `tls`, \
                            `tls_first`, `ca`, `cert`, `key`, `timeout`";
const KAFKA_OPTIONS: &str = "`partitions`, `replication`, `create`, `idempotent`, `sasl`, `tls`, `ca`, `cert`, `key`, \
                             `timeout`";
const TRUTH: &str = "`true` or `false`";

impl Target {
    /// Reads `events.url`, with everything that can be found wrong without a connection.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        match text.split_once("://").map(|(scheme, _)| scheme) {
            None if text.is_empty() => Ok(Self::Embedded),
            Some("nats" | "tls") => {
                NatsTarget::read(BusUrl::parse(text, 4222)?).map(Box::new).map(Self::Nats)
            }
            Some("kafka") => KafkaTarget::read(BusUrl::parse(text, 9092)?).map(Box::new).map(Self::Kafka),
            _ => Err(UrlError::new(
                "must be empty (the bus in this process), `nats://host:4222`, `nats://host:4222?jetstream=FLAGBASE` or \
                 `kafka://host:9092/topic`",
            )),
        }
    }
}

impl NatsTarget {
    fn read(mut url: BusUrl) -> Result<Self, UrlError> {
        if !url.path.is_empty() {
            return Err(UrlError::new(
                "has a path, which NATS has no use for; a stream is named by `?jetstream=`",
            ));
        }
        let login = nats_login(&mut url)?;
        let implied = url.scheme == "tls";
        let first = url.take_as("tls_first", TRUTH)?.unwrap_or(false);
        let tls = tls(&mut url, implied || first)?.map(|tls| TlsTarget { first, ..tls });
        let target = Self {
            hosts: std::mem::take(&mut url.hosts),
            login,
            tls,
            stream: stream(&mut url)?,
            timeout: url.take_duration("timeout")?.unwrap_or(TIMEOUT),
        };
        url.finish(NATS_OPTIONS).map(|()| target)
    }
}

fn nats_login(url: &mut BusUrl) -> Result<NatsLogin, UrlError> {
    let files = (url.take("credentials"), url.take("nkey"));
    Ok(match (url.user.take(), url.password.take(), files) {
        (None, _, (None, None)) => NatsLogin::None,
        (Some(user), Some(password), (None, None)) => NatsLogin::Password(user, password),
        (Some(token), None, (None, None)) => NatsLogin::Token(Hidden::of(token)),
        (None, _, (Some(file), None)) => NatsLogin::Credentials(file),
        (None, _, (None, Some(file))) => NatsLogin::NKey(file),
        _ => return Err(UrlError::new("has more than one login: a user, `credentials` or `nkey`")),
    })
}

fn stream(url: &mut BusUrl) -> Result<Option<StreamTarget>, UrlError> {
    let Some(name) = url.take("jetstream") else { return Ok(None) };
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c))
    {
        return Err(UrlError::new(
            "needs the name of a stream in `jetstream`, such as `?jetstream=FLAGBASE`",
        ));
    }
    Ok(Some(StreamTarget {
        // `?jetstream` alone means the name that everybody takes.
        name: if name == "true" { "FLAGBASE".to_owned() } else { name },
        replicas: url.take_as("replicas", "a number of copies, such as `3`")?,
        duplicates: url.take_duration("duplicates")?,
        max_age: url.take_duration("max_age")?,
        keep: KEEP,
        manage: url.take_as("manage", TRUTH)?.unwrap_or(true),
    }))
}

impl KafkaTarget {
    fn read(mut url: BusUrl) -> Result<Self, UrlError> {
        let topic = match url.path.as_str() {
            "" => "flagbase".to_owned(),
            path => path.to_owned(),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if topic.len() > 249 || topic == "." || topic == ".." || !topic.chars().all(legal) {
            return Err(UrlError::new(format!(
                "names the topic `{topic}`, but topics consist of at most 249 letters, digits, `.`, `_` and `-`"
            )));
        }
        let target = Self {
            hosts: std::mem::take(&mut url.hosts),
            topic,
            sasl: sasl(&mut url)?,
            tls: tls(&mut url, false)?,
            partitions: url.take_as("partitions", "a number, such as `6`")?,
            replication: url.take_as("replication", "a number of copies, such as `3`")?,
            create: url.take_as("create", TRUTH)?.unwrap_or(true),
            idempotent: url.take_as("idempotent", TRUTH)?.unwrap_or(false),
            timeout: url.take_duration("timeout")?.unwrap_or(TIMEOUT),
        };
        url.finish(KAFKA_OPTIONS).map(|()| target)
    }
}

fn sasl(url: &mut BusUrl) -> Result<Option<Sasl>, UrlError> {
    let mechanism = url.take("sasl");
    let (user, password) = match (url.user.take(), url.password.take()) {
        (Some(user), Some(password)) => (user, password),
        (None, _) if mechanism.is_none() => return Ok(None),
        _ => return Err(UrlError::new("needs a login with `kafka://user:password@…`")),
    };
    let mechanism = match mechanism.as_deref() {
        None | Some("scram-sha-512") => Mechanism::Scram512,
        Some("scram-sha-256") => Mechanism::Scram256,
        Some("plain") => Mechanism::Plain,
        Some(other) => {
            return Err(UrlError::new(format!(
                "has `sasl={other}`, but `sasl` is `scram-sha-512`, `scram-sha-256` or `plain`"
            )));
        }
    };
    Ok(Some(Sasl { mechanism, user, password }))
}

fn tls(url: &mut BusUrl, implied: bool) -> Result<Option<TlsTarget>, UrlError> {
    let asked = url.take_as("tls", TRUTH)?;
    let ca = url.take("ca");
    let identity = match (url.take("cert"), url.take("key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(UrlError::new("needs both `cert` and `key`, or none of them")),
    };
    let files = ca.is_some() || identity.is_some();
    if asked == Some(false) && (files || implied) {
        return Err(UrlError::new("says `tls=false` and asks for TLS, too"));
    }
    let wanted = asked.unwrap_or(files || implied);
    Ok(wanted.then_some(TlsTarget { ca, identity, first: false }))
}

#[cfg(test)]
mod tests;
