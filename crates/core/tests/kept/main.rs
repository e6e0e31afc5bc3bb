//! What functions keep, on the fakes: secrets and objects.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;

use flagbase_core::{
    buckets::{Buckets, BucketsParts, Signer},
    caller::{Caller, Principal},
    catalog::{Actor, Catalog as _, Change, DocumentId, Draft, Expect, Kind, Write},
    environments::{EnvironmentKind, Environments},
    feed::Feed,
    flags::Asked,
    functions::{
        Definition,
        vault::{Keyring, Secrets},
    },
};
use flagbase_testkit::{FixedClock, Memory, MemoryBlobs, SeededRandom};
use serde_json::Value;

mod objects;
mod secrets;
mod upkeep;
mod uploads;
mod versions;

const KEY: &str = "0123456789abcdef0123456789abcdef";

struct Product {
    memory: Memory,
    feed: Arc<Feed>,
    clock: FixedClock,
    blobs: MemoryBlobs,
    buckets: Buckets,
    secrets: Secrets,
}

async fn product() -> Product {
    let (memory, clock) = (Memory::new(), FixedClock::default());
    let (time, random) = (Arc::new(clock.clone()), Arc::new(SeededRandom::new(1)));
    let feed = Arc::new(Feed::open(Arc::new(memory.clone()), time, random).await.unwrap());
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let blobs = MemoryBlobs::new();
    let buckets = Buckets::new(BucketsParts {
        feed: Arc::clone(&feed),
        index: Arc::new(memory.clone()),
        uploads: Arc::new(memory.clone()),
        blobs: Arc::new(blobs.clone()),
        signer: Signer::new(b"a secret of tests"),
    });
    let product = Product { secrets: secrets_with(&memory, &feed, KEY), memory, feed, clock, blobs, buckets };
    for name in ["hello", "other"] {
        product.write(&function(name), Expect::Absent, Write::Put(Definition::named(name).to_json())).await;
    }
    product
}

fn secrets_with(memory: &Memory, feed: &Arc<Feed>, key: &str) -> Secrets {
    Secrets::new(Arc::clone(feed), Arc::new(memory.clone()), Keyring::of(key).unwrap())
}

impl Product {
    async fn write(&self, id: &DocumentId, expect: Expect, write: Write) {
        let verb = if matches!(write, Write::Delete) { "deleted" } else { "created" };
        let draft = Draft { id: id.clone(), verb, expect, write, detail: Value::Null };
        self.feed.edit().await.commit(Actor::system(), "", vec![draft]).await.unwrap();
    }

    /// The changes of a document, oldest first.
    async fn changes(&self, id: &DocumentId) -> Vec<Change> {
        let mut changes = self.memory.history(id, None, 99).await.unwrap();
        changes.reverse();
        changes
    }
}

fn function(name: &str) -> DocumentId {
    DocumentId::new(Kind::Function, "default", name)
}

fn person(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: "u1".into(),
        email: "alice@example.com".into(),
        role: role.into(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn asked(caller: &Caller) -> Asked<'_> {
    Asked { caller, environment: "default", reason: "because" }
}
