//! The buses that events go to: the embedded one, and an external one when there is one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use flagbase_core::events::{EventBus, Events, Messages};
use flagbase_core::identity::Identity;
use flagbase_core::relay::{Relay, Sinks};
use flagbase_core::tasks::Tasks;
use flagbase_events::{Authority, Embedded, EmbeddedError, EmbeddedOptions, StartError};

use super::parts::Base;
use crate::config::{Anonymous, Config, EventsConfig, Mode, is_this_machine};
use crate::exit::{Exit, Failure, Outcome};

/// What events are handed to.
pub(super) struct Buses {
    sinks: Arc<Sinks>,
    embedded: Option<Arc<Embedded>>,
    external: Option<(String, Arc<dyn EventBus>)>,
}

impl Buses {
    /// Opens what is configured. An external bus need not answer yet.
    ///
    /// # Errors
    /// The port of the embedded one is in use, or the external one is not built in.
    pub(super) async fn open(
        config: &Config,
        base: &Base,
        identity: &Arc<Identity>,
        tasks: &Tasks,
    ) -> Outcome<Self> {
        let external = external(&config.events, tasks)?;
        let embedded =
            if config.events.embedded { Some(embedded(config, base, identity, tasks).await?) } else { None };
        Ok(Self { sinks: Arc::default(), embedded, external })
    }

    /// Where clients of the embedded one connect.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.embedded.as_ref().map(|embedded| embedded.address())
    }

    /// The sinks that the change log is handed over to.
    pub(super) fn sinks(&self) -> &Sinks {
        &self.sinks
    }

    /// Where messages of programs are sent.
    pub(super) fn messages(&self) -> Option<Arc<dyn Messages>> {
        self.embedded.clone().map(|embedded| embedded as Arc<dyn Messages>)
    }

    /// `events`, with these buses behind them.
    pub(super) fn behind(&self, events: Events) -> Events {
        events.with_buses(Arc::clone(&self.sinks), self.messages())
    }

    /// Begins to hand over.
    pub(super) fn start(&self, base: &Base, tasks: &Tasks) {
        let relay = |name: &str, bus| {
            let (feed, ledger) = (Arc::clone(&base.feed), Arc::clone(&base.ledger));
            Relay::new(feed, ledger, (name, bus), Arc::clone(&base.meters))
        };
        if let Some(embedded) = &self.embedded {
            let bus: Arc<dyn EventBus> = Arc::clone(embedded) as _;
            // Nobody can have listened before there was somebody to listen to.
            self.sinks().start(relay("embedded", bus).from_now(), tasks);
        }
        if let Some((name, bus)) = &self.external {
            self.sinks().start(relay(name, Arc::clone(bus)), tasks);
        }
    }

    /// Lets clients go and ends.
    pub(super) async fn stop(&self) {
        if let Some(embedded) = &self.embedded {
            embedded.stop().await;
        }
    }
}

fn external(events: &EventsConfig, tasks: &Tasks) -> Outcome<Option<(String, Arc<dyn EventBus>)>> {
    let url = events.url.reveal();
    let bus = flagbase_events::open(url, events.retention, tasks).map_err(|error| {
        let failure = Failure::new(Exit::Configuration, error.to_string());
        match std::error::Error::source(&error) {
            Some(source) => failure.details(vec![source.to_string()]),
            None => failure,
        }
    })?;
    // A place in the log belongs to a kind of bus: another server of the same kind goes on from there.
    let name = if url.trim_start().starts_with("kafka") { "kafka" } else { "nats" };
    Ok(bus.map(|bus| (name.to_owned(), bus)))
}

async fn embedded(
    config: &Config,
    base: &Base,
    identity: &Arc<Identity>,
    tasks: &Tasks,
) -> Outcome<Arc<Embedded>> {
    let events = &config.events;
    let options = EmbeddedOptions {
        host: events.host.clone(),
        port: events.nats_port,
        anonymous: anonymous(config),
        tls: certificate(events)?,
        websocket: events.websocket.parse().ok(),
        origins: config.server.cors_origins.clone(),
        monitor: events.monitor.parse().ok(),
        streams: events.jetstream.then(|| Arc::clone(&base.streams)),
    };
    let authority = Authority {
        identity: Arc::clone(identity),
        feed: Arc::clone(&base.feed),
        meters: Arc::clone(&base.meters),
    };
    Embedded::start(options, authority, tasks).await.map_err(|error| not_started(&error))
}

/// The texts of certificate and key; the configuration has seen to it that there are both or none.
fn certificate(events: &EventsConfig) -> Outcome<Option<(Vec<u8>, Vec<u8>)>> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            Failure::new(Exit::Configuration, format!("`{}` cannot be read: {error}", path.display()))
                .hint("check `events.tls_cert` and `events.tls_key`")
        })
    };
    if events.tls_cert.as_os_str().is_empty() {
        return Ok(None);
    }
    Ok(Some((read(&events.tls_cert)?, read(&events.tls_key)?)))
}

/// Whether whoever brings no token may watch.
fn anonymous(config: &Config) -> bool {
    match config.events.anonymous {
        Anonymous::Read => true,
        Anonymous::Off => false,
        Anonymous::Auto => config.mode == Mode::Local && is_this_machine(&config.events.host),
    }
}

fn not_started(error: &EmbeddedError) -> Failure {
    let EmbeddedError::Start(StartError::Listen { address, source }) = error else {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return Failure::plain(format!("the embedded NATS server does not start: {error}{cause}"));
    };
    let failure = Failure::plain(format!("the embedded NATS server cannot listen on {address}: {source}"));
    match source.kind() {
        std::io::ErrorKind::AddrInUse => failure.hint(
            "another program uses this port, perhaps a NATS server or another flagbase; stop it, or choose another \
             port with FLAGBASE_EVENTS__NATS_PORT (0 takes a free one), or do without the embedded server with \
             FLAGBASE_EVENTS__EMBEDDED=false",
        ),
        _ => failure.hint("check `events.host`: it must be an address of this machine"),
    }
}
