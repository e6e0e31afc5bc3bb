//! How the process is asked to end: SIGINT and SIGTERM. The first begins a graceful stop, the second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Failure, Outcome};

/// What a shell reports for a process that ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Both signals, from the moment this is made.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Must be called within the runtime.
    pub(crate) fn listen() -> Outcome<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::plain(format!("cannot listen to signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Finishes `stopping`, unless a signal comes first: then the process ends here and now.
    pub(crate) async fn or_exit(mut self, stopping: impl Future<Output = ()>) {
        tokio::select! {
            () = stopping => {}
            () = self.next() => {
                tracing::warn!("asked a second time: ending at once");
                std::process::exit(INTERRUPTED);
            }
        }
    }
}
