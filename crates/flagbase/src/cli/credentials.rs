//! Remembered sessions: one per server, in a file only its owner can read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};

use crate::exit::{Failure, Outcome};
use crate::private_file;

/// What is remembered between commands.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The server commands talk to when none is named.
    pub(crate) current: Option<String>,
    /// Token and email by server address.
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, Login>,
}

/// A session on one server.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) token: String,
    /// Who, for messages; empty for API keys.
    #[serde(default)]
    pub(crate) email: String,
}

impl Credentials {
    /// Where they are kept: `flagbase/credentials.json` in the configuration directory of this user.
    pub(crate) fn path() -> Outcome<PathBuf> {
        let base = etcetera::choose_base_strategy()
            .map_err(|error| Failure::plain(format!("there is no home directory: {error}")))?;
        Ok(base.config_dir().join("flagbase").join("credentials.json"))
    }

    /// Reads them; none are remembered when there is no file.
    pub(crate) fn load(path: &Path) -> Outcome<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(Failure::plain(format!("`{}` cannot be read: {error}", path.display())));
            }
        };
        serde_json::from_str(&text).map_err(|error| {
            Failure::plain(format!("`{}` is damaged: {error}", path.display()))
                .hint("remove it and log in again")
        })
    }

    /// Writes them with mode 0600.
    pub(crate) fn save(&self, path: &Path) -> Outcome {
        let cannot = |error: std::io::Error| {
            Failure::plain(format!("`{}` cannot be written: {error}", path.display()))
        };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(cannot)?;
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::plain(format!("cannot remember the session: {error}")))?;
        private_file::write(path, text.as_bytes()).map_err(cannot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_remembered_privately_and_per_server() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("flagbase/credentials.json");
        let mut credentials = Credentials::load(&path).unwrap();
        let login = Login { token: "t".into(), email: "alice@example.com".into() };
        credentials.servers.insert("http://a.example.com".into(), login);
        credentials.current = Some("http://a.example.com".into());
        credentials.save(&path).unwrap();
        assert!(!private_file::is_exposed(&path).unwrap());
        let again = Credentials::load(&path).unwrap();
        assert_eq!(again.servers["http://a.example.com"].email, "alice@example.com");
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("credentials.json");
        std::fs::write(&path, "{").unwrap();
        let failure = Credentials::load(&path).map(|_| ()).unwrap_err();
        assert!(failure.to_string().contains("log in again"), "{failure}");
    }
}
