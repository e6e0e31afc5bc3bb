//! Which uploads are under way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::place::Place;
use super::transfer::unreadable;
use crate::cli::client::Client;
use crate::cli::credentials::Credentials;
use crate::exit::Outcome;

/// Where it is remembered which uploads are under way, so that the next run of a command goes on with them.
pub(super) struct Mark {
    path: PathBuf,
    name: String,
}

impl Mark {
    /// The mark of a file, as it is now, on its way to an object.
    pub(super) fn of(client: &Client, (file, size): (&Path, u64), to: &Place) -> Outcome<Self> {
        let path = Credentials::path()?.with_file_name("uploads.json");
        let known = std::fs::metadata(file).and_then(|known| known.modified());
        let changed = known.map_err(|error| unreadable(file, &error))?;
        let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let file = std::fs::canonicalize(file).map_err(|error| unreadable(file, &error))?;
        let environment = client.environment().unwrap_or_default();
        let name = format!("{} {environment} {to} {} {size} {changed}", client.server(), file.display());
        Ok(Self { path, name })
    }

    fn all(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(super) fn known(&self) -> Option<String> {
        self.all().remove(&self.name)
    }

    /// Remembers where the upload is, or forgets it. Not being able to costs a resumption only.
    pub(super) fn keep(&self, location: Option<&str>) {
        let mut all = self.all();
        match location {
            Some(location) => drop(all.insert(self.name.clone(), location.to_owned())),
            None if all.remove(&self.name).is_none() => return,
            None => {}
        }
        let written = self.path.parent().map(std::fs::create_dir_all).transpose();
        if written.is_ok() {
            let text = serde_json::to_string_pretty(&all).unwrap_or_default();
            drop(crate::private_file::write(&self.path, text.as_bytes()));
        }
    }
}
