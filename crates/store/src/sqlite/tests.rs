//! The contract, on a file.

use flagbase_testkit::{FixedClock, Stores, store_contract};
use tempfile::tempdir;

use super::*;

async fn fresh() -> Stores {
    let directory = tempdir().unwrap();
    let config = SqliteConfig::new(directory.path().join("flagbase.db"));
    let store = Sqlite::open(&config, &FixedClock::default()).unwrap();
    std::future::ready(Stores::of(store, directory)).await
}

store_contract!(super::fresh);
