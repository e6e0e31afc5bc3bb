//! Noticing that files change, by looking at them: works on every file system, also on those mounted from elsewhere.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Local;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Files looked at, at most: a directory with more is not one function.
const MOST_FILES: usize = 5_000;

/// Directories whose content is made by tools.
const MADE: [&str; 4] = ["node_modules", "target", "__pycache__", "build"];

/// Files and directories, and how they looked last.
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    /// What the build makes: it changes because of us.
    made: PathBuf,
    is_built: bool,
    last: Vec<(PathBuf, Option<SystemTime>, u64)>,
}

impl Watch {
    /// Over what `local` is made from, as it is now.
    pub(super) fn over(local: &Local) -> Self {
        let is_built = !local.build.is_empty();
        let mut watch =
            Self { paths: local.watch.clone(), made: local.file.clone(), is_built, last: Vec::new() };
        watch.last = watch.look();
        watch
    }

    /// Resolves when something is not as it was.
    pub(super) async fn changed(&mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.look();
            if now != self.last {
                self.last = now;
                return;
            }
        }
    }

    fn look(&self) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
        let mut seen = Vec::new();
        let mut left = self.paths.clone();
        while let Some(path) = left.pop().filter(|_| seen.len() < MOST_FILES) {
            let Ok(about) = path.metadata() else { continue };
            if about.is_dir() {
                let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
                left.extend(entries.map(|entry| entry.path()).filter(|path| !is_made(path)));
            } else if !(self.is_built && path == self.made) {
                seen.push((path, about.modified().ok(), about.len()));
            }
        }
        seen.sort();
        seen
    }
}

fn is_made(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with('.') || MADE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_and_what_tools_make_is_not() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("a.c"), "1").unwrap();
        let local = Local {
            name: "a".into(),
            directory: place.path().into(),
            file: at("a.wasm"),
            build: vec!["make".into()],
            watch: vec![place.path().into()],
            settings: None,
        };
        let watch = Watch::over(&local);
        std::fs::write(at("a.wasm"), "made").unwrap();
        std::fs::create_dir(at("node_modules")).unwrap();
        std::fs::write(at("node_modules/x.js"), "made").unwrap();
        assert_eq!(watch.look(), watch.last);
        std::fs::write(at("a.c"), "22").unwrap();
        assert_ne!(watch.look(), watch.last);
    }
}
