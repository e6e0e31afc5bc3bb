//! Reading routes from JSON, with all faults at once.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};

use crate::{
    engine::Fault,
    gateway::{
        AddressPolicy, BucketTarget, FunctionTarget, HeaderMatch, HealthCheck, MatchValue, OffAnswer,
        PathMatch, Require, Route, StripPrefix, Timeouts, UpstreamUrl, clean,
        route::{BUCKET, FUNCTION},
    },
};

mod reader;

pub(crate) use reader::Reader;

const MOST_URLS: usize = 64;
const MOST_VARIANTS: usize = 100;
const MOST_HEADERS: usize = 32;
const MOST_ROLES: usize = 100;
const LONGEST_PATH: usize = 2048;
const LONGEST_BODY: usize = 64 * 1024;

/// Members of a route; `pattern` stands for `path` and `match`, and what an answer holds besides is ignored, so that
/// what was read can be sent back.
const MEMBERS: [&str; 26] = [
    "id",
    "name",
    "host",
    "path",
    "match",
    "pattern",
    "methods",
    "headers",
    "strip_prefix",
    "flag_key",
    "backend_url",
    "function",
    "bucket",
    "variants",
    "when_off",
    "forward_token",
    "require",
    "timeouts",
    "retries",
    "health_check",
    "preserve_host",
    "environment",
    "revision",
    "created_at",
    "updated_at",
    "warnings",
];

/// Reads a route.
pub(super) fn route(body: &Value, policy: AddressPolicy) -> Result<Route, Vec<Fault>> {
    let mut reader = Reader::default();
    let route = reader.object("", body).map(|members| read(&mut reader, members, policy));
    match route {
        Some(route) if reader.faults.is_empty() => Ok(route),
        _ => Err(reader.faults),
    }
}

fn read(reader: &mut Reader, members: &Map<String, Value>, policy: AddressPolicy) -> Route {
    reader.known("", members, &MEMBERS);
    let (path, matching) = path(reader, members);
    let mut methods = list(reader, members, "methods", method);
    methods.sort();
    methods.dedup();
    let mut headers = headers(reader, members.get("headers"));
    headers.sort();
    headers.dedup();
    let backend_url = members
        .get("backend_url")
        .filter(|value| !value.is_null())
        .map_or_else(Vec::new, |value| urls(reader, "/backend_url", value, policy));
    let variants = variants(reader, members.get("variants"), policy);
    let function = function(reader, members);
    let bucket = bucket(reader, members.get("bucket"));
    let own = [!backend_url.is_empty(), function.is_some(), bucket.is_some()];
    let own = own.into_iter().filter(|given| *given).count();
    if own == 0 && variants.is_empty() && reader.faults.is_empty() {
        reader.fault(
            "/backend_url",
            "a route needs a `backend_url`, a `function`, a `bucket`, or `variants` with upstreams of their own",
        );
    }
    if own > 1 {
        let pointer = if bucket.is_some() { "/bucket" } else { "/function" };
        let message =
            "requests go to a `backend_url`, to a `function` or to a `bucket`; leave the others out";
        reader.fault(pointer, message);
    }
    let flag_key = reader.text(members, "", "flag_key", 200).filter(|key| !key.is_empty());
    if flag_key.is_none() && !variants.is_empty() {
        reader.fault("/variants", "upstreams per variant need a `flag_key` that gives the variants");
    }
    let strip_prefix = strip_prefix(reader, members.get("strip_prefix"), &path);
    Route {
        id: id(reader, members),
        name: reader.text(members, "", "name", 200).unwrap_or_default(),
        host: host(reader, members),
        path,
        matching,
        methods,
        headers,
        strip_prefix,
        flag_key,
        backend_url,
        function,
        bucket,
        variants,
        when_off: when_off(reader, members.get("when_off")),
        forward_token: reader.boolean(members, "", "forward_token"),
        require: require(reader, members.get("require")),
        timeouts: timeouts(reader, members.get("timeouts")),
        retries: reader.number(members, "", "retries", 0..=10),
        health_check: health_check(reader, members.get("health_check")),
        preserve_host: reader.boolean(members, "", "preserve_host"),
    }
}

fn id(reader: &mut Reader, members: &Map<String, Value>) -> String {
    let id = reader.text(members, "", "id", 64).unwrap_or_default();
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        reader.fault("/id", "use letters, digits, `.`, `_` and `-`");
    }
    id
}

fn host(reader: &mut Reader, members: &Map<String, Value>) -> Option<String> {
    let host = reader.text(members, "", "host", 253)?.to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    if host.is_empty() {
        return None;
    }
    let port = !host.starts_with('[') && host.contains(':') || host.contains("]:");
    if port || !host.bytes().all(plain) {
        reader.fault("/host", "write a host name without scheme, port or path, such as `shop.example.com`");
    }
    Some(host)
}

fn path(reader: &mut Reader, members: &Map<String, Value>) -> (String, PathMatch) {
    let given = (members.get("path").is_some(), members.get("pattern").is_some());
    let word = reader.text(members, "", "match", 10);
    let matching = match word.as_deref() {
        None | Some("exact") => PathMatch::Exact,
        Some("prefix") => PathMatch::Prefix,
        Some(_) => {
            reader.fault("/match", "is `exact` or `prefix`");
            PathMatch::Exact
        }
    };
    if let (true, _) = given {
        let path = reader.text(members, "", "path", LONGEST_PATH).unwrap_or_default();
        return (checked_path(reader, "/path", &path, matching), matching);
    }
    let Some(pattern) = reader.text(members, "", "pattern", LONGEST_PATH).filter(|p| !p.is_empty()) else {
        reader.fault(
            "/pattern",
            "pattern and backend_url are required; a pattern is `/x`, or `/x/*` for all below",
        );
        return (String::new(), PathMatch::Exact);
    };
    let (path, matching) = match pattern.strip_suffix("/*") {
        Some(path) => (path, PathMatch::Prefix),
        None => (pattern.as_str(), matching),
    };
    (checked_path(reader, "/pattern", path, matching), matching)
}

/// Paths are matched in their clean form, so that is how they must be written.
fn checked_path(reader: &mut Reader, pointer: &str, path: &str, matching: PathMatch) -> String {
    let path = match matching {
        PathMatch::Prefix if path.is_empty() => "/",
        PathMatch::Prefix if path.len() > 1 => path.strip_suffix('/').unwrap_or(path),
        _ => path,
    };
    if path == "/gateway" || path.starts_with("/gateway/") {
        reader.fault(
            pointer,
            "paths are written without the `/gateway` in front: `/x` is reached as `/gateway/x`",
        );
    }
    if path.contains(['?', '#', '*']) {
        reader.fault(pointer, "a path holds no `?`, `#` or `*`; a pattern may end in `/*`");
    }
    match clean(path) {
        Ok(clean) if clean == path => {}
        Ok(clean) => {
            reader.fault(pointer, format!("write it as `{clean}`, which is how requests are matched"));
        }
        Err(fault) => reader.fault(pointer, fault.to_string()),
    }
    path.to_owned()
}

fn strip_prefix(reader: &mut Reader, value: Option<&Value>, path: &str) -> StripPrefix {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => StripPrefix::No,
        Some(Value::Bool(true)) => StripPrefix::Path,
        Some(Value::String(prefix)) => {
            let prefix = prefix.trim_end_matches('/');
            let below =
                path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if !prefix.starts_with('/') || !(below || path == "/") {
                reader.fault("/strip_prefix", format!("is true, or a prefix of the route's path `{path}`"));
            }
            StripPrefix::This(prefix.to_owned())
        }
        Some(_) => {
            reader.fault("/strip_prefix", "is true, false, or the prefix to cut off, such as `/shop`");
            StripPrefix::No
        }
    }
}

fn list(
    reader: &mut Reader,
    members: &Map<String, Value>,
    name: &'static str,
    read: fn(&str) -> Result<String, String>,
) -> Vec<String> {
    let pointer = format!("/{name}");
    let items = reader.texts(&pointer, members.get(name), MOST_ROLES);
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match read(item) {
            Ok(item) => found.push(item),
            Err(message) => reader.fault(format!("{pointer}/{at}"), message),
        }
    }
    found
}

fn method(word: &str) -> Result<String, String> {
    let upper = word.to_ascii_uppercase();
    match Method::from_bytes(upper.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) => Err(format!("`{upper}` is never forwarded")),
        Ok(_) if upper.len() <= 32 => Ok(upper),
        _ => Err("is no HTTP method; such as `GET`".to_owned()),
    }
}

fn headers(reader: &mut Reader, value: Option<&Value>) -> Vec<HeaderMatch> {
    let mut found = Vec::new();
    for (at, item) in reader.array("/headers", value, MOST_HEADERS).iter().enumerate() {
        let pointer = format!("/headers/{at}");
        let Some(members) = reader.object(&pointer, item) else {
            continue;
        };
        reader.known(&pointer, members, &["name", "value", "present"]);
        let name = reader.text(members, &pointer, "name", 128).unwrap_or_default().to_ascii_lowercase();
        if HeaderName::from_bytes(name.as_bytes()).is_err()
            || name.contains('_')
            || name.starts_with("x-flagbase-")
        {
            reader
                .fault(format!("{pointer}/name"), "is no header that a client can send through the gateway");
        }
        let value = match (members.get("value"), members.get("present")) {
            (Some(Value::String(value)), None) if value.len() <= 1024 => MatchValue::Value(value.clone()),
            (None, Some(Value::Bool(present))) => MatchValue::Present(*present),
            _ => {
                reader.fault(
                    &pointer,
                    "needs either `value` (a string of at most 1024 bytes) or `present` (true or false)",
                );
                continue;
            }
        };
        found.push(HeaderMatch { name, value });
    }
    found
}

fn urls(reader: &mut Reader, pointer: &str, value: &Value, policy: AddressPolicy) -> Vec<String> {
    let many = match value {
        Value::String(one) => vec![(pointer.to_owned(), one.clone())],
        value => {
            let texts = reader.texts(pointer, Some(value), MOST_URLS);
            texts.into_iter().enumerate().map(|(at, url)| (format!("{pointer}/{at}"), url)).collect()
        }
    };
    if many.is_empty() && reader.faults.is_empty() {
        reader.fault(pointer, "needs at least one upstream address");
    }
    let mut urls = Vec::new();
    let alone = many.len() == 1;
    for (pointer, url) in many {
        let read = if let Some(name) = url.strip_prefix(FUNCTION) {
            FunctionTarget::parse(name).and_then(|_| stands("function", alone))
        } else if let Some(name) = url.strip_prefix(BUCKET) {
            BucketTarget::parse(name).and_then(|_| stands("bucket", alone))
        } else {
            UpstreamUrl::parse(&url, policy).map(drop)
        };
        match read {
            Ok(()) => urls.push(url),
            Err(message) => reader.fault(pointer, message),
        }
    }
    urls
}

fn stands(what: &str, alone: bool) -> Result<(), String> {
    if alone { Ok(()) } else { Err(format!("a {what} stands alone: it needs no others beside it")) }
}

/// `"site"`, `"site/releases/1/"` or `{"name": "site", "prefix": "releases/1/"}`.
fn bucket(reader: &mut Reader, value: Option<&Value>) -> Option<BucketTarget> {
    let read = match value.filter(|value| !value.is_null())? {
        Value::String(text) => BucketTarget::parse(text),
        value => {
            let members = reader.object("/bucket", value)?;
            reader.known("/bucket", members, &["name", "prefix"]);
            let name = reader.text(members, "/bucket", "name", 63).unwrap_or_default();
            let prefix = reader.text(members, "/bucket", "prefix", 1024).unwrap_or_default();
            BucketTarget::new(&name, &prefix)
        }
    };
    match read {
        Ok(target) => Some(target),
        Err(message) => {
            reader.fault("/bucket", message);
            None
        }
    }
}

fn function(reader: &mut Reader, members: &Map<String, Value>) -> Option<String> {
    let text = reader.text(members, "", "function", 100)?;
    if let Err(message) = FunctionTarget::parse(&text) {
        reader.fault("/function", message);
    }
    Some(text)
}

fn variants(
    reader: &mut Reader,
    value: Option<&Value>,
    policy: AddressPolicy,
) -> BTreeMap<String, Vec<String>> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return BTreeMap::new();
    };
    let Some(members) = reader.object("/variants", value) else {
        return BTreeMap::new();
    };
    if members.len() > MOST_VARIANTS {
        reader.fault("/variants", format!("at most {MOST_VARIANTS} variants"));
        return BTreeMap::new();
    }
    let read = members.iter().map(|(name, value)| {
        let pointer = format!("/variants/{}", name.replace('~', "~0").replace('/', "~1"));
        (name.clone(), urls(reader, &pointer, value, policy))
    });
    read.collect()
}

fn when_off(reader: &mut Reader, value: Option<&Value>) -> Option<OffAnswer> {
    let members = reader.object("/when_off", value.filter(|value| !value.is_null())?)?;
    reader.known("/when_off", members, &["status", "body", "content_type"]);
    let status = reader.number(members, "/when_off", "status", 200..=599).unwrap_or(404);
    let body = reader.text(members, "/when_off", "body", LONGEST_BODY);
    let content_type = reader.text(members, "/when_off", "content_type", 200);
    if content_type.as_deref().is_some_and(|kind| HeaderValue::from_str(kind).is_err()) {
        reader.fault("/when_off/content_type", "is no media type; such as `text/html; charset=utf-8`");
    }
    Some(OffAnswer { status: u16::try_from(status).unwrap_or(404), body, content_type })
}

/// Reads who is let in.
pub(crate) fn require(reader: &mut Reader, value: Option<&Value>) -> Require {
    const FORM: &str = "is `anyone`, `authenticated` or `{\"roles\": [\"developer\"]}`";
    match value {
        None | Some(Value::Null) => return Require::Anyone,
        Some(Value::String(word)) if word == "anyone" => return Require::Anyone,
        Some(Value::String(word)) if word == "authenticated" => return Require::Authenticated,
        Some(Value::Object(members)) => {
            reader.known("/require", members, &["roles"]);
            let roles = reader.texts("/require/roles", members.get("roles"), MOST_ROLES);
            if !roles.is_empty() && roles.iter().all(|role| !role.is_empty()) {
                return Require::Roles(roles);
            }
        }
        Some(_) => {}
    }
    reader.fault("/require", FORM);
    Require::Anyone
}

fn timeouts(reader: &mut Reader, value: Option<&Value>) -> Timeouts {
    let Some(members) = value.filter(|v| !v.is_null()).and_then(|v| reader.object("/timeouts", v)) else {
        return Timeouts::default();
    };
    reader.known("/timeouts", members, &["connect", "request", "idle"]);
    Timeouts {
        connect: reader.duration(members, "/timeouts", "connect"),
        request: reader.duration(members, "/timeouts", "request"),
        idle: reader.duration(members, "/timeouts", "idle"),
    }
}

fn health_check(reader: &mut Reader, value: Option<&Value>) -> Option<HealthCheck> {
    const AT: &str = "/health_check";
    let members = reader.object(AT, value.filter(|value| !value.is_null())?)?;
    reader.known(AT, members, &["path", "interval", "timeout", "healthy_threshold", "unhealthy_threshold"]);
    let path = reader.text(members, AT, "path", LONGEST_PATH).unwrap_or_else(|| "/".to_owned());
    if !path.starts_with('/') || path.parse::<http::Uri>().is_err() {
        reader.fault(format!("{AT}/path"), "is a path such as `/health`");
    }
    let seconds = std::time::Duration::from_secs;
    Some(HealthCheck {
        path,
        interval: reader.duration(members, AT, "interval").unwrap_or(seconds(10)),
        timeout: reader.duration(members, AT, "timeout").unwrap_or(seconds(2)),
        healthy_threshold: reader.number(members, AT, "healthy_threshold", 1..=100).unwrap_or(2),
        unhealthy_threshold: reader.number(members, AT, "unhealthy_threshold", 1..=100).unwrap_or(3),
    })
}
