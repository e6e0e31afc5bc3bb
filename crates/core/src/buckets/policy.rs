//! Bucket policies, as S3 writes them: read once, asked often, pure.

use std::net::IpAddr;

use flagbase_engine::Fault;
use ipnet::IpNet;
use serde_json::{Map, Value};

use super::shown;

/// The largest policy, in bytes of JSON, as S3 has it.
const MOST_BYTES: usize = 20 * 1024;
/// Statements, and words in one list, at most.
const MOST: usize = 200;
/// What resources begin with.
const ARN: &str = "arn:aws:s3:::";

/// A policy, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    allow: bool,
    principals: Words,
    actions: Words,
    resources: Words,
    conditions: Vec<Condition>,
}

/// A list of patterns, or of what is in none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Words {
    patterns: Vec<String>,
    not: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Prefix { patterns: Vec<String>, like: bool, not: bool },
    SourceIp { nets: Vec<IpNet>, not: bool },
    SecureTransport(bool),
}

/// What a policy is asked about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// Who asks: `user:<email>`, `key:<id>`, `role:<role>`; nobody is none of them.
    pub principals: &'a [String],
    /// Such as `s3:GetObject`.
    pub action: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The key; `None` when it is about the bucket.
    pub key: Option<&'a str>,
    /// What is listed.
    pub prefix: Option<&'a str>,
    /// Where the request comes from, when that is known.
    pub ip: Option<IpAddr>,
    /// Whether nobody on the way could read it.
    pub secure: bool,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It forbids.
    Deny,
    /// It allows.
    Allow,
    /// It does not speak of this.
    Silent,
}

impl Policy {
    /// Reads the policy of `bucket`. What is not understood is refused, because passing over a condition would allow more
    /// than was meant.
    pub fn read(policy: &Value, bucket: &str) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader { faults: Vec::new(), bucket };
        let statements = reader.policy(policy);
        if reader.faults.is_empty() { Ok(Self { statements }) } else { Err(reader.faults) }
    }

    /// What it says: a `Deny` counts more than an `Allow`.
    pub fn ask(&self, question: &Question<'_>) -> Verdict {
        let speaking = self.statements.iter().filter(|statement| statement.speaks_of(question));
        speaking.fold(Verdict::Silent, |verdict, statement| match (verdict, statement.allow) {
            (Verdict::Deny, _) | (_, false) => Verdict::Deny,
            (_, true) => Verdict::Allow,
        })
    }

    /// Whether it allows something to everybody, without a condition.
    pub fn is_public(&self) -> bool {
        let everybody = |statement: &Statement| {
            statement.allow
                && statement.conditions.is_empty()
                && statement.principals.patterns.iter().any(|pattern| pattern == "*")
        };
        self.statements.iter().any(everybody)
    }
}

impl Statement {
    fn speaks_of(&self, question: &Question<'_>) -> bool {
        let resource = match question.key {
            Some(key) => format!("{ARN}{}/{key}", question.bucket),
            None => format!("{ARN}{}", question.bucket),
        };
        let everybody = self.principals.patterns.iter().any(|pattern| pattern == "*");
        let known = |pattern: &String| question.principals.iter().any(|principal| principal == pattern);
        let meant = everybody || self.principals.patterns.iter().any(known);
        meant != self.principals.not
            && self.actions.hold(|pattern| {
                matches_wildcard(&pattern.to_ascii_lowercase(), &question.action.to_ascii_lowercase())
            })
            && self.resources.hold(|pattern| matches_wildcard(pattern, &resource))
            && self.conditions.iter().all(|condition| condition.holds(question))
    }
}

impl Words {
    fn hold(&self, matches: impl Fn(&str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern)) != self.not
    }
}

impl Condition {
    fn holds(&self, question: &Question<'_>) -> bool {
        match self {
            Self::Prefix { patterns, like, not } => match question.prefix {
                // What is not there equals nothing.
                None => *not,
                Some(prefix) => {
                    let one = |pattern: &String| {
                        if *like { matches_wildcard(pattern, prefix) } else { pattern == prefix }
                    };
                    patterns.iter().any(one) != *not
                }
            },
            Self::SourceIp { nets, not } => {
                let ip = question.ip.map(|ip| ip.to_canonical());
                ip.map_or(*not, |ip| nets.iter().any(|net| net.contains(&ip)) != *not)
            }
            Self::SecureTransport(wanted) => question.secure == *wanted,
        }
    }
}

/// Whether `text` is what `pattern` means, in which `*` is any characters and `?` is one.
pub fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on when what comes after the last `*` does not fit.
    let mut again: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let before_text = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before_text;
                again = Some((pattern.clone(), text.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => {
                let Some((after_star, mut rest)) = again.take() else { return false };
                if rest.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                text = rest.clone();
                again = Some((after_star, rest));
            }
        }
    }
}

struct Reader<'a> {
    faults: Vec<Fault>,
    bucket: &'a str,
}

impl Reader<'_> {
    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push(Fault { pointer: format!("/policy{pointer}"), message: message.into() });
    }

    fn policy(&mut self, policy: &Value) -> Vec<Statement> {
        if policy.to_string().len() > MOST_BYTES {
            self.fault("", "is larger than 20 KiB; write it shorter");
            return Vec::new();
        }
        let Some(members) = policy.as_object() else {
            self.fault("", "expected an object with `Version` and `Statement`");
            return Vec::new();
        };
        self.known("", members, &["Version", "Id", "Statement"]);
        if let Some(version) = members.get("Version")
            && !matches!(version.as_str(), Some("2012-10-17" | "2008-10-17"))
        {
            self.fault("/Version", "expected `2012-10-17`");
        }
        let one;
        let statements = match members.get("Statement") {
            Some(Value::Array(all)) if !all.is_empty() && all.len() <= MOST => all,
            Some(object @ Value::Object(_)) => {
                one = vec![object.clone()];
                &one
            }
            _ => {
                self.fault("/Statement", "expected 1 to 200 statements");
                return Vec::new();
            }
        };
        let read = |(at, statement)| self.statement(&format!("/Statement/{at}"), statement);
        statements.iter().enumerate().filter_map(read).collect()
    }

    fn known(&mut self, pointer: &str, members: &Map<String, Value>, known: &[&str]) {
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let message = format!("`{}` is not understood here; there is {}", shown(name), known.join(", "));
            self.fault(&format!("{pointer}/{name}"), message);
        }
    }

    fn statement(&mut self, pointer: &str, statement: &Value) -> Option<Statement> {
        let Some(members) = statement.as_object() else {
            self.fault(pointer, "expected an object");
            return None;
        };
        let known = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        self.known(pointer, members, &known);
        let allow = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => {
                self.fault(&format!("{pointer}/Effect"), "expected `Allow` or `Deny`");
                return None;
            }
        };
        Some(Statement {
            allow,
            principals: self.principals(pointer, members)?,
            actions: self.words(pointer, members, ("Action", "NotAction"))?,
            resources: self.resources(pointer, members)?,
            conditions: self.conditions(&format!("{pointer}/Condition"), members.get("Condition")),
        })
    }

    /// The list called `names.0`, or the one of what is not meant, called `names.1`.
    fn words(&mut self, at: &str, members: &Map<String, Value>, names: (&str, &str)) -> Option<Words> {
        let (value, name, not) = match (members.get(names.0), members.get(names.1)) {
            (Some(value), None) => (value, names.0, false),
            (None, Some(value)) => (value, names.1, true),
            _ => {
                self.fault(at, format!("expected `{}` or `{}`", names.0, names.1));
                return None;
            }
        };
        let patterns = self.texts(&format!("{at}/{name}"), value)?;
        if names.0 == "Action" {
            let wrong =
                patterns.iter().find(|word| *word != "*" && !word.to_ascii_lowercase().starts_with("s3:"));
            if let Some(wrong) = wrong {
                self.fault(&format!("{at}/{name}"), format!("`{}` is no action of S3", shown(wrong)));
                return None;
            }
        }
        Some(Words { patterns, not })
    }

    fn texts(&mut self, at: &str, value: &Value) -> Option<Vec<String>> {
        let list = match value {
            Value::String(one) => Some(vec![one.clone()]),
            Value::Array(all) if !all.is_empty() && all.len() <= MOST => {
                all.iter().map(|word| word.as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        if list.is_none() {
            self.fault(at, "expected a text, or 1 to 200 of them");
        }
        list
    }

    fn principals(&mut self, at: &str, members: &Map<String, Value>) -> Option<Words> {
        let (value, name, not) = match (members.get("Principal"), members.get("NotPrincipal")) {
            (Some(value), None) => (value, "Principal", false),
            (None, Some(value)) => (value, "NotPrincipal", true),
            _ => {
                self.fault(at, "expected `Principal`, such as `\"*\"`");
                return None;
            }
        };
        let at = format!("{at}/{name}");
        let message = "expected `\"*\"` or `{\"AWS\": [\"user:<email>\", \"key:<id>\", \"role:<role>\"]}`";
        let patterns = match value {
            Value::String(all) if all == "*" => vec!["*".to_owned()],
            Value::Object(by) if by.len() == 1 && by.contains_key("AWS") => {
                self.texts(&format!("{at}/AWS"), by.get("AWS")?)?
            }
            _ => {
                self.fault(&at, message);
                return None;
            }
        };
        let known = |word: &String| {
            word == "*" || ["user:", "key:", "role:"].iter().any(|kind| word.starts_with(kind))
        };
        if !patterns.iter().all(known) {
            self.fault(&at, message);
            return None;
        }
        Some(Words { patterns, not })
    }

    fn resources(&mut self, at: &str, members: &Map<String, Value>) -> Option<Words> {
        let words = self.words(at, members, ("Resource", "NotResource"))?;
        let bucket = self.bucket;
        let ours = |word: &String| {
            let rest = word.strip_prefix(ARN).unwrap_or_default();
            rest == bucket || rest.strip_prefix(bucket).is_some_and(|rest| rest.starts_with('/'))
        };
        if words.patterns.iter().all(ours) {
            return Some(words);
        }
        let message = format!("speaks of another bucket; write `{ARN}{bucket}` or `{ARN}{bucket}/<prefix>*`");
        self.fault(&format!("{at}/Resource"), message);
        None
    }

    fn conditions(&mut self, at: &str, value: Option<&Value>) -> Vec<Condition> {
        let Some(value) = value else { return Vec::new() };
        let Some(operators) = value.as_object() else {
            self.fault(at, "expected an object");
            return Vec::new();
        };
        let mut conditions = Vec::new();
        for (operator, keys) in operators {
            let Some(keys) = keys.as_object() else {
                self.fault(&format!("{at}/{operator}"), "expected an object");
                continue;
            };
            for (key, value) in keys {
                let at = format!("{at}/{operator}/{}", key.replace('~', "~0").replace('/', "~1"));
                conditions.extend(self.condition(&at, (operator, key), value));
            }
        }
        conditions
    }

    fn condition(&mut self, at: &str, (operator, key): (&str, &str), value: &Value) -> Option<Condition> {
        let (key, not) = (key.to_ascii_lowercase(), operator.contains("Not"));
        match (operator, key.as_str()) {
            ("StringEquals" | "StringNotEquals", "s3:prefix") => {
                Some(Condition::Prefix { patterns: self.texts(at, value)?, like: false, not })
            }
            ("StringLike" | "StringNotLike", "s3:prefix") => {
                Some(Condition::Prefix { patterns: self.texts(at, value)?, like: true, not })
            }
            ("IpAddress" | "NotIpAddress", "aws:sourceip") => {
                let nets = self.texts(at, value)?;
                let net = |text: &String| {
                    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
                };
                let nets: Option<Vec<IpNet>> = nets.iter().map(net).collect();
                if nets.is_none() {
                    self.fault(at, "expected addresses, such as `192.0.2.0/24`");
                }
                Some(Condition::SourceIp { nets: nets?, not })
            }
            ("Bool", "aws:securetransport") => {
                let wanted = match value {
                    Value::Bool(wanted) => Some(*wanted),
                    Value::String(text) => text.parse().ok(),
                    _ => None,
                };
                if wanted.is_none() {
                    self.fault(at, "expected `true` or `false`");
                }
                wanted.map(Condition::SecureTransport)
            }
            _ => {
                self.fault(
                    at,
                    "is not understood; there are `StringEquals` and `StringLike` of `s3:prefix`, `IpAddress` of \
                     `aws:SourceIp` and `Bool` of `aws:SecureTransport`, and their opposites",
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
