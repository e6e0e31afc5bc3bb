//! A client of Firecracker's API: one call, one connection to its Unix socket.

pub mod bodies;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use flagbase_core::tasks::Tasks;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::bodies::{
    Action, BootSource, Drive, Entropy, Instance, Logger, Machine, Metrics, Run, SnapshotCreate,
    SnapshotLoad, Vsock,
};
use super::wire::{Wire, WireError};

/// More than any answer that is asked for here.
const LARGEST_ANSWER: usize = 256 << 10;

/// Speaks to one Firecracker process.
#[derive(Debug, Clone)]
pub struct Api {
    socket: PathBuf,
    limit: Duration,
    tasks: Tasks,
}

/// Why Firecracker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It says why.
    #[error("firecracker refused `{call}` with status {status}: {fault_message}")]
    Refused {
        /// Method and path.
        call: String,
        /// Status of the answer.
        status: u16,
        /// In its words.
        fault_message: String,
    },
    /// It cannot be reached, or does not answer.
    #[error("firecracker did not answer `{call}`")]
    Unreachable {
        /// Method and path.
        call: String,
        /// Why.
        #[source]
        source: WireError,
    },
    /// It answered with something else than its description says.
    #[error("firecracker's answer to `{call}` cannot be read: {reason}")]
    Nonsense {
        /// Method and path.
        call: String,
        /// Why.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Refusal {
    fault_message: String,
}

#[derive(Deserialize)]
struct Version {
    firecracker_version: String,
}

impl Api {
    /// The API at `socket`; each call may take `limit`.
    pub fn new(socket: &Path, limit: Duration, tasks: &Tasks) -> Self {
        Self { socket: socket.to_owned(), limit, tasks: tasks.clone() }
    }

    /// Which instance this is, and in which state.
    pub async fn instance(&self) -> Result<Instance, ApiError> {
        self.read("/").await
    }

    /// Firecracker's version, such as `1.16.1`.
    pub async fn version(&self) -> Result<String, ApiError> {
        self.read::<Version>("/version").await.map(|version| version.firecracker_version)
    }

    /// Processors and memory.
    pub async fn machine(&self) -> Result<Machine, ApiError> {
        self.read("/machine-config").await
    }

    /// Everything that is configured, as JSON.
    pub async fn configuration(&self) -> Result<serde_json::Value, ApiError> {
        self.read("/vm/config").await
    }

    /// Sets processors and memory; before the start.
    pub async fn set_machine(&self, machine: &Machine) -> Result<(), ApiError> {
        self.put("/machine-config", machine).await
    }

    /// Sets the kernel; before the start.
    pub async fn set_boot_source(&self, source: &BootSource<'_>) -> Result<(), ApiError> {
        self.put("/boot-source", source).await
    }

    /// Adds a drive; before the start.
    pub async fn set_drive(&self, drive: &Drive<'_>) -> Result<(), ApiError> {
        self.put(&format!("/drives/{}", drive.drive_id), drive).await
    }

    /// Adds the vsock device; before the start, and once.
    pub async fn set_vsock(&self, vsock: &Vsock<'_>) -> Result<(), ApiError> {
        self.put("/vsock", vsock).await
    }

    /// Adds a source of random numbers; before the start.
    pub async fn set_entropy(&self) -> Result<(), ApiError> {
        self.put("/entropy", &Entropy {}).await
    }

    /// Says where Firecracker's own log goes.
    pub async fn set_logger(&self, logger: &Logger<'_>) -> Result<(), ApiError> {
        self.put("/logger", logger).await
    }

    /// Says where metrics go; before the start, and once.
    pub async fn set_metrics(&self, metrics: &Metrics<'_>) -> Result<(), ApiError> {
        self.put("/metrics", metrics).await
    }

    /// Starts the guest, and what else there is to do at once.
    pub async fn act(&self, action: Action) -> Result<(), ApiError> {
        self.put("/actions", &action).await
    }

    /// Lets the guest stand still or go on.
    pub async fn run(&self, run: Run) -> Result<(), ApiError> {
        self.call(Method::PATCH, "/vm", Some(&run)).await.map(drop)
    }

    /// Writes a snapshot of a guest that stands still.
    pub async fn create_snapshot(&self, snapshot: &SnapshotCreate<'_>) -> Result<(), ApiError> {
        self.put("/snapshot/create", snapshot).await
    }

    /// Takes up where a snapshot was made. A process whose load failed ends by itself.
    pub async fn load_snapshot(&self, snapshot: &SnapshotLoad<'_>) -> Result<(), ApiError> {
        self.put("/snapshot/load", snapshot).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.call::<()>(Method::GET, path, None).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ApiError::Nonsense { call: format!("GET {path}"), reason: error.to_string() })
    }

    async fn put(&self, path: &str, body: &impl Serialize) -> Result<(), ApiError> {
        self.call(Method::PUT, path, Some(body)).await.map(drop)
    }

    async fn call<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<Bytes, ApiError> {
        let call = format!("{method} {path}");
        let nonsense = |reason: String| ApiError::Nonsense { call: call.clone(), reason };
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| nonsense(error.to_string()))?,
            None => Vec::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| nonsense(error.to_string()))?;
        let answer = tokio::time::timeout(self.limit, async {
            Wire::connect(&self.socket, &self.tasks).await?.exchange(request, LARGEST_ANSWER).await
        });
        let answer = answer
            .await
            .unwrap_or(Err(WireError::TooSlow(self.limit)))
            .map_err(|source| ApiError::Unreachable { call: call.clone(), source })?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(answer.body),
            status => {
                Err(ApiError::Refused { call, status: status.as_u16(), fault_message: fault(&answer.body) })
            }
        }
    }
}

/// What it says is wrong, or the body as it is.
fn fault(body: &[u8]) -> String {
    serde_json::from_slice::<Refusal>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |refusal| refusal.fault_message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_firecracker_says_is_told() {
        assert_eq!(fault(br#"{"fault_message":"Machine config error: no."}"#), "Machine config error: no.");
        assert_eq!(fault(b"<html>"), "<html>");
    }

    #[tokio::test]
    async fn a_process_that_is_not_there_is_unreachable() {
        let api = Api::new(Path::new("/nowhere/api.socket"), Duration::from_secs(1), &Tasks::new());
        let error = api.version().await.unwrap_err();
        assert_eq!(error.to_string(), "firecracker did not answer `GET /version`");
    }
}
