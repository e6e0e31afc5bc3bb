//! Where the code of functions and the contents of buckets are kept.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use flagbase_buckets::{Files, RemoteError};
use flagbase_core::blobs::Blobs;
use flagbase_core::tasks::Tasks;

use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};

/// The store that `storage.url` names, or else the directory `storage.base_path`.
///
/// # Errors
/// The address makes no sense or its kind of store is not built in; the directory cannot be made or read.
pub(crate) fn blobs(config: &Config, tasks: &Tasks) -> Outcome<Arc<dyn Blobs>> {
    match config.storage.url.reveal().trim() {
        "" => Ok(Arc::new(directory(&config.storage.base_path)?)),
        url => flagbase_buckets::remote(url, tasks).map_err(|error| unusable(&error)),
    }
}

/// Whether what is kept is kept somewhere else than in a directory of this machine.
pub(crate) fn is_remote(config: &Config) -> bool {
    !config.storage.url.reveal().trim().is_empty()
}

fn directory(base: &Path) -> Outcome<Files> {
    Files::open(base).map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Failure::plain(format!("`{}` cannot be used to store code and objects{cause}", base.display()))
            .hint("make it writable, or choose another directory with `storage.base_path`")
    })
}

fn unusable(error: &RemoteError) -> Failure {
    let failure = Failure::new(Exit::Configuration, error.to_string());
    match error.source() {
        Some(source) => failure.details(vec![source.to_string()]),
        None => failure,
    }
}
