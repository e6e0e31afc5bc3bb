//! What people say of a bucket: its document.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use flagbase_engine::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Policy, TagFault, check_tags, shown};
use crate::{
    catalog::{DocumentId, Revision},
    functions::is_function_name,
    refusal::Refusal,
    shape::shape,
};

/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 1000;
/// Rules of CORS and of lifecycles, at most.
const MOST_RULES: usize = 100;
/// The longest origin, header, prefix or page, in bytes.
const LONGEST: usize = 1024;
/// The shortest name of a new bucket.
const SHORTEST_NAME: usize = 3;
/// Tags of a bucket, at most.
const MOST_TAGS: usize = 50;

/// Whether older versions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Versioning {
    /// They never were: a write takes the place of what was there.
    #[default]
    Off,
    /// Each write is a version of its own.
    Enabled,
    /// They were: those there are stay, new writes take each other's place.
    Suspended,
}

/// What everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Public {
    /// Nothing.
    #[default]
    None,
    /// Read objects whose keys they know.
    Read,
}

/// How much a bucket may hold, older versions and uploads included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Objects, versions and markers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
}

impl Quota {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whose pages may read and write objects by the browser of whoever looks at them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsRule {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Origins such as `https://example.com`; a `*` in one stands for anything.
    pub origins: Vec<String>,
    /// `GET`, `PUT`, `POST`, `DELETE`, `HEAD`.
    pub methods: Vec<String>,
    /// Request headers; a `*` in one stands for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Headers of answers that pages see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// How long browsers remember this, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// What goes by itself after some days.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRule {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether it is not applied for now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Only keys that begin with this.
    #[serde(default)]
    pub prefix: String,
    /// Only objects that have all of these tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Objects are deleted that were written so long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_after_days: Option<u32>,
    /// Versions go that something newer took the place of so long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent_after_days: Option<u32>,
    /// Uploads go that were begun so long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_uploads_after_days: Option<u32>,
    /// Delete markers go that have no older version behind them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired_markers: bool,
}

/// How a bucket is served as a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The last word of the key that answers for a path that ends with `/`.
    #[serde(default = "index_page")]
    pub index: String,
    /// The key of what is sent where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the index answers for every path that has nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spa: bool,
}

impl Default for Site {
    fn default() -> Self {
        Self { index: index_page(), error: None, spa: false }
    }
}

/// How a bucket is served that says nothing of it.
static PLAIN: LazyLock<Site> = LazyLock::new(Site::default);

fn index_page() -> String {
    "index.html".to_owned()
}

/// What is said of a bucket, as it is stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Unique within its environment.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whether older versions are kept.
    #[serde(default)]
    pub versioning: Versioning,
    /// What everybody may do.
    #[serde(default)]
    pub public: Public,
    /// How much it may hold.
    #[serde(default, skip_serializing_if = "Quota::is_none")]
    pub quota: Quota,
    /// Whose pages may use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cors: Vec<CorsRule>,
    /// What goes by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lifecycle: Vec<LifecycleRule>,
    /// Who else may do what, as S3 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Value>,
    /// How it is served as a site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// What people put on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A bucket, as requests meet it. Part of the snapshot; immutable.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its document.
    pub id: DocumentId,
    /// The change that wrote it.
    pub revision: Revision,
    /// What is said of it.
    pub settings: Settings,
    /// Its policy, ready to be asked.
    pub policy: Option<Policy>,
}

impl Bucket {
    /// Reads what was stored.
    pub fn from_stored(id: DocumentId, revision: Revision, body: &Value) -> Result<Self, Refusal> {
        let settings: Settings = shape(body)?;
        let policy = settings.policy.as_ref().map(|policy| Policy::read(policy, &id.key)).transpose();
        let policy = policy.map_err(Refusal::invalid)?;
        Ok(Self { id, revision, settings, policy })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.id.key
    }

    /// How it is served as a site.
    pub fn site(&self) -> &Site {
        self.settings.site.as_ref().unwrap_or(&PLAIN)
    }

    /// The environment's key.
    pub fn environment(&self) -> &Arc<str> {
        &self.id.environment
    }
}

/// Whether there may be a bucket that is called so: by S3's rules, or with the one or two characters that names could have
/// before; new ones may not.
pub fn is_bucket_name(name: &str) -> bool {
    if is_function_name(name) {
        return true;
    }
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let labels = name.split('.').all(|label| {
        label.bytes().all(|byte| word(byte) || byte == b'-')
            && label.bytes().next().is_some_and(word)
            && label.bytes().next_back().is_some_and(word)
    });
    (SHORTEST_NAME..=63).contains(&name.len()) && labels && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// Refuses what a new bucket may not be called: names that clients of S3 refuse are of use to nobody.
pub(super) fn check_new_name(name: &str) -> Result<(), Refusal> {
    if name.len() >= SHORTEST_NAME && is_bucket_name(name) { Ok(()) } else { Err(bad_name(name)) }
}

fn bad_name(name: &str) -> Refusal {
    let name = shown(name);
    let message = if name.parse::<std::net::Ipv4Addr>().is_ok() {
        format!(
            "`{name}` is an IP address, and clients of S3 would take it for a server; write `{}`, for example",
            name.replace('.', "-")
        )
    } else {
        format!(
            "`{name}` cannot name a bucket; write 3 to 63 lower-case letters, digits, `-` and `.`, with a letter or digit at \
             both ends and on both sides of each `.`"
        )
    };
    Refusal::fault("/name", message)
}

/// The settings of the bucket `name` that `body` says, or all that makes no sense in them.
pub(super) fn read(name: &str, body: &Value) -> Result<Settings, Refusal> {
    if !is_bucket_name(name) {
        return Err(bad_name(name));
    }
    let mut settings: Settings = shape(body)?;
    if body.get("name").is_some_and(|said| said != name) {
        return Err(Refusal::fault("/name", format!("is not `{name}`, as the path says")));
    }
    name.clone_into(&mut settings.name);
    let mut faults = Vec::new();
    check(&settings, &mut |pointer: String, message: &str| {
        faults.push(Fault { pointer, message: message.to_owned() });
    });
    if let Some(policy) = &settings.policy {
        faults.extend(Policy::read(policy, name).err().into_iter().flatten());
    }
    if faults.is_empty() { Ok(settings) } else { Err(Refusal::invalid(faults)) }
}

fn check(settings: &Settings, add: &mut dyn FnMut(String, &str)) {
    if settings.description.chars().count() > LONGEST_DESCRIPTION {
        add("/description".into(), "expected a text of at most 1000 characters");
    }
    if settings.cors.len() > MOST_RULES || settings.lifecycle.len() > MOST_RULES {
        let pointer = if settings.cors.len() > MOST_RULES { "/cors" } else { "/lifecycle" };
        return add(pointer.into(), "has more than 100 rules; use fewer");
    }
    for (at, rule) in settings.cors.iter().enumerate() {
        check_cors(rule, &mut |member, message| add(format!("/cors/{at}{member}"), message));
    }
    for (at, rule) in settings.lifecycle.iter().enumerate() {
        check_lifecycle(rule, &mut |member, message| add(format!("/lifecycle/{at}{member}"), message));
    }
    if let Some(site) = &settings.site {
        if site.index.is_empty() || site.index.contains('/') || site.index.len() > LONGEST {
            add("/site/index".into(), "expected the name of a page without `/`, such as `index.html`");
        }
        if site.error.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST) {
            add("/site/error".into(), "expected a key, such as `404.html`");
        }
    }
    if let Err(TagFault(message)) = check_tags(&settings.tags, MOST_TAGS) {
        add("/tags".into(), &message);
    }
}

fn check_cors(rule: &CorsRule, add: &mut dyn FnMut(&str, &str)) {
    let lists = [("/origins", &rule.origins), ("/headers", &rule.headers), ("/expose", &rule.expose)];
    for (member, list) in lists {
        let plain = |text: &String| {
            (1..=LONGEST).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
                && text.matches('*').count() <= 1
        };
        if list.len() > MOST_RULES || !list.iter().all(plain) {
            add(member, "expected at most 100 words, each with at most one `*`");
        }
    }
    if rule.origins.is_empty() {
        add("/origins", "is empty; name at least one, such as `https://example.com`, or `*`");
    }
    let known = |method: &String| matches!(method.as_str(), "GET" | "PUT" | "POST" | "DELETE" | "HEAD");
    if rule.methods.is_empty() || !rule.methods.iter().all(known) {
        add("/methods", "expected some of `GET`, `PUT`, `POST`, `DELETE` and `HEAD`");
    }
}

fn check_lifecycle(rule: &LifecycleRule, add: &mut dyn FnMut(&str, &str)) {
    let days = [
        ("/expire_after_days", rule.expire_after_days),
        ("/noncurrent_after_days", rule.noncurrent_after_days),
        ("/abort_uploads_after_days", rule.abort_uploads_after_days),
    ];
    for (member, value) in days {
        if value == Some(0) {
            add(member, "is 0; write 1 or more days");
        }
    }
    if days.iter().all(|(_, value)| value.is_none()) && !rule.expired_markers {
        add("", "does nothing; say `expire_after_days`, for example");
    }
    if rule.prefix.len() > LONGEST {
        add("/prefix", "is longer than 1024 bytes; no key begins with it");
    }
    if let Err(TagFault(message)) = check_tags(&rule.tags, 10) {
        add("/tags", &message);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_those_of_s3_and_those_that_functions_knew() {
        for name in ["a", "b-1", "uploads", "my.site.example", "a".repeat(63).as_str(), "1.2.3"] {
            assert!(is_bucket_name(name), "{name}");
        }
        let long = "a".repeat(64);
        for name in ["", "Upper", "a..b", ".ab", "ab.", "a.-b", "192.168.0.1", "a_b", "a/b", "ä", &long] {
            assert!(!is_bucket_name(name), "{name}");
        }
    }

    #[test]
    fn a_new_bucket_is_called_as_clients_of_s3_take_it() {
        for name in ["abc", "a-b", "1.2.3", "192-168-1-1"] {
            assert!(check_new_name(name).is_ok(), "{name}");
        }
        for (name, said) in [
            ("a", "write 3 to 63"),
            ("ab", "write 3 to 63"),
            ("Abc", "write 3 to 63"),
            (
                "192.168.1.1",
                "is an IP address, and clients of S3 would take it for a server; write `192-168-1-1`",
            ),
        ] {
            let refused = check_new_name(name).unwrap_err();
            assert!(refused.message.contains(said), "{refused}");
        }
        assert!(read("a", &json!({})).is_ok(), "one that is there already stays");
        assert!(read("10.0.0.1", &json!({})).unwrap_err().message.contains("IP address"));
    }

    #[test]
    fn a_body_that_says_nothing_is_a_private_bucket_without_limits() {
        let settings = read("b", &json!({})).unwrap();
        assert_eq!((settings.versioning, settings.public), (Versioning::Off, Public::None));
        let stored = serde_json::to_value(&settings).unwrap();
        assert_eq!(stored, json!({"name": "b", "description": "", "versioning": "off", "public": "none"}));
        let id = DocumentId::new(crate::catalog::Kind::Bucket, "default", "b");
        assert_eq!(Bucket::from_stored(id, 1, &stored).unwrap().settings, settings);
    }

    #[test]
    fn all_that_makes_no_sense_is_told_with_its_place() {
        for (body, pointer) in [
            (json!([]), ""),
            (json!({"colour": 1}), "/colour"),
            (json!({"name": "x"}), "/name"),
            (json!({"description": 1}), "/description"),
            (json!({"versioning": "on"}), "/versioning"),
            (json!({"public": "write"}), "/public"),
            (json!({"quota": {"bytes": -1}}), "/quota/bytes"),
            (json!({"cors": [{"origins": [], "methods": ["GET"]}]}), "/cors/0/origins"),
            (json!({"cors": [{"origins": ["*"], "methods": ["PATCH"]}]}), "/cors/0/methods"),
            (json!({"cors": [{"origins": ["*a*"], "methods": ["GET"]}]}), "/cors/0/origins"),
            (json!({"lifecycle": [{"prefix": "a"}]}), "/lifecycle/0"),
            (json!({"lifecycle": [{"expire_after_days": 0}]}), "/lifecycle/0/expire_after_days"),
            (json!({"site": {"index": "a/b"}}), "/site/index"),
            (json!({"tags": {"": "x"}}), "/tags"),
            (json!({"policy": {"Statement": 1}}), "/policy/Statement"),
        ] {
            let refused = read("b", &body).unwrap_err();
            assert_eq!(refused.faults[0].pointer, pointer, "{body}: {refused}");
        }
    }
}
