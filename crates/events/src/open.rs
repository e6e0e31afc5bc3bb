//! Opening the bus that `events.url` names.

use std::sync::Arc;

use flagbase_core::{
    catalog::BoxError,
    events::{EventBus, Halted},
    tasks::Tasks,
};

use crate::target::UrlError;

/// Why there is no such bus.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address makes no sense.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// This binary was built without it.
    #[error(
        "`events.url` names a bus by `{scheme}://`, but this binary was built without it: build it with \
         `--features {feature}`"
    )]
    NotBuiltIn {
        /// How the address begins.
        scheme: &'static str,
        /// The cargo feature that builds it in.
        feature: &'static str,
    },
    /// What is wanted of the bus cannot be had.
    #[error("`events.url` cannot be used")]
    Unusable(#[source] BoxError),
}

/// Connects in the background, so that a wrong address or login is told at the start and not with the first event, and
/// so that a stream or topic is there before it.
#[cfg_attr(
    not(any(feature = "nats", feature = "kafka")),
    expect(dead_code, reason = "only external buses have to be connected to")
)]
pub(crate) fn warmed(bus: impl EventBus + 'static, tasks: &Tasks) -> Arc<dyn EventBus> {
    let bus: Arc<dyn EventBus> = Arc::new(bus);
    let (first, stop) = (Arc::clone(&bus), tasks.stopping());
    tasks.spawn("events.connect", async move {
        if let Some(Err(Halted { error, .. })) = stop.run_until_cancelled(first.publish(&[])).await {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(source, "events wait until the bus answers: {error}");
        }
    });
    bus
}
