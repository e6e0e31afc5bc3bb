//! The known keys, read from the annotated defaults, and the nearest one to a mistyped one.

use std::sync::LazyLock;

use figment::value::{Dict, Value};

use super::{DEFAULTS, layers};

/// One key of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// Such as `server.port`.
    pub(crate) path: String,
    /// Tells which kind of value it takes.
    pub(crate) default: Value,
    /// What the comment above it in `defaults.yaml` says.
    pub(crate) about: String,
}

impl Key {
    /// Whether its value must never be shown.
    pub(crate) fn is_secret(&self) -> bool {
        self.path.ends_with("_secret")
            || ["storage.url", "events.url", "functions.secrets_key"].contains(&self.path.as_str())
    }

    /// Whether it takes any text: neither a number, a list or a choice, nor a duration or a size.
    pub(crate) fn takes_any_text(&self) -> bool {
        const TEXTS: [&str; 29] = [
            "server.host",
            "server.data_dir",
            "server.public_url",
            "database.path",
            "iam.default_role",
            "storage.base_path",
            "storage.url",
            "storage.url_file",
            "storage.s3.listen",
            "storage.s3.domain",
            "storage.s3.region",
            "events.url",
            "events.url_file",
            "events.host",
            "events.tls_cert",
            "events.tls_key",
            "events.websocket",
            "events.monitor",
            "gateway.environment",
            "compute.firecracker.binary",
            "compute.firecracker.jailer",
            "compute.firecracker.kernel",
            "compute.firecracker.rootfs",
            "compute.firecracker.chroot_base",
            "compute.firecracker.kernel_args",
            "functions.cache_path",
            "functions.secrets_key",
            "functions.secrets_key_file",
            "log.level",
        ];
        TEXTS.contains(&self.path.as_str()) || self.path.contains("_secret")
    }

    /// The environment variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("FLAGBASE_{}", self.path.replace('.', "__").to_ascii_uppercase())
    }
}

/// All keys, in the order of `defaults.yaml`.
pub(crate) fn keys() -> &'static [Key] {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(read);
    &KEYS
}

/// The key with this path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    keys().iter().find(|key| key.path == path)
}

/// The known key that `path` was most likely meant to be.
pub(crate) fn nearest(path: &str) -> Option<&'static str> {
    let leaf = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let wanted = leaf(path);
    let score = |key: &Key| {
        let whole = strsim::jaro_winkler(path, &key.path);
        // `port` at the top level, or in the wrong section, still finds `server.port`.
        let last = strsim::jaro_winkler(&wanted, &leaf(&key.path)) - 0.02;
        whole.max(last)
    };
    keys()
        .iter()
        .map(|key| (score(key), key))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key.path.as_str())
}

/// Every leaf of `dict` with its path.
pub(crate) fn leaves(dict: &Dict) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect("", dict, &mut found);
    found
}

fn collect<'d>(prefix: &str, dict: &'d Dict, found: &mut Vec<(String, &'d Value)>) {
    for (name, value) in dict {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) => collect(&path, inner, found),
            leaf => found.push((path, leaf)),
        }
    }
}

/// The order and the comments come from the text, the values from the parsed document.
fn read() -> Vec<Key> {
    let parsed = layers::parse_yaml(DEFAULTS).unwrap_or_default();
    let values = leaves(&parsed);
    let mut sections: Vec<&str> = Vec::new();
    let mut about = Vec::new();
    let mut keys = Vec::new();
    for line in DEFAULTS.lines() {
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix('#') {
            about.push(comment.trim());
            continue;
        }
        let Some((name, _)) = trimmed.split_once(':') else {
            about.clear();
            continue;
        };
        // Two spaces for each section around it.
        sections.truncate((line.len() - line.trim_start().len()) / 2);
        sections.push(name);
        let path = sections.join(".");
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == path) {
            let default = (*value).clone();
            keys.push(Key { path, default, about: about.join(" ") });
        }
        about.clear();
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_defaults_is_listed_and_explained() {
        let parsed = layers::parse_yaml(DEFAULTS).unwrap();
        let mut expected: Vec<_> = leaves(&parsed).into_iter().map(|(path, _)| path).collect();
        let mut listed: Vec<_> = keys().iter().map(|key| key.path.clone()).collect();
        expected.sort();
        listed.sort();
        assert_eq!(listed, expected);
        for key in keys() {
            assert!(!key.about.is_empty(), "`{}` has no explanation", key.path);
        }
    }

    #[test]
    fn a_mistyped_key_finds_the_one_that_was_meant() {
        assert_eq!(nearest("server.prot"), Some("server.port"));
        assert_eq!(nearest("port"), Some("server.port"));
        assert_eq!(nearest("iam.jwt_sercet"), Some("iam.jwt_secret"));
        assert_eq!(nearest("databse.path"), Some("database.path"));
        assert_eq!(nearest("zzz.qqq"), None);
    }

    #[test]
    fn keys_and_variables_name_each_other() {
        assert_eq!(find("iam.jwt_secret").unwrap().variable(), "FLAGBASE_IAM__JWT_SECRET");
        assert!(find("iam.jwt_secret").unwrap().is_secret());
        assert!(!find("iam.jwt_secret_file").unwrap().is_secret());
        let deep = find("compute.firecracker.uid").unwrap();
        assert_eq!(deep.variable(), "FLAGBASE_COMPUTE__FIRECRACKER__UID");
    }
}
