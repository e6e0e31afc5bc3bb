//! What every `Compute` does.

use flagbase_testkit::compute::{ComputeUnderTest, Guest};

use super::*;

async fn opened(calls: u32) -> ComputeUnderTest {
    let blobs: Arc<dyn Blobs> = Arc::new(flagbase_testkit::blobs::MemoryBlobs::default());
    let home = TestHome { blobs: Some(Arc::clone(&blobs)), ..TestHome::default() };
    let mut place = Place::with(home);
    place.config.calls = calls;
    let driver = place.open().await;
    ComputeUnderTest::new(Arc::new(driver), blobs, move |guest| script(guest, calls), place)
}

fn script(guest: Guest, calls: u32) -> Option<Artifact> {
    let name = match guest {
        Guest::Garbage => return Some(Artifact::new("hello.sh", Bytes::from_static(b"#!/bin/sh\n"))),
        // There are no imports.
        Guest::Ungranted => return None,
        // A microVM takes one call after the other, unless it is told to take one.
        Guest::Count if calls > 1 => return None,
        other => format!("{other:?}").to_lowercase(),
    };
    Some(Artifact::new("hello", format!("guest={name}\n").into()))
}

async fn fresh() -> ComputeUnderTest {
    opened(10_000).await
}

async fn for_one_call() -> ComputeUnderTest {
    opened(1).await
}

flagbase_testkit::compute_cases!(super::fresh);

mod for_one_call_each {
    flagbase_testkit::contract_cases!(
        super::super::for_one_call,
        compute,
        [nothing_is_left_for_the_next_instance]
    );
}
