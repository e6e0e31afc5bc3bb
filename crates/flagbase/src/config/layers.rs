//! The layers a configuration is made of, each a figment provider that knows its name.

use std::path::Path;

use figment::value::{Dict, Empty, Map, Tag, Value};
use figment::{Metadata, Profile, Provider};
use miette::SourceSpan;

use super::keys::{self, Key};
use super::{Environment, Problem};

/// Values from one place.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// Where the values came from, in words for people.
    pub(crate) origin: String,
    pub(crate) values: Dict,
    /// For files: the text, to point at mistakes.
    text: Option<String>,
}

/// A value given by a command-line flag.
#[derive(Debug, Clone)]
pub(crate) struct FlagValue {
    /// Such as `server.port`.
    pub(crate) key: &'static str,
    /// Such as `--port`.
    pub(crate) flag: &'static str,
    pub(crate) value: Value,
}

impl Layer {
    /// Values that are part of the program.
    pub(crate) fn built_in(origin: &str, text: &str) -> Result<Self, Problem> {
        let values = parse_yaml(text).map_err(|error| Problem::new(format!("{origin}: {error}")))?;
        Ok(Self { origin: origin.to_owned(), values, text: None })
    }

    /// A YAML file; `None` when it does not exist.
    pub(crate) fn file(path: &Path) -> Result<Option<Self>, Problem> {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let problem = Problem::new(format!("`{name}` cannot be read: {error}"));
                return Err(problem.help("make it readable, or remove it"));
            }
        };
        let values = parse_yaml(&text).map_err(|error| {
            Problem::new(format!("`{name}` is not a valid YAML mapping: {error}"))
                .help("`flagbase config print --defaults` shows what a file may contain")
        })?;
        let values = without_nulls(values);
        Ok(Some(Self { origin: format!("file `{name}`"), values, text: Some(text) }))
    }

    /// One layer per environment variable, so that each value can name its own.
    ///
    /// Only names with `__`, and `FLAGBASE_MODE`, are keys: container platforms set variables such as
    /// `FLAGBASE_PORT` for a service that happens to be called `flagbase`. An empty variable counts as not set when its
    /// key takes any text, because that is what `FLAGBASE_X=${X:-}` means; for other keys it is left for the type check.
    pub(crate) fn variables(environment: &Environment) -> Vec<Self> {
        environment
            .iter()
            .filter_map(|(name, value)| {
                let rest = name.strip_prefix("FLAGBASE_")?;
                let is_key = rest.contains("__") || rest == "MODE";
                let path = rest.to_ascii_lowercase().replace("__", ".");
                let unset = value.is_empty() && keys::find(&path).is_some_and(Key::takes_any_text);
                (is_key && !unset).then(|| {
                    let value = typed(keys::find(&path), value);
                    let origin = format!("environment variable `{name}`");
                    Self { origin, values: nested(&path, value), text: None }
                })
            })
            .collect()
    }

    /// A value given on the command line.
    pub(crate) fn flag(given: &FlagValue) -> Self {
        Self {
            origin: format!("flag `{}`", given.flag),
            values: nested(given.key, given.value.clone()),
            text: None,
        }
    }

    /// Reads `…_file` keys into the secrets they stand for, within this layer: a later layer may still replace them.
    pub(crate) fn read_secret_files(&mut self, problems: &mut Vec<Problem>) {
        for secret in keys::keys().iter().filter(|key| key.is_secret()) {
            let file_key = format!("{}_file", secret.path);
            let named = find(&self.values, &file_key).and_then(Value::as_str).map(str::to_owned);
            let Some(file) = named else { continue };
            if find(&self.values, &secret.path).is_some() {
                let message = format!("{} sets both `{}` and `{file_key}`", self.origin, secret.path);
                problems.push(self.locate(Problem::new(message).help("keep one of the two"), &file_key));
                continue;
            }
            match std::fs::read_to_string(&file) {
                Ok(text) => {
                    let value = Value::from(text.trim_end_matches(['\r', '\n']));
                    insert(&mut self.values, &secret.path, value);
                    self.origin = format!("file `{file}`, named by {}", self.origin);
                }
                Err(error) => {
                    let message = format!("`{file_key}` names `{file}`, which cannot be read: {error}");
                    problems.push(self.locate(Problem::new(message), &file_key));
                }
            }
        }
    }

    /// A problem for every key that does not exist.
    pub(crate) fn unknown_keys(&self) -> Vec<(String, Problem)> {
        keys::leaves(&self.values)
            .into_iter()
            .filter(|(path, _)| keys::find(path).is_none() && !is_section(path))
            .map(|(path, _)| {
                let problem = Problem::new(format!("unknown key `{path}` in {}", self.origin));
                let help = match keys::nearest(&path) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "`flagbase config print --defaults` lists every key".to_owned(),
                };
                let problem = self.locate(problem.help(help), &path);
                (path, problem)
            })
            .collect()
    }

    /// Takes a value out, so that what is left can be checked without it.
    pub(crate) fn remove(&mut self, path: &str) {
        remove(&mut self.values, path);
    }

    /// A layer of the same origin with this value alone.
    pub(crate) fn only(&self, path: &str) -> Option<Self> {
        let value = find(&self.values, path)?.clone();
        Some(Self { origin: self.origin.clone(), values: nested(path, value), text: None })
    }

    /// Points `problem` at `path` when this layer is a file that has it.
    pub(crate) fn locate(&self, problem: Problem, path: &str) -> Problem {
        match self.text.as_deref().and_then(|text| Some((text, span_of(text, path)?))) {
            Some((text, span)) => {
                let blank = keys::find(path).is_none_or(Key::is_secret);
                problem.at(&self.origin, text, span, blank)
            }
            None => problem,
        }
    }

    /// Whether this layer sets `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        find(&self.values, path).is_some()
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Reads a YAML mapping. Duplicate keys are an error; an empty document is an empty mapping.
pub(crate) fn parse_yaml(text: &str) -> Result<Dict, String> {
    // The YAML value type refuses duplicate keys, which figment's own would silently merge.
    let document: serde_norway::Value = serde_norway::from_str(text).map_err(|error| error.to_string())?;
    if document.is_null() {
        return Ok(Dict::new());
    }
    match Value::serialize(&document).map_err(|error| error.to_string())? {
        Value::Dict(_, dict) => Ok(dict),
        _ => Err("expected `section:` with `key: value` lines below it".to_owned()),
    }
}

/// A key without a value leaves the default alone.
fn without_nulls(dict: Dict) -> Dict {
    dict.into_iter()
        .filter_map(|(name, value)| match value {
            Value::Empty(_, Empty::None | Empty::Unit) => None,
            Value::Dict(tag, inner) => Some((name, Value::Dict(tag, without_nulls(inner)))),
            other => Some((name, other)),
        })
        .collect()
}

/// Reads the text of a variable as the kind of value its key takes; text that does not fit is left for the type check.
fn typed(key: Option<&Key>, text: &str) -> Value {
    let read = match key.map(|key| &key.default) {
        Some(Value::Num(..)) => text.parse::<i64>().ok().map(Value::from),
        Some(Value::Bool(..)) => text.parse::<bool>().ok().map(Value::from),
        Some(Value::Array(..)) if !text.trim().is_empty() => Some(list(text)),
        _ => None,
    };
    read.unwrap_or_else(|| Value::from(text))
}

/// `a, b` or `[a, b]`.
fn list(text: &str) -> Value {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let items = inner.split(',').map(|item| item.trim().trim_matches(['"', '\'']));
    Value::Array(Tag::Default, items.filter(|item| !item.is_empty()).map(Value::from).collect())
}

fn nested(path: &str, value: Value) -> Dict {
    let mut dict = Dict::new();
    insert(&mut dict, path, value);
    dict
}

fn insert(dict: &mut Dict, path: &str, value: Value) {
    let Some((section, rest)) = path.split_once('.') else {
        dict.insert(path.to_owned(), value);
        return;
    };
    let entry = dict.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = entry {
        insert(inner, rest, value);
    }
}

fn remove(dict: &mut Dict, path: &str) {
    match path.split_once('.') {
        None => {
            dict.remove(path);
        }
        Some((section, rest)) => {
            if let Some(Value::Dict(_, inner)) = dict.get_mut(section) {
                remove(inner, rest);
            }
        }
    }
}

fn find<'d>(dict: &'d Dict, path: &str) -> Option<&'d Value> {
    match path.split_once('.') {
        None => dict.get(path),
        Some((section, rest)) => match dict.get(section)? {
            Value::Dict(_, inner) => find(inner, rest),
            _ => None,
        },
    }
}

/// A section given a plain value is a wrong type, not an unknown key.
fn is_section(path: &str) -> bool {
    keys::keys().iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// Where `path` is written in block-style YAML: the line of its last name, below the lines of the others.
fn span_of(text: &str, path: &str) -> Option<SourceSpan> {
    let mut names = path.split('.').peekable();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let name = *names.peek()?;
        if trimmed.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':')) {
            names.next();
            if names.peek().is_none() {
                return Some((offset + line.len() - trimmed.len(), name.len()).into());
            }
        }
        offset += line.len();
    }
    None
}
