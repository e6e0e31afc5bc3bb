//! `manifest.json` beside the code: how a function is started.

use serde::{Deserialize, Serialize};

/// The file's name in the archive.
pub const NAME: &str = "manifest.json";

/// How a function is started. Everything may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// Its name, for people.
    pub name: String,
    /// What is started: a file of the archive.
    pub entry: String,
    /// Arguments of the program.
    pub arguments: Vec<String>,
    /// How it takes calls.
    pub mode: Mode,
    /// The TCP port that `PORT` names, for [`Mode::Server`].
    pub port: u16,
    /// How long a server may take until it listens, in milliseconds.
    pub start_timeout_ms: u64,
    /// Whether a server is started at boot, before the machine knows who it is, so that a snapshot contains it.
    /// It finds variables and secrets in the file that `FLAGBASE_INIT` names, which is there before the first call.
    pub prestart: bool,
}

/// How a function takes calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It listens for HTTP/1.1 on the port in `PORT`, or on the Unix socket in `FLAGBASE_SOCKET`.
    #[default]
    Server,
    /// A process for each call, as CGI (RFC 3875).
    Cgi,
    /// A WASI command for each call: CGI too.
    Wasm,
}

impl Mode {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Cgi => "cgi",
            Self::Wasm => "wasm",
        }
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            name: String::new(),
            entry: "function".to_owned(),
            arguments: Vec::new(),
            mode: Mode::default(),
            port: 8080,
            start_timeout_ms: 5_000,
            prestart: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_manifest_is_a_server_on_port_8080() {
        let manifest: Manifest = serde_json::from_str("{}").unwrap();
        assert_eq!((manifest.mode, manifest.port, manifest.entry.as_str()), (Mode::Server, 8080, "function"));
        assert!(!manifest.prestart);
    }

    #[test]
    fn the_word_of_a_mode_is_what_the_file_says() {
        for mode in [Mode::Server, Mode::Cgi, Mode::Wasm] {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.word());
        }
    }
}
