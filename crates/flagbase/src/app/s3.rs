//! Buckets for clients of S3, on a port of their own.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flagbase_buckets::{AccessKey, AccessKeys, S3Limits, S3Options, S3Parts, S3Server};
use flagbase_core::buckets::Buckets;
use flagbase_core::clock::Clock;
use flagbase_core::identity::Identity;
use flagbase_core::random::Random;
use flagbase_core::snapshot::DEFAULT_ENVIRONMENT;
use flagbase_core::tasks::Tasks;
use tokio::net::TcpListener;

use crate::config::{self, Config};
use crate::exit::{Exit, Failure, Outcome};

/// Where clients of S3 are served when nothing else is configured.
const DEFAULT_LISTEN: &str = "127.0.0.1:9000";

/// What serves clients of S3.
pub(super) struct S3 {
    server: S3Server,
    listener: TcpListener,
    address: SocketAddr,
}

impl S3 {
    /// Takes the port; `None` when S3 is not to be served.
    ///
    /// # Errors
    /// The port that was configured is in use, or S3 is not built in.
    pub(super) async fn open(
        config: &Config,
        (buckets, identity): (Arc<Buckets>, &Arc<Identity>),
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
        tasks: &Tasks,
    ) -> Outcome<Option<Self>> {
        let s3 = &config.storage.s3;
        if s3.listen == "none" {
            return Ok(None);
        }
        let parts = S3Parts { buckets, keys: keys(identity), clock, random, options: options(config) };
        let server = match S3Server::new(parts, tasks.clone()) {
            Ok(server) => server,
            Err(_) if s3.listen == DEFAULT_LISTEN => return Ok(None),
            Err(error) => return Err(Failure::new(Exit::Configuration, error.to_string())),
        };
        let listener = match TcpListener::bind(&s3.listen).await {
            Ok(listener) => listener,
            // Nobody asked for this port: that somebody else has it stops nothing else from being served.
            Err(error) if error.kind() == ErrorKind::AddrInUse && s3.listen == DEFAULT_LISTEN => {
                tracing::warn!(
                    "S3 is not served: another program uses {DEFAULT_LISTEN}; choose another port with \
                     FLAGBASE_STORAGE__S3__LISTEN (port 0 takes a free one, `none` serves no S3)"
                );
                return Ok(None);
            }
            Err(error) => return Err(not_bound(s3, &error)),
        };
        let address = listener
            .local_addr()
            .map_err(|error| Failure::plain(format!("cannot tell where S3 is served: {error}")))?;
        Ok(Some(Self { server, listener, address }))
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `requests` are to stop, and lets those under way end within `drain`.
    pub(super) async fn run(self, requests: &Tasks, drain: Duration) {
        self.server.run(self.listener, requests.stopping(), drain).await;
    }
}

fn options(config: &Config) -> S3Options {
    let s3 = &config.storage.s3;
    S3Options {
        domain: s3.domain.clone(),
        region: s3.region.clone(),
        // What is none was refused when the configuration was read.
        trusted_proxies: config.gateway.trusted_proxies.iter().flat_map(|proxy| proxy.parse()).collect(),
        environment: Arc::from(DEFAULT_ENVIRONMENT),
        limits: S3Limits::default(),
    }
}

/// API keys that permit anything about buckets are access keys.
fn keys(identity: &Arc<Identity>) -> AccessKeys {
    let identity = Arc::clone(identity);
    Arc::new(move |id| {
        let known = identity.access_key(id).ok()?;
        Some(AccessKey {
            environment: Arc::from(known.key.environment.as_str()),
            caller: known.caller,
            secret: known.secret.to_string(),
        })
    })
}

fn not_bound(s3: &config::S3, error: &std::io::Error) -> Failure {
    let failure = Failure::plain(format!("S3 cannot be served on {}: {error}", s3.listen));
    match error.kind() {
        ErrorKind::AddrInUse => failure.hint(
            "another program uses this port; stop it, or choose another one with FLAGBASE_STORAGE__S3__LISTEN (port 0 \
             takes a free one, `none` serves no S3)",
        ),
        _ => failure.hint("check `storage.s3.listen`: it must be an address of this machine"),
    }
}
