//! Keeps blobs: the adapters of `Blobs`.
//!
//! [`Files`] keeps them in a directory; with the feature `remote`, [`remote`] keeps them in an S3-compatible store. With the
//! feature `s3`, `S3Server` speaks S3 to clients.
#![forbid(unsafe_code)]

mod files;
mod probe;
#[cfg(feature = "remote")]
mod remote;
#[cfg(not(feature = "remote"))]
mod remote_absent;
mod remote_errors;
#[cfg(feature = "s3")]
mod s3;
#[cfg(not(feature = "s3"))]
mod s3_absent;
mod s3_parts;

pub use files::Files;
pub use probe::probe;
#[cfg(feature = "remote")]
pub use remote::remote;
#[cfg(not(feature = "remote"))]
pub use remote_absent::remote;
pub use remote_errors::RemoteError;
#[cfg(feature = "s3")]
pub use s3::S3Server;
#[cfg(not(feature = "s3"))]
pub use s3_absent::S3Server;
pub use s3_parts::{AccessKey, AccessKeys, NotBuiltIn, S3Limits, S3Options, S3Parts};
