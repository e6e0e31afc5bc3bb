//! The code of a version: what was uploaded, under its digest.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of what was uploaded; written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| format!("`{text}` is no digest; expected `sha256:` and 64 hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

/// What was uploaded.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The name of the file, such as `hello.js`; says which language a source is in. May be empty.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Their digest.
    pub digest: Digest,
}

impl Artifact {
    /// `bytes`, uploaded as `name`.
    pub fn new(name: &str, bytes: Bytes) -> Self {
        Self { name: name.to_owned(), digest: Digest::of(&bytes), bytes }
    }
}

/// What kind of code a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A component that exports interfaces of `flagbase:faas`.
    Component,
    /// A component that exports `wasi:http/incoming-handler@0.2`.
    Http,
    /// A WASI preview 1 command: the request on standard input and in the environment, the answer on standard output,
    /// as CGI (RFC 3875).
    Command,
    /// JavaScript or TypeScript source.
    JavaScript,
    /// A static executable for Linux, for microVMs.
    Binary,
}

/// What was found out about code when it was prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// What kind of code it is.
    pub shape: Shape,
    /// Whether it answers requests, takes events, runs on schedules.
    pub serves: Vec<Serves>,
    /// Interfaces it imports, such as `flagbase:faas/keyvalue`; sorted.
    pub imports: Vec<String>,
}

/// What a version can be called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Serves {
    /// HTTP requests.
    Requests,
    /// Events of the bus and of buckets.
    Events,
    /// Schedules.
    Schedules,
}
