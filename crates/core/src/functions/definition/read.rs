//! Reading functions from JSON, with all faults at once.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Definition, MOST_BEFORE, Trigger, Variables, Version, size};
use crate::{
    engine::Fault,
    events::Pattern,
    functions::{Grants, Limits, OutboundRule, Settings},
    gateway::{Reader, read_require},
};

const MOST_TRIGGERS: usize = 32;
const MOST_GRANTS: usize = 100;
const MOST_VARIABLES: usize = 100;
const LONGEST_VARIABLE: usize = 32 * 1024;
const LONGEST_DESCRIPTION: usize = 1000;
const MIB: u64 = 1 << 20;

/// Settings that people write.
const SETTINGS: [&str; 10] = [
    "name",
    "description",
    "flag_key",
    "require",
    "forward_token",
    "limits",
    "grants",
    "environment",
    "warm",
    "triggers",
];

/// What an answer holds besides; ignored in settings, so that what was read can be sent back.
const SHOWN: [&str; 7] =
    ["current", "before", "last_number", "versions", "revision", "created_at", "updated_at"];

/// Whether functions, triggers, stores and buckets may be called so.
pub fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| word(byte) || byte == b'-')
        && text.bytes().next().is_some_and(word)
}

/// Reads settings of the function `name`.
pub(super) fn settings(body: &Value, name: &str) -> Result<Definition, Vec<Fault>> {
    let mut reader = Reader::default();
    let read = reader.object("", body).map(|members| {
        reader.known("", members, &[&SETTINGS[..], &SHOWN[..]].concat());
        match reader.text(members, "", "name", 100) {
            Some(said) if said != name => {
                let message =
                    format!("the body says `{said}`, the address `{name}`; a name cannot be changed");
                reader.fault("/name", message);
            }
            _ => {}
        }
        if !is_name(name) {
            let message = "1 to 63 lower-case letters, digits and `-`, not beginning with `-`";
            reader.fault("/name", message);
        }
        members_of(&mut reader, members, name)
    });
    match read {
        Some(read) if reader.faults.is_empty() => Ok(read),
        _ => Err(reader.faults),
    }
}

/// Reads what was stored.
pub(super) fn stored(body: &Value) -> Result<Definition, Vec<Fault>> {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut read = settings(body, name)?;
    let fault = |pointer: &str, message: String| vec![Fault::new(pointer, message)];
    let versions = body.get("versions").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    let mut versions: Vec<Version> =
        serde_json::from_value(versions).map_err(|error| fault("/versions", error.to_string()))?;
    versions.sort_by_key(|version| version.number);
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    read.current = body.get("current").and_then(number);
    if let Some(current) = read.current.filter(|current| versions.iter().all(|it| it.number != *current)) {
        return Err(fault("/current", format!("there is no version {current}")));
    }
    let before = body.get("before").and_then(Value::as_array).into_iter().flatten();
    read.before = before.filter_map(number).take(MOST_BEFORE).collect();
    let highest = versions.last().map_or(0, |version| version.number);
    read.last_number = body.get("last_number").and_then(number).unwrap_or(0).max(highest);
    read.versions = versions;
    Ok(read)
}

fn members_of(reader: &mut Reader, members: &Map<String, Value>, name: &str) -> Definition {
    let limits = limits(reader, members.get("limits"));
    let settings = Settings {
        limits,
        grants: grants(reader, members.get("grants")),
        variables: variables(reader, members.get("environment")),
        warm: reader.boolean(members, "", "warm"),
    };
    Definition {
        description: reader.text(members, "", "description", LONGEST_DESCRIPTION).unwrap_or_default(),
        flag_key: reader.text(members, "", "flag_key", 200).filter(|key| !key.is_empty()),
        require: read_require(reader, members.get("require")),
        forward_token: reader.boolean(members, "", "forward_token"),
        triggers: triggers(reader, members.get("triggers")),
        settings,
        ..Definition::named(name)
    }
}

fn limits(reader: &mut Reader, value: Option<&Value>) -> Limits {
    const AT: &str = "/limits";
    let common = Limits::default();
    let Some(members) = value.filter(|v| !v.is_null()).and_then(|v| reader.object(AT, v)) else {
        return common;
    };
    let known = [
        "timeout",
        "memory",
        "request_body",
        "response_body",
        "log",
        "outbound_requests",
        "concurrency",
        "queue",
    ];
    reader.known(AT, members, &known);
    let mut bytes = |name: &str, range: std::ops::RangeInclusive<u64>| size_of(reader, members, name, range);
    let memory = bytes("memory", MIB..=4096 * MIB);
    let request_body = bytes("request_body", 0..=1024 * MIB);
    let response_body = bytes("response_body", 0..=1024 * MIB);
    let log = bytes("log", 0..=16 * MIB);
    let timeout = reader.duration(members, AT, "timeout").unwrap_or(common.timeout);
    if timeout > Duration::from_mins(15) {
        reader.fault("/limits/timeout", "a call may take at most `15m`");
    }
    let mut count = |name: &str, range| reader.number(members, AT, name, range);
    Limits {
        timeout,
        memory: memory.unwrap_or(common.memory),
        request_body: request_body.unwrap_or(common.request_body),
        response_body: response_body.unwrap_or(common.response_body),
        log: log.unwrap_or(common.log),
        outbound_requests: count("outbound_requests", 0..=10_000).unwrap_or(common.outbound_requests),
        concurrency: count("concurrency", 1..=10_000).unwrap_or(common.concurrency),
        queue: count("queue", 0..=100_000).unwrap_or(common.queue),
    }
}

fn size_of(
    reader: &mut Reader,
    members: &Map<String, Value>,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Option<u64> {
    let value = members.get(name).filter(|value| !value.is_null())?;
    let bytes = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => size::parse(text),
        _ => None,
    };
    let bytes = bytes.filter(|bytes| range.contains(bytes));
    if bytes.is_none() {
        let (from, to) = (size::show(*range.start()), size::show(*range.end()));
        let message = format!("must be a size such as `128MiB`, from `{from}` to `{to}`");
        reader.fault(format!("/limits/{name}"), message);
    }
    bytes
}

fn grants(reader: &mut Reader, value: Option<&Value>) -> Grants {
    const AT: &str = "/grants";
    let common = Definition::named("").settings.grants;
    let Some(members) = value.filter(|v| !v.is_null()).and_then(|v| reader.object(AT, v)) else {
        return common;
    };
    reader.known(AT, members, &["flags", "keyvalue", "buckets", "publish", "outbound", "secrets"]);
    let mut names = |name: &str, common: Vec<String>, check: fn(&str) -> Result<(), String>| {
        let Some(value) = members.get(name).filter(|value| !value.is_null()) else {
            return common;
        };
        let at = format!("{AT}/{name}");
        let items = reader.texts(&at, Some(value), MOST_GRANTS);
        for (index, item) in items.iter().enumerate() {
            if let Err(message) = check(item) {
                reader.fault(format!("{at}/{index}"), message);
            }
        }
        items
    };
    let keyvalue = names("keyvalue", common.keyvalue, place);
    let buckets = names("buckets", common.buckets, place);
    let publish = names("publish", common.publish, publishable);
    let outbound = names("outbound", common.outbound, |rule| OutboundRule::parse(rule).map(drop));
    let flags = match members.get("flags") {
        None | Some(Value::Null) => common.flags,
        Some(_) => reader.boolean(members, AT, "flags"),
    };
    Grants { flags, keyvalue, buckets, publish, outbound, secrets: reader.boolean(members, AT, "secrets") }
}

fn place(name: &str) -> Result<(), String> {
    let bucket = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if name == "*" || ((1..=63).contains(&name.len()) && name.bytes().all(bucket)) {
        return Ok(());
    }
    Err("is a name of lower-case letters, digits and `-`, or `*` for all".to_owned())
}

fn publishable(subject: &str) -> Result<(), String> {
    subject.parse::<Pattern>().map_err(|error| error.to_string())?;
    let first = subject.split('.').next().unwrap_or_default();
    if first == "flagbase" || first.starts_with('$') {
        return Err(format!("`{first}.` is not for messages of programs; choose another first word"));
    }
    Ok(())
}

fn variables(reader: &mut Reader, value: Option<&Value>) -> Variables {
    const AT: &str = "/environment";
    let Some(members) = value.filter(|v| !v.is_null()).and_then(|v| reader.object(AT, v)) else {
        return Variables::new();
    };
    let mut found = Variables::new();
    if members.len() > MOST_VARIABLES {
        reader.fault(AT, format!("at most {MOST_VARIABLES} variables"));
        return found;
    }
    let mut total = 0;
    for (name, value) in members {
        let at = format!("{AT}/{}", name.replace('~', "~0").replace('/', "~1"));
        let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let valid = (1..=128).contains(&name.len())
            && name.bytes().next().is_some_and(letter)
            && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit());
        if !valid {
            reader.fault(&at, "a variable is called by letters, digits and `_`, at most 128, as in a shell");
        }
        match value {
            Value::String(text) if !text.contains('\0') => {
                total += name.len() + text.len();
                found.insert(name.clone(), text.clone());
            }
            _ => reader.fault(&at, "must be a string"),
        }
    }
    if total > LONGEST_VARIABLE {
        reader
            .fault(AT, format!("at most {LONGEST_VARIABLE} bytes in all; keep more in a store or a bucket"));
    }
    found
}

fn triggers(reader: &mut Reader, value: Option<&Value>) -> Vec<Trigger> {
    let mut found: Vec<Trigger> = Vec::new();
    for (at, item) in reader.array("/triggers", value, MOST_TRIGGERS).iter().enumerate() {
        let pointer = format!("/triggers/{at}");
        let Some(trigger) = Trigger::read(reader, &pointer, item) else { continue };
        if found.iter().any(|other| other.name == trigger.name) {
            let message = format!("there is a trigger `{}` already; choose another name", trigger.name);
            reader.fault(format!("{pointer}/name"), message);
        }
        found.push(trigger);
    }
    found
}
