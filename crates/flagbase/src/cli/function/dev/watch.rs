//! Noticing that files change, by looking at them: works on every file system, also on those mounted from elsewhere.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Local;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How long files have to stay as they are: editors write some of them in several steps.
const REST: Duration = Duration::from_millis(100);

/// Files looked at, at most: a directory with more is not one function.
const MOST_FILES: usize = 5_000;

/// How often one waits for that: a file that never rests is taken as it is.
const MOST_RESTS: usize = 20;

/// Directories whose content is made by tools.
const MADE: [&str; 4] = ["node_modules", "target", "__pycache__", "build"];

/// How files look: when they were written, and how long they are.
type Look = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// What is not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// What the function is made from.
    Function,
    /// Only the file that says what flags give.
    Flags,
}

/// Files and directories, and how they looked last.
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    flags: Option<PathBuf>,
    /// What the build makes: it changes because of us.
    made: PathBuf,
    is_built: bool,
    last: Look,
}

impl Watch {
    /// Over what `local` is made from, and over a file of flags, as they are now.
    pub(super) fn over(local: &Local, flags: Option<&Path>) -> Self {
        let is_built = !local.build.is_empty();
        let mut paths = local.watch.clone();
        paths.extend(flags.map(Path::to_owned));
        let flags = flags.and_then(|file| file.canonicalize().ok());
        let mut watch = Self { paths, flags, made: local.file.clone(), is_built, last: Vec::new() };
        watch.last = watch.look();
        watch
    }

    /// Resolves when something is not as it was, and stays as it is for a moment.
    pub(super) async fn changed(&mut self) -> Changed {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut now = self.look();
            if now == self.last {
                continue;
            }
            for _ in 0..MOST_RESTS {
                tokio::time::sleep(REST).await;
                let next = self.look();
                if std::mem::replace(&mut now, next) == now {
                    break;
                }
            }
            let changed = self.what(&now);
            self.last = now;
            if let Some(changed) = changed {
                return changed;
            }
        }
    }

    /// What differs between then and now; nothing when it was changed and changed back.
    fn what(&self, now: &Look) -> Option<Changed> {
        let mut different = now
            .iter()
            .filter(|file| !self.last.contains(file))
            .chain(self.last.iter().filter(|file| !now.contains(file)))
            .peekable();
        different.peek()?;
        let is_flags = |path: &Path| {
            self.flags
                .as_ref()
                .is_some_and(|flags| path.file_name() == flags.file_name() && same(path, flags))
        };
        Some(if different.all(|(path, ..)| is_flags(path)) { Changed::Flags } else { Changed::Function })
    }

    fn look(&self) -> Look {
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
        seen.dedup();
        seen
    }
}

/// Whether a path leads to `file`, also when nothing is there at the moment.
fn same(path: &Path, file: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| path == file) || !path.exists()
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
        let watch = Watch::over(&local, None);
        std::fs::write(at("a.wasm"), "made").unwrap();
        std::fs::create_dir(at("node_modules")).unwrap();
        std::fs::write(at("node_modules/x.js"), "made").unwrap();
        assert_eq!(watch.look(), watch.last);
        std::fs::write(at("a.c"), "22").unwrap();
        assert_ne!(watch.look(), watch.last);
    }

    #[test]
    fn a_change_of_the_flags_alone_is_told_apart() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("a.js"), "1").unwrap();
        std::fs::write(at("flags.yaml"), "a: 1").unwrap();
        let local = Local {
            name: "a".into(),
            directory: place.path().into(),
            file: at("a.js"),
            build: Vec::new(),
            watch: vec![place.path().into()],
            settings: None,
        };
        let watch = Watch::over(&local, Some(&at("flags.yaml")));
        assert_eq!(watch.what(&watch.look()), None);
        std::fs::write(at("flags.yaml"), "a: 22").unwrap();
        assert_eq!(watch.what(&watch.look()), Some(Changed::Flags));
        std::fs::write(at("a.js"), "22").unwrap();
        assert_eq!(watch.what(&watch.look()), Some(Changed::Function));
    }
}
