//! Buckets: objects under keys that people choose, in blobs under names that are ours.

mod index;

pub use index::{IndexError, Object, ObjectIndex, Replaced, Usage};
