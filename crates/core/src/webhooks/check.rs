//! Reading an endpoint as people write it.

use std::net::IpAddr;

use flagbase_engine::Fault;
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};

use super::{Settings, Webhook, permitted};
use crate::{
    environments::is_key,
    events::Pattern,
    refusal::Refusal,
    shape::{object, shape},
};

/// Patterns of one endpoint, at most.
const MOST_PATTERNS: usize = 100;

/// What the server shows beside the endpoint, and what may therefore come back with it.
const SHOWN: [&str; 12] = [
    "id",
    "environment",
    "revision",
    "created_at",
    "updated_at",
    "disabled_because",
    "secret_made_at",
    "active_since",
    "after",
    "failing_since",
    "failures",
    "pending",
];

/// What people say of an endpoint.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) key: String,
    pub(super) url: String,
    #[serde(default = "everything")]
    pub(super) events: Vec<String>,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
}

fn everything() -> Vec<String> {
    vec!["flagbase.>".to_owned()]
}

const fn yes() -> bool {
    true
}

/// The endpoint in `body`, called `key` by the address.
pub(super) fn read(body: &Value, key: &str, settings: &Settings) -> Result<Written, Refusal> {
    let mut object = object(body)?.clone();
    if let Some(said) = object.get("key").filter(|said| said.as_str() != Some(key)) {
        let message = format!("the body says `{said}`, the address `{key}`; a key cannot be changed");
        return Err(Refusal::fault("/key", message));
    }
    object.insert("key".to_owned(), json!(key));
    for shown in SHOWN {
        object.remove(shown);
    }
    let written: Written = shape(&Value::Object(object))?;
    let faults = faults(&written, settings);
    if faults.is_empty() { Ok(written) } else { Err(Refusal::invalid(faults)) }
}

/// What `webhook` is with the members of `patch`; `null` brings a default back.
pub(super) fn merged(webhook: &Webhook, patch: &Value) -> Result<Value, Refusal> {
    let mut members = object(&json!({
        "key": webhook.key,
        "url": webhook.url,
        "events": webhook.events,
        "description": webhook.description,
        "enabled": webhook.enabled,
    }))?
    .clone();
    for (name, value) in object(patch)? {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    Ok(Value::Object(members))
}

fn faults(written: &Written, settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !is_key(&written.key) {
        faults.push(Fault::new("/key", "use 1 to 64 lower-case letters, digits, `-` or `_`"));
    }
    if let Err(message) = address(&written.url, settings) {
        faults.push(Fault::new("/url", message));
    }
    if written.description.chars().count() > 1000 {
        faults.push(Fault::new("/description", "is longer than 1000 characters; shorten it"));
    }
    if written.events.is_empty() {
        faults
            .push(Fault::new("/events", "names no events; leave it out for all, or write `flagbase.flag.*`"));
    }
    if written.events.len() > MOST_PATTERNS {
        faults.push(Fault::new("/events", format!("has more than {MOST_PATTERNS} patterns; use wildcards")));
        return faults;
    }
    for (at, pattern) in written.events.iter().enumerate() {
        if let Err(error) = Pattern::of_events(pattern) {
            faults.push(Fault::new(format!("/events/{at}"), error));
        }
    }
    faults
}

/// Fails for what is no address to send to. Names are looked up, and checked, at every sending.
fn address(text: &str, settings: &Settings) -> Result<(), String> {
    const FORM: &str = "write it as `https://hooks.example.com/path`";
    if text.len() > 2048 {
        return Err("is longer than 2048 characters; shorten it".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is no address: {error}; {FORM}"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("begins with `{}:`; {FORM}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password; the signature says who sends, leave them out".to_owned());
    }
    if url.fragment().is_some() {
        return Err("holds a fragment (`#…`), which is never sent; leave it out".to_owned());
    }
    let address = match url.host() {
        None => return Err(format!("has no host; {FORM}")),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if name != "localhost" && !name.ends_with(".localhost") {
                return Ok(());
            }
            IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
        }
    };
    permitted(settings.addresses, address).map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(body: &Value) -> Result<Written, Refusal> {
        read(body, "w", &Settings::default())
    }

    #[test]
    fn an_endpoint_needs_no_more_than_its_address() {
        let written = reading(&json!({"url": "https://hooks.example.com/in?x=1"})).unwrap();
        assert_eq!((written.key.as_str(), written.enabled), ("w", true));
        assert_eq!(written.events, ["flagbase.>"]);
    }

    #[test]
    fn what_was_read_can_be_sent_back() {
        let sent = json!({"key": "w", "url": "https://hooks.example.com", "events": ["flagbase.flag.*"], "id": "x",
            "revision": 3, "environment": "*", "failing_since": null, "pending": 3, "enabled": false});
        assert!(!reading(&sent).unwrap().enabled);
    }

    #[test]
    fn addresses_inside_are_refused_in_every_spelling() {
        for url in [
            "http://127.0.0.1/x",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]:80/",
            "http://localhost:9/",
            "http://a.LOCALHOST./",
            "https://10.1.2.3/",
            "https://192.168.0.1/",
            "http://[fd12::1]/",
            "http://169.254.169.254/latest",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
            "http://100.64.0.1/",
        ] {
            let refusal = reading(&json!({ "url": url })).unwrap_err();
            assert_eq!(refusal.faults[0].pointer, "/url", "{url}: {refusal}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_in_words() {
        for (url, word) in [
            ("", "no address"),
            ("hooks.example.com", "no address"),
            ("ftp://example.com/", "ftp:"),
            ("file:///etc/passwd", "file:"),
            ("https://u:p@example.com/", "password"),
            ("https://example.com/#x", "fragment"),
        ] {
            let refusal = reading(&json!({ "url": url })).unwrap_err();
            assert!(refusal.message.contains(word), "{url}: {refusal}");
        }
    }

    #[test]
    fn nonsense_is_told_with_its_place() {
        let url = "https://hooks.example.com";
        for (body, pointer) in [
            (json!({"url": url, "events": []}), "/events"),
            (json!({"url": url, "events": ["a..b"]}), "/events/0"),
            (json!({"url": url, "events": ["flagbase.>", "flagbase.f*"]}), "/events/1"),
            (json!({"url": url, "events": ["flagbase.flags.*"]}), "/events/0"),
            (json!({"url": url, "secret": "whsec_x"}), "/secret"),
            (json!({"url": url, "key": "other"}), "/key"),
            (json!({}), "/url"),
        ] {
            assert_eq!(reading(&body).unwrap_err().faults[0].pointer, pointer, "{body}");
        }
        assert!(read(&json!({"url": url}), "Not A Key", &Settings::default()).is_err());
    }
}
