//! How the contract suites are run against an adapter.

use std::{any::Any, fmt, sync::Arc};

use flagbase_core::{
    accounts::Accounts,
    buckets::{ObjectIndex, Uploads},
    catalog::Catalog,
    functions::{triggers::Occasions, vault::Vault},
    keyvalue::KeyValue,
    ledger::Ledger,
    webhooks::Deliveries,
};

/// A fresh, empty store to test, behind its ports.
pub struct Stores {
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// The accounts, which write to the same change log.
    pub accounts: Arc<dyn Accounts>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// What is sent to webhooks.
    pub deliveries: Arc<dyn Deliveries>,
    /// What functions keep.
    pub keyvalue: Arc<dyn KeyValue>,
    /// Their secrets.
    pub vault: Arc<dyn Vault>,
    /// Which objects there are.
    pub objects: Arc<dyn ObjectIndex>,
    /// What is on its way into buckets.
    pub uploads: Arc<dyn Uploads>,
    /// What waits for functions.
    pub occasions: Arc<dyn Occasions>,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Stores {
    /// The ports of `store`; `keep` (a temporary directory, say) lives as long as they are tested.
    pub fn of<S>(store: S, keep: impl Any + Send + Sync) -> Self
    where
        S: Catalog
            + Accounts
            + Ledger
            + Deliveries
            + KeyValue
            + Vault
            + ObjectIndex
            + Uploads
            + Occasions
            + 'static,
    {
        let store = Arc::new(store);
        Self {
            catalog: Arc::clone(&store) as _,
            accounts: Arc::clone(&store) as _,
            ledger: Arc::clone(&store) as _,
            deliveries: Arc::clone(&store) as _,
            keyvalue: Arc::clone(&store) as _,
            vault: Arc::clone(&store) as _,
            objects: Arc::clone(&store) as _,
            uploads: Arc::clone(&store) as _,
            occasions: store,
            _keep: Box::new(keep),
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}

/// Makes a module of tests per port, one test per rule of the contract.
///
/// `$fresh` names an `async fn() -> Stores` that gives an empty store, as seen from a module below the call:
/// `super::fresh`. The calling crate needs tokio with the features `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! store_contract {
    ($fresh:path) => {
        $crate::catalog_cases!($fresh);
        $crate::accounts_cases!($fresh);
        $crate::ledger_cases!($fresh);
        $crate::deliveries_cases!($fresh);
        $crate::keyvalue_cases!($fresh);
        $crate::vault_cases!($fresh);
        $crate::objects_cases!($fresh);
        $crate::uploads_cases!($fresh);
        $crate::occasions_cases!($fresh);

        $crate::model_cases!($fresh);
    };
}

/// One test per case of one suite.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_cases {
    ($fresh:path, $suite:ident, [$($case:ident),* $(,)?]) => {
        mod $suite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $crate::$suite::$case(&$fresh().await).await;
                }
            )*
        }
    };
}
