//! From sources to a checked configuration that knows where each value came from.

use std::fmt;
use std::path::PathBuf;

use figment::Figment;
use figment::error::{Actual, Kind};

use super::layers::Layer;
use super::{
    Config, ConfigError, DEFAULTS, Environment, FlagValue, Problem, Secret, keys, misfits, validate,
};

/// Defaults that differ in `mode: cluster`.
const CLUSTER_DEFAULTS: &str = "iam: {registration: invite}\ngateway: {allow_loopback_upstreams: false}\n";

/// Where a configuration is read from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) environment: Environment,
    /// The file named by `--config`, which must exist.
    pub(crate) file: Option<PathBuf>,
    pub(crate) flags: Vec<FlagValue>,
}

/// A configuration that passed every check.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Things that are allowed but probably not meant.
    pub(crate) warnings: Vec<String>,
    figment: Figment,
}

impl Sources {
    /// Reads all layers and checks them.
    ///
    /// # Errors
    /// Every problem found: unreadable files, unknown keys, wrong types, values that make no sense together.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        let mut problems = Vec::new();
        let mut layers = self.layers(&mut problems);
        problems.extend(doubled(&self.environment));
        let wrong = misfits::take_out(&mut layers, &mut problems);
        let figment = merge(&layers).map_err(|problem| ConfigError { problems: vec![problem] })?;
        let config: Config = match figment.extract() {
            Ok(config) => config,
            Err(error) => {
                problems.extend(error.into_iter().map(|error| explain(&error, &layers)));
                return Err(ConfigError { problems });
            }
        };
        // A key whose value was taken out has a default now, about which nobody wants to hear.
        let found = validate::check(&config).into_iter().filter(|found| !wrong.contains(found.key));
        problems.extend(found.map(|found| point(found, &figment, &layers)));
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let mut warnings = misfits::near_misses(&self.environment);
        warnings.extend(validate::warnings(&config));
        Ok(Loaded { config, warnings, figment })
    }

    fn layers(&self, problems: &mut Vec<Problem>) -> Vec<Layer> {
        let mut layers = Vec::new();
        let defaults = [Layer::built_in("default", DEFAULTS)];
        layers.extend(defaults.into_iter().filter_map(|layer| keep(layer, problems)));
        let usual = [&self.environment.etc, &self.environment.directory];
        for path in usual.map(|directory| directory.join("flagbase.yaml")) {
            layers.extend(keep(Layer::file(&path), problems).flatten());
        }
        if let Some(path) = &self.file {
            match keep(Layer::file(path), problems) {
                Some(Some(layer)) => layers.push(layer),
                Some(None) => problems.push(
                    Problem::new(format!("there is no file `{}`", path.display()))
                        .help("check the path given by `--config`, or leave it out: no file is needed"),
                ),
                None => {}
            }
        }
        layers.extend(Layer::variables(&self.environment));
        layers.extend(self.flags.iter().map(Layer::flag));
        for layer in &mut layers {
            layer.read_secret_files(problems);
        }
        layers
    }
}

/// Without the layers, which hold secrets as plain text.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("config", &self.config)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// Where the value of `path` came from, in words.
    pub(crate) fn origin(&self, path: &str) -> String {
        let metadata = self.figment.find_metadata(path);
        metadata.map_or_else(|| "default".to_owned(), |metadata| metadata.name.to_string())
    }

    /// The value of `path` as it may be shown: secrets are redacted.
    pub(crate) fn shown(&self, key: &keys::Key) -> serde_json::Value {
        let value = self.figment.find_value(&key.path).ok();
        match value.as_ref().map(serde_json::to_value) {
            Some(Ok(serde_json::Value::Null) | Err(_)) | None => serde_json::Value::Null,
            Some(Ok(value)) if key.is_secret() && value != "" => Secret::REDACTED.into(),
            Some(Ok(value)) => value,
        }
    }
}

fn keep<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// A variable and the one that names a file for the same value: the order of variables says nothing about which counts.
fn doubled(environment: &Environment) -> Vec<Problem> {
    let secrets = keys::keys().iter().filter(|key| key.is_secret()).map(keys::Key::variable);
    let both = secrets
        .filter(|name| environment.get(name).is_some() && environment.get(&format!("{name}_FILE")).is_some());
    both.map(|name| {
        Problem::new(format!("`{name}` and `{name}_FILE` are both set")).help("keep one of the two")
    })
    .collect()
}

fn merge(layers: &[Layer]) -> Result<Figment, Problem> {
    let merged = layers.iter().cloned().fold(Figment::new(), Figment::merge);
    let cluster = merged.extract_inner::<String>("mode").is_ok_and(|mode| mode == "cluster");
    if !cluster {
        return Ok(merged);
    }
    let (defaults, rest) = layers.split_at(layers.len().min(1));
    let cluster = Layer::built_in("default in cluster mode", CLUSTER_DEFAULTS)?;
    let below = defaults.iter().cloned().fold(Figment::new(), Figment::merge).merge(cluster);
    Ok(rest.iter().cloned().fold(below, Figment::merge))
}

/// Says what was expected, what came and from where.
pub(super) fn explain(error: &figment::Error, layers: &[Layer]) -> Problem {
    // The place within a list says less than the list.
    let names = error.path.iter().filter(|name| name.parse::<usize>().is_err());
    let path = names.map(String::as_str).collect::<Vec<_>>().join(".");
    let secret = keys::find(&path).is_some_and(keys::Key::is_secret);
    let what = match &error.kind {
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!("must be {}, not {}", readable(expected), shown(actual, secret))
        }
        Kind::UnknownVariant(given, known) => {
            let given = if given.is_empty() { "empty".to_owned() } else { format!("`{given}`") };
            format!("must be one of {}, not {given}", quoted(known))
        }
        Kind::ISizeOutOfRange(number) => format!("is out of range: `{number}`"),
        Kind::USizeOutOfRange(number) => format!("is out of range: `{number}`"),
        other => format!("cannot be used: {other}"),
    };
    let origin = error.metadata.as_ref().map_or("default", |metadata| metadata.name.as_ref());
    let problem = Problem::new(format!("`{path}` {what} ({origin})"));
    let about = keys::find(&path).map(|key| key.about.clone());
    let problem = match about {
        Some(about) => problem.help(about),
        None => problem,
    };
    match layers.iter().rfind(|layer| layer.has(&path)) {
        Some(layer) => layer.locate(problem, &path),
        None => problem,
    }
}

fn point(wrong: validate::Wrong, figment: &Figment, layers: &[Layer]) -> Problem {
    let origin = figment.find_metadata(wrong.key).map_or("default", |found| found.name.as_ref());
    let problem = Problem::new(format!("`{}` {} ({origin})", wrong.key, wrong.what)).help(wrong.help);
    match layers.iter().rfind(|layer| layer.has(wrong.key)) {
        Some(layer) => layer.locate(problem, wrong.key),
        None => problem,
    }
}

fn shown(actual: &Actual, secret: bool) -> String {
    if matches!(actual, Actual::Str(text) if text.is_empty()) {
        return "empty".to_owned();
    }
    if secret { Secret::REDACTED.to_owned() } else { actual.to_string() }
}

fn readable(expected: &str) -> &str {
    match expected {
        "u16" => "a number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        text if text.starts_with("struct ") => "a section with keys below it",
        other => other,
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
