//! `cargo xtask tidy`: the house rules that no compiler knows.
//!
//! Each rule is a function from what it looks at to the list of what it found, so that it is tested on
//! a few lines of text; only [`check`] touches the disk.

mod edges;
mod layout;
mod links;
mod sizes;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Directories that hold no source of ours.
const SKIPPED: [&str; 6] = [".git", "target", "node_modules", "data", "book", "dist"];
/// Beyond this a file is data, not something people wrote.
const LARGEST_TEXT: u64 = 2 * 1024 * 1024;

/// One text file: its path from the root, with `/`, and what is in it.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }
}

/// Loads the workspace and checks it.
pub(crate) fn run() -> Result<()> {
    check(&Workspace::load()?)
}

/// Prints every finding and fails when there is one.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let sources = sources(workspace)?;
    let figures = sizes::Figures::of(&sources);
    println!("{figures}");
    let mut findings = figures.findings();
    findings.extend(edges::findings(&workspace.edges()));
    findings.extend(layout::findings(&sources, &roots(workspace)));
    findings.extend(words::findings(&sources));
    findings.extend(links::findings(&sources, &|path| workspace.root.join(path).exists()));
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("1 finding"),
        count => bail!("{count} findings"),
    }
}

/// The file each member starts with.
fn roots(workspace: &Workspace) -> Vec<String> {
    let targets = workspace.packages.iter().flat_map(|package| &package.targets);
    targets
        .filter(|target| target.kind.iter().any(|kind| kind == "lib" || kind == "bin"))
        .map(|target| slashed(workspace.relative(&target.src_path)))
        .collect()
}

fn sources(workspace: &Workspace) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    walk(&workspace.root, &mut paths)?;
    paths.sort();
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = fs::read(&path).with_context(|| format!("read `{}`", path.display()))?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: slashed(workspace.relative(&path)), text });
        }
    }
    Ok(sources)
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("list `{}`", directory.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list `{}`", directory.display()))?;
        // A file that vanishes between listing and looking was somebody's temporary file.
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else {
            continue;
        };
        let name = entry.file_name();
        if metadata.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
            walk(&entry.path(), found)?;
        } else if metadata.is_file() && metadata.len() <= LARGEST_TEXT {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_finds_this_very_file_and_nothing_that_was_built() {
        let workspace = Workspace::load().unwrap();
        let sources = sources(&workspace).unwrap();
        assert!(sources.iter().any(|source| source.path == "xtask/src/tidy.rs"));
        assert!(!sources.iter().any(|source| source.path.starts_with("target/")));
        assert!(!sources.iter().any(|source| source.path.starts_with(".git/")));
    }

    #[test]
    fn the_roots_of_the_members_are_known() {
        let workspace = Workspace::load().unwrap();
        let roots = roots(&workspace);
        assert!(roots.contains(&"xtask/src/main.rs".to_owned()), "{roots:?}");
        assert!(roots.contains(&"crates/engine/src/lib.rs".to_owned()), "{roots:?}");
    }
}
