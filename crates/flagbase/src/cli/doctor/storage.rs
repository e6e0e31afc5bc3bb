//! Where the code of functions and the contents of buckets are kept.

use std::error::Error;
use std::time::Duration;

use flagbase_core::blobs::BlobError;
use flagbase_core::clock::SystemClock;
use flagbase_core::random::{Random, SystemRandom};
use flagbase_core::tasks::Tasks;

use super::{Finding, functions::directory};
use crate::app::storage;
use crate::config::Config;

const CHECK: &str = "storage";

/// The longest a store may take for three small requests.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether code and objects can be kept: tried out where they are kept elsewhere.
pub(super) async fn check(config: &Config) -> Finding {
    if !storage::is_remote(config) {
        return directory(CHECK, &config.storage.base_path, "`storage.base_path`");
    }
    let tasks = Tasks::new();
    let blobs = match storage::blobs(config, &tasks) {
        Ok(blobs) => blobs,
        Err(failure) => return Finding::bad(CHECK, failure.to_string()),
    };
    let random: &dyn Random = &SystemRandom;
    let id = random.uuid7(&SystemClock).simple().to_string();
    let probed = tokio::time::timeout(PATIENCE, flagbase_buckets::probe(blobs.as_ref(), &id)).await;
    match probed {
        Ok(Ok(())) => {
            Finding::good(CHECK, "the store that `storage.url` names can be written, read and cleared")
        }
        Ok(Err(error)) => Finding::bad(CHECK, told(&error)),
        Err(_) => Finding::bad(CHECK, "the store that `storage.url` names does not answer in time"),
    }
}

fn told(error: &BlobError) -> String {
    // What a store answers is a page of XML; its first line says what is wrong.
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let cause: String = cause.lines().next().unwrap_or_default().chars().take(300).collect();
    format!("the store that `storage.url` names cannot be used: {error} ({cause})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_answers_is_told_in_one_line() {
        let error = BlobError::Unavailable("403 Forbidden\n<Error>much more</Error>".into());
        let told = told(&error);
        assert!(told.ends_with("(403 Forbidden)"), "{told}");
    }
}
