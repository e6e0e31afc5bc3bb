//! The contract of blobs, kept by a store that speaks S3.
//!
//! `S3_STORE` names the store as `storage.url` does: an address with an access key, of a bucket that may be written to.
//! `cargo xtask test --only s3` runs this before our own S3 and before moto.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod store;

flagbase_testkit::blobs_cases!(crate::store::fresh);
