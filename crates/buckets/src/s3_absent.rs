//! In place of the S3 façade where it is not built in.

use std::time::Duration;

use flagbase_core::tasks::Tasks;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::s3_parts::{NotBuiltIn, S3Parts};

/// Serves S3; there is none here.
#[derive(Debug, Clone, Copy)]
pub enum S3Server {}

impl S3Server {
    /// Says that this build does not speak S3.
    ///
    /// # Errors
    /// Always.
    pub fn new(_parts: S3Parts, _tasks: Tasks) -> Result<Self, NotBuiltIn> {
        Err(NotBuiltIn)
    }

    /// Never comes to that.
    #[expect(clippy::unused_async, reason = "the same as where S3 is built in")]
    pub async fn run(self, _listener: TcpListener, _stop: CancellationToken, _drain: Duration) -> bool {
        match self {}
    }
}
