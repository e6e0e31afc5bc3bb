//! Speaks S3: buckets and their objects for clients of S3, over the use cases of core.
//!
//! s3s reads requests, verifies signatures and writes XML; [`S3Server`] listens, holds clients to limits and refuses what
//! s3s would let pass; the modules here do what is asked. Who may do what is decided by
//! [`flagbase_core::buckets::Buckets::granted`], and nowhere else.

mod access;
mod advice;
mod blobs;
mod bucket;
mod canned;
mod checksums;
mod conditions;
mod copying;
mod cors;
mod deleting;
mod framing;
mod front;
mod guest;
mod heads;
mod hygiene;
mod lifecycle;
mod listener;
mod listing;
mod multipart;
mod operations;
mod parts;
mod reading;
mod refusals;
mod settings;
mod tagging;
mod times;
mod writing;

use std::sync::Arc;

use flagbase_core::buckets::{Act, Bucket, Buckets, Granted};
use s3s::S3Result;

use crate::s3_parts::{AccessKeys, S3Limits, S3Options, S3Parts};
use guest::Guest;
pub use listener::S3Server;
use refusals::refused;

/// Does what requests ask.
#[derive(Clone)]
pub(crate) struct Facade {
    buckets: Arc<Buckets>,
    region: Arc<str>,
}

impl Facade {
    /// The bucket called `name` when the guest may do `act` there, and why.
    fn granted(&self, guest: &Guest, name: &str, act: Act<'_>) -> S3Result<(Arc<Bucket>, Granted)> {
        self.buckets.granted(&guest.visitor(), name, act).map_err(refused)
    }

    /// The bucket called `name` when the guest may do `act` there.
    fn admit(&self, guest: &Guest, name: &str, act: Act<'_>) -> S3Result<Arc<Bucket>> {
        self.granted(guest, name, act).map(|(bucket, _)| bucket)
    }
}
