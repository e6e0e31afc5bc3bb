//! What every driver does.

use std::sync::Arc;

use flagbase_testkit::ComputeUnderTest;

use super::{guests, place::Place};

async fn fresh() -> ComputeUnderTest {
    let place = Place::new().await;
    let (wasm, blobs) = (Arc::clone(&place.wasm), Arc::clone(&place.blobs));
    ComputeUnderTest::new(wasm, blobs, |guest| Some(guests::contract(guest)), place)
}

flagbase_testkit::compute_cases!(super::fresh);
