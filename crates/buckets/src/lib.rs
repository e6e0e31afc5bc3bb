//! Keeps blobs: bytes under opaque ids, on the local file system.
#![forbid(unsafe_code)]
