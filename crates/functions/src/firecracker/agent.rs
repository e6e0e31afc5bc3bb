//! The agent inside a guest: HTTP on vsock port 1024.
//!
//! Guests are not trusted: every answer has a limit of time and size.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::tasks::Tasks;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use parking_lot::Mutex;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::wire::{Answer, Wire, WireError};

/// Where the agent listens.
pub(super) const PORT: u32 = 1024;
/// The header in which the agent says that an answer is its own, and why.
pub(super) const FAULT: &str = "flagbase-fault";
/// More than any document of the agent.
const LARGEST_ANSWER: usize = 1 << 20;
/// Connections that are kept for the next call.
const KEPT: usize = 16;

/// Speaks to the agent of one guest.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    socket: PathBuf,
    tasks: Tasks,
    idle: Arc<Mutex<Vec<Wire>>>,
}

/// Why the agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the agent refused with status {0}: {1}")]
    Refused(u16, String),
    #[error("the agent's answer cannot be read: {0}")]
    Nonsense(String),
}

/// How a guest is.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Health {
    pub(super) state: State,
    /// Something when there is a function on its drive.
    #[serde(default)]
    pub(super) function: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) calls: Calls,
}

/// Where a guest is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It has its code and waits for an identity.
    Booted,
    /// It takes calls.
    Ready,
    /// It takes no more calls.
    Draining,
    /// It ends.
    Stopping,
}

/// The calls in a guest.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Calls {
    #[serde(default)]
    pub(super) running: u32,
}

/// Who a restored guest is from now on.
#[derive(Serialize)]
pub(super) struct Identity<'a> {
    pub(super) environment: &'a str,
    pub(super) function: &'a str,
    pub(super) version: u32,
    pub(super) instance: &'a str,
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) secrets: &'a BTreeMap<String, String>,
    /// Hexadecimal; never the same for two guests.
    pub(super) seed: String,
    /// Since 1970, UTC.
    pub(super) now_ms: i64,
    pub(super) limits: GuestLimits,
}

/// What one call may use, as far as the agent sees to it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct GuestLimits {
    pub(super) timeout_ms: u64,
    pub(super) request_body: u64,
    pub(super) response_body: u64,
    pub(super) log: u64,
    pub(super) concurrency: u32,
}

/// What was written in a guest since it was last asked.
#[derive(Debug, Deserialize)]
pub(super) struct Written {
    pub(super) lines: Vec<Line>,
    pub(super) next: u64,
    #[serde(default)]
    pub(super) lost: u64,
}

/// A line that was written in a guest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Line {
    pub(super) stream: String,
    #[serde(default)]
    pub(super) call: Option<String>,
    pub(super) text: String,
}

impl Agent {
    /// The agent of the guest whose vsock device is at `socket`.
    pub(super) fn new(socket: PathBuf, tasks: &Tasks) -> Self {
        Self { socket, tasks: tasks.clone(), idle: Arc::default() }
    }

    /// How the guest is.
    pub(super) async fn health(&self, within: Duration) -> Result<Health, AgentError> {
        self.ask(Method::GET, "/health", Vec::new(), within).await
    }

    /// Tells the guest who it is; its function runs when this returns.
    pub(super) async fn init(&self, identity: &Identity<'_>, within: Duration) -> Result<Health, AgentError> {
        let body = serde_json::to_vec(identity).map_err(|error| AgentError::Nonsense(error.to_string()))?;
        self.ask(Method::POST, "/init", body, within).await
    }

    /// Lets calls under way end; new ones are refused. Returns how many still run.
    pub(super) async fn drain(&self, within: Duration) -> Result<u32, AgentError> {
        let body = format!(r#"{{"within_ms":{}}}"#, within.as_millis()).into_bytes();
        // The guest counts the time; it gets a little more to tell.
        let limit = within + Duration::from_secs(1);
        let health: Health = self.ask(Method::POST, "/drain", body, limit).await?;
        Ok(health.calls.running)
    }

    /// Lines after `after`; waits for one for at most `wait`.
    pub(super) async fn lines(&self, after: u64, wait: Duration) -> Result<Written, AgentError> {
        let path = format!("/logs?after={after}&limit=500&wait_ms={}", wait.as_millis());
        self.ask(Method::GET, &path, Vec::new(), wait + Duration::from_secs(5)).await
    }

    /// Hands a call to the function. A connection that the guest has closed meanwhile is replaced once.
    pub(super) async fn call(&self, request: Request<Full<Bytes>>, most: usize) -> Result<Answer, WireError> {
        let reused = self.idle.lock().pop().filter(Wire::is_open);
        let mut request = request;
        if let Some(mut wire) = reused {
            match wire.try_exchange(request, most).await {
                Ok(answer) => return Ok(self.keep(wire, answer)),
                Err(failed) => match failed.unsent {
                    Some(unsent) => request = unsent,
                    None => return Err(failed.error),
                },
            }
        }
        let mut wire = Wire::connect_guest(&self.socket, PORT, &self.tasks).await?;
        let answer = wire.exchange(request, most).await?;
        Ok(self.keep(wire, answer))
    }

    fn keep(&self, wire: Wire, answer: Answer) -> Answer {
        let mut idle = self.idle.lock();
        if wire.is_open() && idle.len() < KEPT {
            idle.push(wire);
        }
        drop(idle);
        answer
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<T, AgentError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "agent")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| AgentError::Nonsense(error.to_string()))?;
        // A connection of its own: a long poll must not hold up a call.
        let answer = tokio::time::timeout(within, async {
            Wire::connect_guest(&self.socket, PORT, &self.tasks)
                .await?
                .exchange(request, LARGEST_ANSWER)
                .await
        });
        let answer = answer.await.unwrap_or(Err(WireError::TooSlow(within)))?;
        if answer.status != StatusCode::OK {
            let sentence = String::from_utf8_lossy(&answer.body).chars().take(500).collect();
            return Err(AgentError::Refused(answer.status.as_u16(), sentence));
        }
        serde_json::from_slice(&answer.body).map_err(|error| AgentError::Nonsense(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_health_of_a_guest_is_read_however_much_it_says() {
        let body = r#"{"state":"booted","agent":"0.1.0","protocol":1,"kernel":"6.1","uptime_ms":12,
            "function":{"digest":"sha256:00","mode":"server","running":true,"starts":1,"last_exit":null},
            "calls":{"running":0,"total":0,"failed":0}}"#;
        let health: Health = serde_json::from_str(body).unwrap();
        assert_eq!(health.state, State::Booted);
        assert!(health.function.is_some());
        let bare: Health = serde_json::from_str(r#"{"state":"draining","function":null}"#).unwrap();
        assert_eq!((bare.state, bare.calls.running), (State::Draining, 0));
        assert!(bare.function.is_none());
    }

    #[test]
    fn lines_of_the_agent_and_of_calls_are_told_apart() {
        let body = r#"{"lines":[{"seq":1,"time_ms":5,"stream":"stdout","call":"c-1","text":"hi"},
            {"seq":2,"time_ms":6,"stream":"agent","call":null,"text":"up"}],"next":2,"lost":3}"#;
        let lines: Written = serde_json::from_str(body).unwrap();
        assert_eq!((lines.next, lines.lost), (2, 3));
        assert_eq!(lines.lines[0].call.as_deref(), Some("c-1"));
        assert_eq!(lines.lines[1].call, None);
    }

    #[test]
    fn an_identity_is_written_as_the_agent_reads_it() {
        let none = BTreeMap::new();
        let limits = GuestLimits { timeout_ms: 1, request_body: 2, response_body: 3, log: 4, concurrency: 5 };
        let identity = Identity {
            environment: "production",
            function: "hello",
            version: 2,
            instance: "vm-1",
            variables: &BTreeMap::from([("GREETING".to_owned(), "hi".to_owned())]),
            secrets: &none,
            seed: "00ff".to_owned(),
            now_ms: 1_764_000_000_000,
            limits,
        };
        let json = serde_json::to_value(&identity).unwrap();
        assert_eq!(json["variables"]["GREETING"], "hi");
        assert_eq!(json["limits"]["concurrency"], 5);
        assert_eq!(json["now_ms"], 1_764_000_000_000_i64);
    }
}
