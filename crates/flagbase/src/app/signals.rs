//! How the process is asked to end: SIGINT, SIGTERM, and the end of whoever started it for himself. The first begins a graceful
//! stop, the second ends at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::exit::{Failure, Outcome};

/// What a shell reports for a process that ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Both signals, from the moment this is made.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Ends when standard input does.
    input: Option<JoinHandle<()>>,
}

impl Signals {
    /// Must be called within the runtime.
    pub(crate) fn listen() -> Outcome<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::plain(format!("cannot listen to signals: {error}")));
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, input: None })
    }

    /// Takes the end of standard input for a signal, too: a pipe ends with the process that holds its other end, however
    /// that one ends.
    pub(crate) fn until_input_ends(mut self) -> Self {
        self.input = Some(tokio::task::spawn_blocking(|| {
            // An error is an end as well.
            drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
        }));
        self
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let Self { interrupt, terminate, input } = self;
        let ended = async {
            match input {
                Some(reading) => drop(reading.await),
                None => std::future::pending().await,
            }
            // It ends only once.
            *input = None;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = ended => {}
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
