//! `flagbase start`.

use clap::Args;

use super::settings::{self, Global, ServerArgs};
use crate::app::{App, Signals};
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the address, and end with standard input: for a server that belongs to another process
    #[arg(long, hide = true)]
    tied: bool,
}

pub(crate) fn run(args: &StartArgs, global: &Global, environment: &Environment) -> Outcome {
    let config = settings::load(&args.server, global, environment)?.config;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::plain(format!("cannot start: {error}")))?;
    let done = runtime.block_on(async {
        // From here on a signal is a request to stop, also while the parts are put together.
        let mut signals = Signals::listen()?;
        if args.tied {
            signals = signals.until_input_ends();
        }
        let app = tokio::select! {
            app = App::build(config, environment) => app?,
            () = signals.next() => return Ok(()),
        };
        if args.tied {
            output::line(&format!("http://{}", app.address()))?;
        }
        app.run(signals).await
    });
    // What blocks for longer than a graceful stop allows does not hold the process up.
    runtime.shutdown_background();
    done
}
