//! Keeps blobs: the adapters of `Blobs`.
//!
//! [`Files`] keeps them in a directory. With the feature `s3`, `S3Server` speaks S3 to clients.
#![forbid(unsafe_code)]

mod files;
#[cfg(feature = "s3")]
mod s3;
#[cfg(not(feature = "s3"))]
mod s3_absent;
mod s3_parts;

pub use files::Files;
#[cfg(feature = "s3")]
pub use s3::S3Server;
#[cfg(not(feature = "s3"))]
pub use s3_absent::S3Server;
pub use s3_parts::{AccessKey, AccessKeys, NotBuiltIn, S3Limits, S3Options, S3Parts};
