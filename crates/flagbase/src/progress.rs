//! A spinner on standard error for whatever takes longer than a moment.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::ProgressBar;

/// Below this nothing is drawn: a spinner that flashes is worse than none.
const PATIENCE: Duration = Duration::from_millis(300);

/// How fast the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Whether a person sees what is drawn, and wants anything but text: `NO_COLOR` and a plain terminal say no.
pub(crate) fn is_watched() -> bool {
    let stderr = io::stderr();
    stderr.is_terminal() && anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never
}

/// Awaits `work`, and shows `message` with a spinner when it takes long and a person is watching.
pub(crate) async fn during<T>(message: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if !is_watched() {
        return work.await;
    }
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    let spinner = ProgressBar::new_spinner().with_message(message.to_owned());
    spinner.enable_steady_tick(TICK);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// A bar for work that knows how far it is; hidden when nobody is watching.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    bar: ProgressBar,
}

impl Pages {
    pub(crate) fn new(message: &'static str) -> Self {
        let bar = if is_watched() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        Self { bar: bar.with_message(message) }
    }

    pub(crate) fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A spinner that says at which step the work is; nothing is drawn when nobody is watching.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    spinner: ProgressBar,
}

impl Steps {
    pub(crate) fn new(first: &'static str) -> Self {
        if !is_watched() {
            return Self { spinner: ProgressBar::hidden() };
        }
        let spinner = ProgressBar::new_spinner().with_message(first);
        spinner.enable_steady_tick(TICK);
        Self { spinner }
    }

    /// The work has come to `step`, of which so much is done.
    pub(crate) fn at(&self, step: &str, percent: Option<u64>) {
        self.spinner.set_message(match percent {
            Some(percent) => format!("{step} {percent} %"),
            None => step.to_owned(),
        });
    }

    pub(crate) fn finish(&self) {
        self.spinner.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_result_of_the_work_comes_through() {
        assert_eq!(super::during("adding", async { 1 + 1 }).await, 2);
    }
}
