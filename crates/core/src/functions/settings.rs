//! What a function may use, and how much of it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// What one call may use, and how many calls there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a call may take, with everything it waits for.
    pub timeout: Duration,
    /// Memory of one instance, in bytes.
    pub memory: u64,
    /// The body of a request, in bytes.
    pub request_body: u64,
    /// The body of a response, in bytes.
    pub response_body: u64,
    /// What one call may write to its log, in bytes; more is cut off.
    pub log: u64,
    /// Requests to the outside that one call may make.
    pub outbound_requests: u32,
    /// Calls at once, per node.
    pub concurrency: u32,
    /// Calls that may wait for one of those to end; what comes after is told to come later.
    pub queue: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            memory: 128 << 20,
            request_body: 10 << 20,
            response_body: 10 << 20,
            log: 64 << 10,
            outbound_requests: 32,
            concurrency: 64,
            queue: 256,
        }
    }
}

/// What a function may reach. Nothing, unless it is granted; context, configuration and its log are granted always.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Evaluating flags. Part of what everybody gets from the beginning.
    pub flags: bool,
    /// Names of key-value stores; `*` for all of the environment.
    pub keyvalue: Vec<String>,
    /// Names of buckets; `*` for all of the environment.
    pub buckets: Vec<String>,
    /// Subjects it may publish on, with the wildcards of NATS.
    pub publish: Vec<String>,
    /// Where it may send requests: `https://api.example.com`, `https://*.example.com`, `http://10.0.0.7:8080`.
    pub outbound: Vec<String>,
    /// Its own secrets.
    pub secrets: bool,
}

/// What a version runs with: everything of the function that is not its code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// How much it may use.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// Its variables.
    pub variables: BTreeMap<String, String>,
    /// Whether an instance may answer one request after the other. Never shared between functions or versions.
    pub warm: bool,
}
