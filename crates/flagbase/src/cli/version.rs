//! `flagbase version`.

use clap::Args;

use crate::exit::Outcome;
use crate::output;

/// The version, as the workspace gives it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Only the version number
    #[arg(short, long)]
    short: bool,
}

pub(crate) fn run(args: &VersionArgs) -> Outcome {
    if args.short {
        return output::line(VERSION);
    }
    output::line("flagbase")?;
    output::line(&format!("Version: {VERSION}"))?;
    output::line(&format!("Commit:  {}", env!("FLAGBASE_COMMIT")))?;
    output::line(&format!("Built:   {}", env!("FLAGBASE_BUILD_DATE")))
}
