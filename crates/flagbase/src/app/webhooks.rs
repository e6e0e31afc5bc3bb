//! What sends to webhooks.

use std::sync::Arc;

use flagbase_core::relay::{Relay, Sinks};
use flagbase_core::tasks::Tasks;
use flagbase_core::webhooks::{Webhooks, Worker};
use flagbase_events::WebhookSender;

use super::parts::Base;
use super::settings;
use crate::config::Config;
use crate::exit::{Failure, Outcome};

/// Begins to turn events into deliveries, and to send them.
///
/// # Errors
/// TLS cannot be set up on this machine.
pub(super) fn start(
    config: &Config,
    base: &Base,
    (webhooks, sinks): (&Arc<Webhooks>, &Sinks),
    tasks: &Tasks,
) -> Outcome {
    let agent = concat!("Flagbase/", env!("CARGO_PKG_VERSION"));
    let sender = WebhookSender::new(settings::webhooks(config).addresses, agent).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Failure::plain(error.to_string()).details(cause.into_iter().collect())
    })?;
    let bus = ("webhooks", Arc::new(webhooks.sink()) as _);
    let relay = Relay::new(Arc::clone(&base.feed), Arc::clone(&base.ledger), bus, Arc::clone(&base.meters));
    sinks.start(relay, tasks);
    let worker = Worker::new(Arc::clone(webhooks), Arc::new(sender), Arc::clone(&base.meters));
    Arc::new(worker).start(tasks);
    Ok(())
}
