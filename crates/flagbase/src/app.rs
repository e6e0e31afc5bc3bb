//! The server, put together: configuration in, a running server out, and its orderly end.

mod banner;
mod buses;
mod front;
pub(crate) mod functions;
mod listener;
mod logging;
mod parts;
mod s3;
pub(crate) mod settings;
pub(crate) mod setup;
mod signals;
pub(crate) mod storage;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flagbase_core::functions::Runner;
use flagbase_core::identity::Invited;
use flagbase_core::tasks::Tasks;
use flagbase_store::Sqlite;
use tokio::net::TcpListener;

use crate::config::{Config, Environment};
use crate::exit::{Failure, Outcome};
use crate::place;
use buses::Buses;
use front::Front;
use logging::Form;
use s3::S3;
pub(crate) use signals::Signals;

/// How long background work may take to write what it holds, once requests have ended.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// A server that is ready to run.
pub(crate) struct App {
    config: Config,
    form: Form,
    listener: TcpListener,
    address: SocketAddr,
    store: Sqlite,
    front: Front,
    /// Connections and streams: they end first, so that what they cause is still recorded.
    requests: Tasks,
    /// Everything else that runs: it ends after them.
    background: Tasks,
    buses: Buses,
    runner: Arc<Runner>,
    s3: Option<S3>,
    setup: Option<Invited>,
}

impl App {
    /// Takes the port, opens the database, and puts the parts together. Nothing is answered yet.
    ///
    /// # Errors
    /// A port in use, a directory that cannot be written, a database this version cannot use.
    pub(crate) async fn build(config: Config, environment: &Environment) -> Outcome<Self> {
        let form = logging::start(&config);
        place::prepare(&config.server.data_dir)?;
        let listener = listener::bind(&config.server).await?;
        let address = listener
            .local_addr()
            .map_err(|error| Failure::plain(format!("cannot tell where the server listens: {error}")))?;
        let store = place::open(place::database(&config)).await?;
        let (requests, background) = (Tasks::new(), Tasks::new());
        let parts = parts::assemble(&config, &store, &requests, &background).await?;
        let setup = setup::prepare(&parts.identity, &config, environment).await?;
        let front = front::door(parts.gateway, parts.api, &config.server)?;
        let (buses, runner, s3) = (parts.buses, parts.runner, parts.s3);
        Ok(Self {
            config,
            form,
            listener,
            address,
            store,
            front,
            requests,
            background,
            buses,
            runner,
            s3,
            setup,
        })
    }

    /// Where it listens: connections wait there from now on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until a signal comes; then stops accepting, finishes what is under way, writes what is held, and
    /// closes the database. A second signal ends the process at once.
    pub(crate) async fn run(self, mut signals: Signals) -> Outcome {
        let Self {
            config,
            form,
            listener,
            address,
            store,
            front,
            requests,
            background,
            buses,
            runner,
            s3,
            setup,
        } = self;
        let drain = config.server.shutdown_timeout;
        let others = (buses.address(), s3.as_ref().map(S3::address));
        let stop = requests.clone();
        let serving = async {
            let s3 = async {
                if let Some(s3) = s3 {
                    s3.run(&stop, drain).await;
                }
            };
            tokio::join!(front.run(listener, stop.stopping(), drain), s3)
        };
        tokio::pin!(serving);
        banner::show(form, &config, (address, others), setup.as_ref());
        drop(setup);
        tokio::select! {
            _ = serving.as_mut() => return Err(Failure::plain("the server stopped accepting requests by itself")),
            () = signals.next() => {}
        }
        tracing::info!("stopping: finishing requests under way");
        let stopping = async {
            tokio::join!(serving, requests.shutdown(drain + FLUSH_WITHIN));
            runner.compute().stop().await;
            if !background.shutdown(FLUSH_WITHIN).await {
                tracing::warn!("some background work did not end in time");
            }
            buses.stop().await;
            store.close().await;
        };
        signals.or_exit(stopping).await;
        tracing::info!("stopped");
        Ok(())
    }
}
