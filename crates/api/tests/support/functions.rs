//! Functions on the fakes; what runs them knows the scripts of `FakeCompute`.

use std::sync::Arc;

use flagbase_core::{
    buckets::{Buckets, BucketsParts, Signer},
    feed::Feed,
    functions::{
        Functions, FunctionsParts, Logs, Runner, RunnerParts,
        triggers::Triggers,
        vault::{Keyring, Secrets},
    },
    metrics::Recorder,
};
use flagbase_testkit::{FixedClock, Memory, MemoryBlobs, SeededRandom, compute::FakeCompute};

pub(crate) const MOST_CODE: u64 = 1 << 10;

pub(crate) type All = (Arc<Functions>, Arc<Secrets>, Arc<Triggers>, Arc<Buckets>);

pub(crate) fn functions(memory: &Memory, feed: &Arc<Feed>, recorder: &Recorder) -> All {
    let (clock, blobs) = (Arc::new(FixedClock::default()), Arc::new(MemoryBlobs::default()));
    let runner = Runner::new(RunnerParts {
        compute: Arc::new(FakeCompute::new(blobs.clone())),
        logs: Arc::new(Logs::new(clock.clone())),
        meters: Arc::clone(recorder.meters()),
        ledger: Arc::new(memory.clone()),
        clock,
        random: Arc::new(SeededRandom::new(3)),
    });
    let (feed, runner) = (Arc::clone(feed), Arc::new(runner));
    let keyring = Keyring::of(&"k".repeat(32)).unwrap();
    let secrets = Secrets::new(Arc::clone(&feed), Arc::new(memory.clone()), keyring);
    let triggers = Triggers::new(Arc::clone(&feed), Arc::new(memory.clone()), Arc::clone(&runner), None);
    let buckets = Buckets::new(BucketsParts {
        feed: Arc::clone(&feed),
        index: Arc::new(memory.clone()),
        uploads: Arc::new(memory.clone()),
        blobs: blobs.clone(),
        signer: Signer::new(b"a secret of tests"),
    });
    let functions = Functions::new(FunctionsParts { feed, blobs, runner, most_code: MOST_CODE });
    (Arc::new(functions), Arc::new(secrets), triggers, Arc::new(buckets))
}
