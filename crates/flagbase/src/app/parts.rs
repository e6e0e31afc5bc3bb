//! The parts of the product and what each of them needs: adapters below, use cases above, the API on top.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use flagbase_api::{ApiSettings, Services};
use flagbase_core::accounts::Accounts;
use flagbase_core::buckets::{ObjectIndex, Uploads};
use flagbase_core::catalog::Catalog;
use flagbase_core::clock::{Clock, SystemClock};
use flagbase_core::environments::{EnvironmentKind, Environments};
use flagbase_core::events::Events;
use flagbase_core::feed::Feed;
use flagbase_core::flags::Flags;
use flagbase_core::functions::Runner;
use flagbase_core::functions::triggers::Occasions;
use flagbase_core::functions::vault::Vault;
use flagbase_core::gateway::Routes;
use flagbase_core::guards::{Guards, Watcher};
use flagbase_core::identity::Identity;
use flagbase_core::keyvalue::KeyValue;
use flagbase_core::ledger::Ledger;
use flagbase_core::metrics::{Bounds, Meters, Metrics, Recorder};
use flagbase_core::overrides::Overrides;
use flagbase_core::random::{Random, SystemRandom};
use flagbase_core::segments::Segments;
use flagbase_core::tasks::Tasks;
use flagbase_core::webhooks::{Deliveries, Webhooks};
use flagbase_gateway::{self as gateway, Gateway};
use flagbase_nats::jetstream::Store;
use flagbase_store::Sqlite;

use super::buses::Buses;
use super::s3::S3;
use super::{functions, settings, webhooks};
use crate::config::{Config, Mode};
use crate::exit::{Failure, Outcome};
use crate::signing;

/// How often changes by other processes are looked for, such as `flagbase admin` beside this server.
const KEEP_UP_EVERY: Duration = Duration::from_secs(1);

/// What the server is made of, as far as others need it.
pub(super) struct Parts {
    pub(super) identity: Arc<Identity>,
    pub(super) api: Router,
    pub(super) gateway: Arc<Gateway<Identity>>,
    pub(super) buses: Buses,
    pub(super) runner: Arc<Runner>,
    pub(super) s3: Option<S3>,
}

/// What every use case is made from.
pub(super) struct Base {
    accounts: Arc<dyn Accounts>,
    pub(super) ledger: Arc<dyn Ledger>,
    deliveries: Arc<dyn Deliveries>,
    pub(super) streams: Arc<dyn Store>,
    pub(super) vault: Arc<dyn Vault>,
    pub(super) keyvalue: Arc<dyn KeyValue>,
    pub(super) objects: Arc<dyn ObjectIndex>,
    pub(super) uploads: Arc<dyn Uploads>,
    pub(super) occasions: Arc<dyn Occasions>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) feed: Arc<Feed>,
    pub(super) meters: Arc<Meters>,
}

/// Puts the parts together and starts what runs in the background.
pub(super) async fn assemble(
    config: &Config,
    store: &Sqlite,
    requests: &Tasks,
    background: &Tasks,
) -> Outcome<Parts> {
    let base = Base::open(store).await?;
    let secret = signing::secret(config, base.random.as_ref())?;
    let identity = settings::identity(config, secret);
    let identity = Identity::new(
        identity,
        Arc::clone(&base.accounts),
        Arc::clone(&base.feed),
        Arc::clone(&base.clock),
        Arc::clone(&base.random),
    )
    .map_err(|error| Failure::plain(error.to_string()))?;
    let identity = Arc::new(identity.with_access_keys(functions::keyring(config, &base)?));
    let buses = Buses::open(config, &base, &identity, background).await?;
    let meters = Arc::clone(&base.meters);
    let recorder = Arc::new(Recorder::new(Arc::clone(&base.clock), meters, Bounds::default()));
    let functions = functions::assemble(config, &base, (&recorder, buses.messages()), background).await?;
    let runner = Arc::clone(&functions.runner);
    let objects = Arc::clone(functions.buckets.objects());
    let stored = (Arc::clone(&functions.buckets), &identity);
    let chance = (Arc::clone(&base.clock), Arc::clone(&base.random));
    let s3 = S3::open(config, stored, chance, requests).await?;
    let mut services = services(config, &base, (identity, &buses), (recorder, &functions), requests.clone())?;
    services.settings.s3 = s3.as_ref().map(S3::address);
    let kind = match config.mode {
        Mode::Local => EnvironmentKind::Development,
        Mode::Cluster => EnvironmentKind::Production,
    };
    services.environments.ensure_default(kind).await?;
    warn_of_unknown(&config.gateway.environment, &base.feed);
    start(config, &base, &services, background);
    buses.start(&base, background);
    functions.start(&base, buses.sinks(), background);
    webhooks::start(config, &base, (&services.webhooks, buses.sinks()), background)?;
    let gateway = Gateway::start(gateway::Parts {
        config: settings::gateway(config)?,
        feed: Arc::clone(&base.feed),
        callers: Arc::clone(&services.identity),
        recorder: Arc::clone(&services.recorder),
        functions: Arc::clone(&runner),
        objects,
        tasks: requests.clone(),
    });
    Ok(Parts {
        identity: Arc::clone(&services.identity),
        api: flagbase_api::router(services),
        gateway,
        buses,
        runner,
        s3,
    })
}

/// A gateway that serves an environment nobody has made answers everything with 404.
fn warn_of_unknown(environment: &str, feed: &Feed) {
    if feed.snapshots().load().environment(environment).is_none() {
        tracing::warn!(
            environment,
            "`gateway.environment` names an environment that does not exist: the gateway answers 404 until \
             `flagbase environment create` makes it"
        );
    }
}

impl Base {
    async fn open(store: &Sqlite) -> Outcome<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let catalog: Arc<dyn Catalog> = Arc::new(store.clone());
        let feed = Feed::open(catalog, Arc::clone(&clock), Arc::clone(&random)).await.map_err(|error| {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Failure::plain(format!("the database cannot be read: {error}{cause}"))
                .hint("`flagbase doctor` looks closer; `flagbase restore` brings a backup back")
        })?;
        Ok(Self {
            accounts: Arc::new(store.clone()),
            ledger: Arc::new(store.clone()),
            deliveries: Arc::new(store.clone()),
            streams: Arc::new(store.clone()),
            vault: Arc::new(store.clone()),
            keyvalue: Arc::new(store.clone()),
            objects: Arc::new(store.clone()),
            uploads: Arc::new(store.clone()),
            occasions: Arc::new(store.clone()),
            clock,
            random,
            feed: Arc::new(feed),
            meters: Arc::default(),
        })
    }
}

fn services(
    config: &Config,
    base: &Base,
    (identity, buses): (Arc<Identity>, &Buses),
    (recorder, functions): (Arc<Recorder>, &functions::Parts),
    tasks: Tasks,
) -> Outcome<Services> {
    let feed = || Arc::clone(&base.feed);
    let meters = Arc::clone(&base.meters);
    let metrics =
        Metrics::new(feed(), Arc::clone(&base.ledger), Arc::clone(&recorder), settings::metrics(config));
    let max_body = usize::try_from(config.server.max_body).unwrap_or(usize::MAX);
    Ok(Services {
        identity,
        flags: Arc::new(Flags::new(feed())),
        segments: Arc::new(Segments::new(feed())),
        environments: Arc::new(Environments::new(feed())),
        overrides: Arc::new(Overrides::new(feed(), Arc::clone(&base.accounts))),
        routes: Arc::new(Routes::new(feed(), settings::gateway(config)?.addresses())),
        metrics: Arc::new(metrics),
        recorder,
        guards: Arc::new(Guards::new(feed())),
        events: Arc::new(buses.behind(Events::new(feed(), meters, tasks.clone()))),
        webhooks: Arc::new(Webhooks::new(feed(), Arc::clone(&base.deliveries), settings::webhooks(config))),
        functions: Arc::clone(&functions.functions),
        secrets: Arc::clone(&functions.secrets),
        triggers: Arc::clone(&functions.triggers),
        buckets: Arc::clone(&functions.buckets),
        feed: feed(),
        tasks,
        settings: ApiSettings {
            max_body,
            body_timeout: config.server.request_timeout,
            max_code: config.functions.max_code,
            s3: None,
            cors_origins: config.server.cors_origins.clone(),
        },
    })
}

/// Everything that runs without being asked.
fn start(config: &Config, base: &Base, services: &Services, tasks: &Tasks) {
    let feed = Arc::clone(&base.feed);
    let stop = tasks.stopping();
    tasks.spawn("feed.keep_up", async move {
        feed.keep_up(KEEP_UP_EVERY, stop).await;
    });

    services.metrics.start(tasks);

    let flags = Arc::clone(&services.flags);
    let watcher =
        Watcher::new(Arc::clone(&base.feed), flags, Arc::clone(&base.ledger), Arc::clone(&base.meters));
    Arc::new(watcher).start(tasks, config.guard.interval);
}
