//! Keeps blobs: the adapters of `Blobs`.
//!
//! [`Files`] keeps them in a directory.
#![forbid(unsafe_code)]

mod files;

pub use files::Files;
