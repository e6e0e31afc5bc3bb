//! All stores in memory: simple, strict, gone with the process.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use flagbase_core::{
    accounts::{Invitation, Session, User},
    catalog::{Change, Document, DocumentId},
    ledger::{RecordedEvent, Resolution, Series, Totals},
};
use parking_lot::Mutex;
use serde_json::Value;

mod accounts;
mod catalog;
mod deliveries;
mod kept;
mod ledger;
mod objects;
mod occasions;
mod uploads;

/// All ports of state in memory. Clones share what is stored.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

/// [`Memory`] where only a catalog is asked for.
pub type MemoryCatalog = Memory;
/// [`Memory`] where only accounts are asked for.
pub type MemoryAccounts = Memory;
/// [`Memory`] where only a ledger is asked for.
pub type MemoryLedger = Memory;

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Debug, Default)]
struct State {
    log: Log,
    people: People,
    measured: Measured,
    sent: deliveries::Sent,
    kept: kept::Kept,
    waiting: occasions::Waiting,
}

#[derive(Debug, Default)]
struct Log {
    documents: BTreeMap<DocumentId, Document>,
    /// The change of revision `n` is at `n - 1`.
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Default)]
struct People {
    users: BTreeMap<Arc<str>, User>,
    sessions: BTreeMap<Arc<str>, Session>,
    invitations: BTreeMap<String, Invitation>,
}

#[derive(Debug, Default)]
struct Measured {
    events: Vec<RecordedEvent>,
    known: HashSet<(Arc<str>, String)>,
    rollups: BTreeMap<(Resolution, i64, Series), Totals>,
    notes: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use crate::Stores;

    async fn fresh() -> Stores {
        std::future::ready(Stores::of(Memory::new(), ())).await
    }

    crate::store_contract!(super::fresh);
}
