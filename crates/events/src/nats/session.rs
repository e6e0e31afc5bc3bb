//! One connection to a NATS server, with what it was set up for.

use async_nats::{
    Client, ConnectOptions, Event, ServerAddr,
    jetstream::{self, context::ContextBuilder},
};
use flagbase_core::{catalog::BoxError, events::CloudEvent};

use super::{Problem, core::Barrier, stream};
use crate::{
    target::{NatsLogin, NatsTarget, TlsTarget},
    tls,
};

/// A connection.
pub(super) struct Session {
    pub(super) client: Client,
    keeping: Keeping,
}

/// Who keeps what is published.
enum Keeping {
    /// Nobody; the barrier tells when the server has it.
    Nobody(Barrier),
    /// A stream, which acknowledges each message.
    Stream(jetstream::Context),
}

impl Session {
    /// Connects, and makes or changes the stream when one is wanted.
    pub(super) async fn open(target: &NatsTarget) -> Result<Self, BoxError> {
        let addresses = addresses(target)?;
        let client = options(target).await?.connect(addresses).await?;
        let keeping = match &target.stream {
            None => Keeping::Nobody(Barrier::raise(&client).await?),
            Some(wanted) => {
                let context = ContextBuilder::new()
                    .timeout(target.timeout)
                    .max_ack_inflight(stream::IN_FLIGHT * 2)
                    .build(client.clone());
                stream::ensure(&context, wanted).await?;
                Keeping::Stream(context)
            }
        };
        Ok(Self { client, keeping })
    }

    /// Publishes `events` in order; `taken` says how many the server has, from the first on, whatever happens.
    pub(super) async fn publish(&self, events: &[CloudEvent], taken: &mut usize) -> Result<(), Problem> {
        match &self.keeping {
            Keeping::Nobody(barrier) => barrier.publish(&self.client, events, taken).await,
            Keeping::Stream(context) => stream::publish(context, events, taken).await,
        }
    }
}

fn addresses(target: &NatsTarget) -> Result<Vec<ServerAddr>, BoxError> {
    let addresses = target.hosts.iter().map(|host| format!("nats://{host}").parse::<ServerAddr>());
    Ok(addresses.collect::<Result<_, _>>()?)
}

async fn options(target: &NatsTarget) -> Result<ConnectOptions, BoxError> {
    // Always ours: a server may ask for TLS although nobody said so, and then the client would choose by itself.
    let roots = TlsTarget::default();
    let options = ConnectOptions::new()
        .name("flagbase")
        .connection_timeout(super::CONNECT.min(target.timeout))
        .tls_client_config(tls::client(target.tls.as_ref().unwrap_or(&roots))?)
        .require_tls(target.tls.is_some())
        .event_callback(|event| async move { tell(&event) });
    let options = match &target.tls {
        Some(tls) if tls.first => options.tls_first(),
        _ => options,
    };
    Ok(match &target.login {
        NatsLogin::None => options,
        NatsLogin::Password(user, password) => {
            options.user_and_password(user.clone(), password.reveal().to_owned())
        }
        NatsLogin::Token(token) => options.token(token.reveal().to_owned()),
        NatsLogin::Credentials(file) => options.credentials_file(file).await?,
        NatsLogin::NKey(file) => {
            let seed = tokio::fs::read_to_string(file).await;
            let seed = seed.map_err(|error| format!("the seed in `{file}` cannot be read: {error}"))?;
            options.nkey(seed.trim().to_owned())
        }
    })
}

/// What the server says beside answers, such as that it does not let us publish somewhere.
fn tell(event: &Event) {
    match event {
        Event::ServerError(error) => {
            tracing::error!(
                bus = "nats",
                "the NATS server complains: {error}; see what this login may publish"
            );
        }
        other => tracing::debug!(bus = "nats", "{other}"),
    }
}
