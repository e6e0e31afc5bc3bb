//! The process environment, read once and passed on, so that tests need not touch the real one.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Variables and the working directory, as they were when the process began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// Where `./flagbase.yaml` is looked for.
    pub(crate) directory: PathBuf,
    /// Where the machine-wide file is looked for.
    pub(crate) etc: PathBuf,
}

impl Environment {
    /// The real environment. Variables that are not valid Unicode are left out: none of ours can be.
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables, directory: PathBuf::from("."), etc: PathBuf::from("/etc/flagbase") }
    }

    /// The value of a variable; an empty one counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every variable that is set, by name; also empty ones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
impl Environment {
    /// An environment for tests: nothing but these variables, and files looked for in `directory` alone.
    pub(crate) fn of(directory: &std::path::Path, variables: &[(&str, &str)]) -> Self {
        Self {
            variables: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            directory: directory.to_owned(),
            etc: directory.join("etc"),
        }
    }
}
