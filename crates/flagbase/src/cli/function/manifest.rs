//! `function.yaml`: what a directory with a function in it says about itself.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::cli::document;
use crate::exit::{Failure, Outcome};

/// The name of the file.
pub(super) const FILE: &str = "function.yaml";

/// Files that are deployed as they are.
const SOURCES: [&str; 5] = ["js", "mjs", "ts", "mts", "wasm"];

/// What `function.yaml` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: Option<String>,
    file: PathBuf,
    #[serde(default)]
    build: Vec<String>,
    #[serde(default)]
    watch: Vec<PathBuf>,
    settings: Option<Value>,
}

/// A function on this machine.
#[derive(Debug, PartialEq)]
pub(super) struct Local {
    /// What it is called on the server.
    pub(super) name: String,
    /// Where its build commands run.
    pub(super) directory: PathBuf,
    /// What is deployed.
    pub(super) file: PathBuf,
    /// Commands of a shell that make that file; none for what is deployed as it is.
    pub(super) build: Vec<String>,
    /// Files and directories it is made from.
    pub(super) watch: Vec<PathBuf>,
    /// Settings that go with it.
    pub(super) settings: Option<Value>,
}

impl Local {
    /// The function at `path`: a file that can be deployed, or a directory with a `function.yaml`.
    pub(super) fn find(path: &Path, name: Option<&str>) -> Outcome<Self> {
        if path.is_file() && path.file_name().is_none_or(|file| file != FILE) {
            return Self::of_file(path, name);
        }
        let directory = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
        let file = directory.join(FILE);
        if !file.is_file() {
            let what = if path.exists() { format!("holds no `{FILE}`") } else { "does not exist".to_owned() };
            return Err(Failure::usage(format!("`{}` {what}", path.display())).hint(
                "name the file to deploy, such as `flagbase fn deploy hello.js`, or begin with `flagbase fn new hello`",
            ));
        }
        if !path.exists() {
            return Err(Failure::usage(format!("`{}` does not exist", path.display())).hint(format!(
                "`{}` is there: deploy the directory, `{}`",
                file.display(),
                shown(directory)
            )));
        }
        Self::of_manifest(directory, &file, name)
    }

    fn of_file(path: &Path, name: Option<&str>) -> Outcome<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        // A static executable for microVMs has no extension.
        if !extension.is_empty() && !SOURCES.contains(&extension) {
            return Err(Failure::usage(format!("`{}` cannot be deployed as it is", path.display())).hint(
                "JavaScript (.js, .mjs), TypeScript (.ts, .mts) and WebAssembly (.wasm) can; for other languages \
                 begin with `flagbase fn new NAME --lang python`",
            ));
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        Ok(Self {
            name: name.map_or_else(|| name_from(stem), |name| Ok(name.to_owned()))?,
            directory: path
                .parent()
                .filter(|at| !at.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
                .to_owned(),
            file: path.to_owned(),
            build: Vec::new(),
            watch: vec![path.to_owned()],
            settings: None,
        })
    }

    fn of_manifest(directory: &Path, file: &Path, name: Option<&str>) -> Outcome<Self> {
        let body = document::read(file)?;
        let manifest: Manifest = serde_json::from_value(body)
            .map_err(|error| Failure::usage(format!("`{}` makes no sense: {error}", file.display())))?;
        let stem = std::path::absolute(directory).ok();
        let stem =
            stem.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        let name = match name.or(manifest.name.as_deref()) {
            Some(name) => name.to_owned(),
            None => name_from(stem)?,
        };
        let watch = match manifest.watch.as_slice() {
            [] => vec![directory.to_owned()],
            some => some.iter().map(|path| directory.join(path)).collect(),
        };
        Ok(Self {
            name,
            directory: directory.to_owned(),
            file: directory.join(&manifest.file),
            build: manifest.build,
            watch,
            settings: manifest.settings,
        })
    }

    /// The bytes to deploy, and the name they go under.
    pub(super) fn code(&self) -> Outcome<(String, Vec<u8>)> {
        let bytes = std::fs::read(&self.file).map_err(|error| {
            let failure = Failure::usage(format!("`{}` cannot be read: {error}", self.file.display()));
            if self.build.is_empty() { failure } else { failure.hint("`flagbase fn build` makes it") }
        })?;
        if bytes.is_empty() {
            return Err(Failure::usage(format!("`{}` is empty", self.file.display())));
        }
        let name = self.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Ok((name.to_owned(), bytes))
    }
}

/// A directory as people write it.
fn shown(directory: &Path) -> String {
    if directory.as_os_str().is_empty() { ".".to_owned() } else { directory.display().to_string() }
}

/// A name that functions may have, from that of a file.
fn name_from(stem: &str) -> Outcome<String> {
    let name: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect::<String>()
        .trim_matches('-')
        .chars()
        .take(63)
        .collect();
    if name.is_empty() {
        return Err(Failure::usage("the function needs a name").hint("give it with --name"));
    }
    // Not changed in silence: another function may have that name.
    if name != stem {
        let message =
            format!("`{stem}` does not name a function: a name has lower-case letters, digits and `-`");
        return Err(
            Failure::usage(message).hint(format!("rename it, or name the function with --name {name}"))
        );
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_function_of_its_name() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("hello-world.js");
        std::fs::write(&file, "export default () => new Response()").unwrap();
        let local = Local::find(&file, None).unwrap();
        assert_eq!((local.name.as_str(), local.build.len()), ("hello-world", 0));
        assert_eq!(Local::find(&file, Some("other")).unwrap().name, "other");
        assert_eq!(local.code().unwrap().0, "hello-world.js");
        let file = place.path().join("Hello World.js");
        std::fs::write(&file, "export default () => new Response()").unwrap();
        let refused = Local::find(&file, None).unwrap_err().to_string();
        assert!(refused.contains("--name hello-world"), "{refused}");
    }

    #[test]
    fn a_directory_says_in_its_manifest_what_to_deploy() {
        let place = tempfile::tempdir().unwrap();
        let manifest =
            "name: greeter\nfile: out/greeter.wasm\nbuild: [make]\nwatch: [src]\nsettings: {warm: true}\n";
        std::fs::write(place.path().join(FILE), manifest).unwrap();
        let local = Local::find(place.path(), None).unwrap();
        assert_eq!(local.name, "greeter");
        assert_eq!(local.file, place.path().join("out/greeter.wasm"));
        assert_eq!(local.watch, [place.path().join("src")]);
        assert_eq!(local.settings, Some(serde_json::json!({"warm": true})));
        let failure = local.code().unwrap_err();
        assert!(failure.to_string().contains("flagbase fn build"), "{failure}");
    }

    #[test]
    fn the_manual_shows_a_manifest_that_can_be_used() {
        let page = include_str!("../../../../../docs/src/functions.md");
        let (_, rest) = page.split_once("```yaml\n").unwrap();
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(FILE), rest.split_once("```").unwrap().0).unwrap();
        let local = Local::find(place.path(), None).unwrap();
        assert_eq!((local.name.as_str(), local.build.len()), ("hello", 1));
        assert_eq!(local.settings.unwrap()["limits"]["timeout"], "5s");
    }

    #[test]
    fn what_cannot_be_deployed_says_what_can() {
        let place = tempfile::tempdir().unwrap();
        for (name, words) in [("app.py", "--lang python"), ("nothing.js", "does not exist")] {
            let file = place.path().join(name);
            if name == "app.py" {
                std::fs::write(&file, "").unwrap();
            }
            let failure = Local::find(&file, None).unwrap_err();
            assert!(failure.to_string().contains(words), "{failure}");
        }
        std::fs::write(place.path().join(FILE), "file: a.wasm\nbiuld: []\n").unwrap();
        let failure = Local::find(place.path(), None).unwrap_err();
        assert!(failure.to_string().contains("biuld"), "{failure}");
    }
}
