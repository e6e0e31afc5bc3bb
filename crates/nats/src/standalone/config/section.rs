//! One block of a configuration, from which settings are taken one by one.

use std::{path::PathBuf, time::Duration};

use super::{
    Listen,
    syntax::{Block, SyntaxError, Value},
};

/// Why a configuration is no good.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A setting cannot be what it is.
    #[error("`{setting}` {problem}")]
    Setting {
        /// With the blocks around it, such as `tls.cert_file`.
        setting: String,
        #[source]
        problem: Problem,
    },
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("is not known here: remove it")]
    Unknown,
    #[error("is of a part that this server does not have: remove it")]
    Absent,
    #[error("is missing")]
    Missing,
    #[error("is missing: give it, or say `no_tls: true`")]
    Undecided,
    #[error("is {found}, expected {expected}")]
    Kind {
        /// What it is.
        found: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    #[error("is out of range")]
    Range,
    #[error("is no duration: write `2`, `\"2s\"` or `\"300ms\"`")]
    Duration,
    #[error("is no address: write `4222` or `127.0.0.1:4222`")]
    Address,
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// One block of a configuration.
#[derive(Debug)]
pub(crate) struct Section {
    path: String,
    entries: Block,
}

impl Section {
    pub(crate) fn new(path: &str, entries: Block) -> Self {
        Self { path: path.to_owned(), entries }
    }

    /// Takes the value of a setting out, whichever of its names is used. The last one counts.
    pub(crate) fn take(&mut self, names: &[&str]) -> Option<Value> {
        let mut found = None;
        self.entries.retain_mut(|(key, value)| {
            let wanted = names.iter().any(|name| key.eq_ignore_ascii_case(name));
            if wanted {
                found = Some(std::mem::replace(value, Value::Truth(false)));
            }
            !wanted
        });
        found
    }

    /// A text. Numbers count as what they look like, because nobody quotes a password of digits.
    pub(crate) fn text(&mut self, names: &[&str]) -> Result<Option<String>, ConfigError> {
        let value = self.take(names);
        value.map(|value| self.as_text(names, value)).transpose()
    }

    /// A number of things or bytes.
    pub(crate) fn integer(&mut self, names: &[&str]) -> Result<Option<i64>, ConfigError> {
        match self.take(names) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(number)),
            Some(other) => Err(self.kind(names, &other, "a number")),
        }
    }

    /// True or false.
    pub(crate) fn truth(&mut self, names: &[&str]) -> Result<Option<bool>, ConfigError> {
        match self.take(names) {
            None => Ok(None),
            Some(Value::Truth(truth)) => Ok(Some(truth)),
            Some(other) => Err(self.kind(names, &other, "true or false")),
        }
    }

    /// A time, in seconds or as a text with units.
    pub(crate) fn duration(&mut self, names: &[&str]) -> Result<Option<Duration>, ConfigError> {
        let value = self.take(names);
        value.map(|value| self.as_duration(first(names), &value)).transpose()
    }

    /// A path, as it is written.
    pub(crate) fn path(&mut self, names: &[&str]) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.text(names)?.map(PathBuf::from))
    }

    /// One text or a list of them.
    pub(crate) fn texts(&mut self, names: &[&str]) -> Result<Option<Vec<String>>, ConfigError> {
        match self.take(names) {
            None => Ok(None),
            Some(Value::List(values)) => {
                values.into_iter().map(|value| self.as_text(names, value)).collect::<Result<_, _>>().map(Some)
            }
            Some(value) => self.as_text(names, value).map(|text| Some(vec![text])),
        }
    }

    /// A block within.
    pub(crate) fn block(&mut self, names: &[&str]) -> Result<Option<Self>, ConfigError> {
        let value = self.take(names);
        value.map(|value| self.inner(first(names), value)).transpose()
    }

    /// `value`, which stands behind `name`, as a block.
    pub(crate) fn inner(&self, name: &str, value: Value) -> Result<Self, ConfigError> {
        match value {
            Value::Block(entries) => Ok(Self { path: self.name(name), entries }),
            other => Err(self.kind(&[name], &other, "a block")),
        }
    }

    /// An address, or a port alone.
    pub(crate) fn listen(&mut self, names: &[&str]) -> Result<Option<Listen>, ConfigError> {
        let wrong = |section: &Self| section.wrong(first(names), Problem::Address);
        match self.take(names) {
            None => Ok(None),
            Some(Value::Integer(port)) => Ok(Some(Listen { host: None, port })),
            Some(Value::Text(text)) => {
                let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong(self))?;
                let port = port.parse().map_err(|_| wrong(self))?;
                let host = host.trim_start_matches('[').trim_end_matches(']');
                Ok(Some(Listen { host: (!host.is_empty()).then(|| host.to_owned()), port }))
            }
            Some(_) => Err(wrong(self)),
        }
    }

    /// `value`, which stands behind `name`, as a time.
    pub(crate) fn as_duration(&self, name: &str, value: &Value) -> Result<Duration, ConfigError> {
        let duration = match value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Value::Real(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Value::Text(text) => duration(text),
            _ => None,
        };
        duration.ok_or_else(|| self.wrong(name, Problem::Duration))
    }

    /// Passes over settings without an effect here.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        self.take(names);
    }

    /// Fails on settings of parts that are not there.
    pub(crate) fn refuse(&mut self, names: &[&str]) -> Result<(), ConfigError> {
        let refused = |key: &str| names.iter().any(|name| key.eq_ignore_ascii_case(name));
        match self.entries.iter().find(|(key, _)| refused(key)) {
            None => Ok(()),
            Some((key, _)) => Err(self.wrong(key, Problem::Absent)),
        }
    }

    /// Takes every setting that is left, such as those whose names are not settings but keys.
    pub(crate) fn rest(self) -> Block {
        self.entries
    }

    /// Fails when a setting is left that nobody has taken.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, _)) => Err(self.wrong(key, Problem::Unknown)),
        }
    }

    /// The error that the setting `name` has this problem.
    pub(crate) fn wrong(&self, name: &str, problem: Problem) -> ConfigError {
        ConfigError::Setting { setting: self.name(name), problem }
    }

    fn kind(&self, names: &[&str], found: &Value, expected: &'static str) -> ConfigError {
        self.wrong(first(names), Problem::Kind { found: found.kind(), expected })
    }

    fn as_text(&self, names: &[&str], value: Value) -> Result<String, ConfigError> {
        match value {
            Value::Text(text) => Ok(text),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Real(number) => Ok(number.to_string()),
            other => Err(self.kind(names, &other, "a text")),
        }
    }

    fn name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

fn first<'n>(names: &[&'n str]) -> &'n str {
    names.first().copied().unwrap_or_default()
}

/// `1m30s`, `300ms`, `2`.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total =
            total.checked_add(Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_their_units() {
        for (text, millis) in
            [("2", 2000), ("300ms", 300), ("1m30s", 90_000), ("1.5s", 1500), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "2 s", "2x", "-1s", "1..5s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_nobody_took_is_named_with_its_block() {
        let mut section =
            Section::new("tls", vec![("a".into(), Value::Integer(1)), ("b".into(), Value::Integer(2))]);
        assert_eq!(section.integer(&["A"]), Ok(Some(1)));
        assert_eq!(section.finish().unwrap_err().to_string(), "`tls.b` is not known here: remove it");
    }

    #[test]
    fn a_value_of_another_kind_is_told_apart() {
        let mut section = Section::new("", vec![("port".into(), Value::Text("x".into()))]);
        let error = section.integer(&["port"]).unwrap_err();
        assert_eq!(error.to_string(), "`port` is a text, expected a number");
    }

    #[test]
    fn an_address_may_be_a_port_alone() {
        let listen = |value| Section::new("", vec![("listen".into(), value)]).listen(&["listen"]);
        let host = |host: &str, port| Ok(Some(Listen { host: Some(host.to_owned()), port }));
        assert_eq!(listen(Value::Integer(4222)), Ok(Some(Listen { host: None, port: 4222 })));
        assert_eq!(listen(Value::Text(":4222".into())), Ok(Some(Listen { host: None, port: 4222 })));
        assert_eq!(listen(Value::Text("localhost:-1".into())), host("localhost", -1));
        assert_eq!(listen(Value::Text("[::1]:4222".into())), host("::1", 4222));
        assert!(listen(Value::Text("localhost".into())).is_err());
    }
}
