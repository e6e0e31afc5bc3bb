//! What starts functions besides requests: schedules, events and messages on the bus, objects in buckets.
//!
//! Whatever happens becomes a row of a queue, on disk, before it counts as taken: [`Sink`] is a bus for a relay of its own
//! and takes what Flagbase says, `listening` takes what programs say. [`Triggers`] hands over what is due, again and again
//! with growing pauses, and lays aside what never succeeds. What is under way is only known in memory: after a crash it is
//! offered again.
//!
//! A moment of a schedule is different: it is noted as taken before the function runs, and never offered again. Of the
//! moments that passed while nobody was there, the last one is made up for, if it is a moment of the schedule as it was.
//!
//! A function is not told of what it did itself: it would go round in circles.

mod lanes;
mod letters;
mod listening;
mod moments;
mod occasions;
mod pause;
mod sink;
mod worker;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Runner;
use crate::{events::Messages, feed::Feed, tasks::Tasks};
use lanes::Lanes;
use moments::Moments;

pub use letters::view;
pub use occasions::{
    Enqueued, MOST_DEAD, MOST_WAITING, NewOccasion, Occasions, OccasionsError, Queued, Settled, Which,
};
pub use pause::pause;
pub use sink::Sink;

/// Starts functions when something happens, and shows what they did not take.
pub struct Triggers {
    feed: Arc<Feed>,
    occasions: Arc<dyn Occasions>,
    runner: Arc<Runner>,
    messages: Option<Arc<dyn Messages>>,
    lanes: Mutex<Lanes>,
    moments: tokio::sync::Mutex<Moments>,
    wake: Notify,
}

impl Triggers {
    /// Triggers of the functions in `feed`, run by `runner`; what programs say is heard on `messages`, when there is a bus
    /// for it.
    pub fn new(
        feed: Arc<Feed>,
        occasions: Arc<dyn Occasions>,
        runner: Arc<Runner>,
        messages: Option<Arc<dyn Messages>>,
    ) -> Arc<Self> {
        let (lanes, moments, wake) = (Mutex::default(), tokio::sync::Mutex::default(), Notify::new());
        Arc::new(Self { feed, occasions, runner, messages, lanes, moments, wake })
    }

    /// The bus that makes events of Flagbase wait for functions; for a relay that is called `functions` and begins with
    /// what happens from now on.
    pub fn sink(self: &Arc<Self>) -> Sink {
        Sink::new(Arc::clone(self))
    }

    /// Starts the tasks that hand over what is due, and listen to what programs say, until shutdown.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let stop = tasks.stopping();
        tasks.spawn("functions.triggers", Arc::clone(self).run(stop.clone()));
        if let Some(bus) = &self.messages {
            tasks.spawn("functions.listen", listening::listen(Arc::clone(self), Arc::clone(bus), stop));
        }
    }

    /// Stores what happened, and has it looked at soon. Logs what there was no room for.
    async fn enqueue(&self, occasions: Vec<NewOccasion>) -> Result<(), OccasionsError> {
        let mut functions: Vec<_> = occasions.iter().map(|new| new.function.clone()).collect();
        functions.dedup();
        let Enqueued { refused, .. } = self.occasions.enqueue(occasions).await?;
        if refused > 0 {
            tracing::warn!(
                refused,
                "events were passed over: {MOST_WAITING} wait for that function already; make it faster, or listen to less"
            );
        }
        self.lanes.lock().stir(functions);
        self.wake.notify_one();
        Ok(())
    }
}
