//! Headers on their way through: what may not pass is removed, what we vouch for is set.

use std::sync::Arc;

use bytes::Bytes;
use flagbase_core::{caller::Caller, engine::Reason, gateway::Choice};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

/// Names that are not in `http`.
pub(crate) mod names {
    use http::HeaderName;

    pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
    pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    pub(crate) const ENVIRONMENT: HeaderName = HeaderName::from_static("x-flagbase-environment");
    pub(crate) const FLAG: HeaderName = HeaderName::from_static("x-flagbase-flag");
    pub(crate) const VARIANT: HeaderName = HeaderName::from_static("x-flagbase-variant");
    pub(crate) const REASON: HeaderName = HeaderName::from_static("x-flagbase-reason");
    pub(crate) const USER: HeaderName = HeaderName::from_static("x-flagbase-user");
    pub(crate) const EMAIL: HeaderName = HeaderName::from_static("x-flagbase-email");
    pub(crate) const ROLE: HeaderName = HeaderName::from_static("x-flagbase-role");
    pub(crate) const GROUPS: HeaderName = HeaderName::from_static("x-flagbase-groups");
    pub(crate) const FUNCTION: HeaderName = HeaderName::from_static("x-flagbase-function");
    pub(crate) const BUCKET: HeaderName = HeaderName::from_static("x-flagbase-bucket");
    pub(crate) const SESSION: HeaderName = HeaderName::from_static("x-flagbase-session");
}

/// Whether a header concerns one connection only (RFC 9110 §7.6.1, and what is used like them).
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "transfer-encoding"
            | "upgrade"
            | "te"
            | "proxy-authorization"
            | "proxy-authenticate"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
    )
}

/// Names collected for removal; more than a handful are rare.
type Names = SmallVec<[HeaderName; 6]>;

/// What a request is forwarded with, beside the caller and the decision.
#[derive(Debug)]
pub(crate) struct Forwarding<'a> {
    /// Whether `X-Forwarded-*` from the peer is believed.
    pub(crate) trusted: bool,
    /// The peer's address.
    pub(crate) peer: &'a HeaderValue,
    /// The `Host` that the client sent.
    pub(crate) host: Option<HeaderValue>,
    /// Whether the caller's token goes on.
    pub(crate) forward_token: bool,
    /// `X-Request-Id`.
    pub(crate) request_id: HeaderValue,
}

/// The value of `Via` that we add.
const VIA: HeaderValue = HeaderValue::from_static("1.1 flagbase");

/// More passes through us than this are a loop.
const MOST_PASSES: usize = 8;

/// Whether the request has come through here too often.
pub(crate) fn loops(headers: &HeaderMap) -> bool {
    let passes = headers.get_all(header::VIA).iter().filter_map(|value| value.to_str().ok());
    passes.map(|via| via.matches("flagbase").count()).sum::<usize>() >= MOST_PASSES
}

/// The headers a request is forwarded with, `Host` and the framing of its body left out: these belong to the connection
/// it goes over.
#[derive(Debug)]
pub(crate) struct Outbound<'a> {
    /// What the client sent.
    pub(crate) sent: &'a HeaderMap,
    /// The way it came.
    pub(crate) with: Forwarding<'a>,
    /// The gateway's environment.
    pub(crate) environment: &'a HeaderValue,
    /// Who asks.
    pub(crate) caller: &'a Identified,
    /// What was decided.
    pub(crate) decided: Decided<'a>,
}

/// What a flag decided about a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Decided<'a> {
    /// The flag's key.
    pub(crate) flag: Option<&'a HeaderValue>,
    /// Its variant.
    pub(crate) variant: Option<&'a str>,
    /// Why that variant.
    pub(crate) reason: Option<Reason>,
}

impl<'a> From<&'a Choice> for Decided<'a> {
    fn from(choice: &'a Choice) -> Self {
        Self {
            flag: choice.route.flag_header.as_ref(),
            variant: choice.variant.as_deref(),
            reason: choice.reason,
        }
    }
}

impl Outbound<'_> {
    /// Gives every header to `put`: of the client's only those that a client may send on, then what we know of the way
    /// the request came, of the caller and of the decision. Nothing of the latter can come from a client.
    pub(crate) fn each(&self, mut put: impl FnMut(&HeaderName, &HeaderValue)) {
        let named = named_by_connection(self.sent);
        for (name, value) in self.sent {
            if self.passes(name) && !named.contains(name) {
                put(name, value);
            }
        }
        if wants_trailers(self.sent) {
            put(&header::TE, &HeaderValue::from_static("trailers"));
        }
        let with = &self.with;
        match self.claimed(&names::FORWARDED_FOR) {
            Some(_) => put(&names::FORWARDED_FOR, &joined(self.sent, &names::FORWARDED_FOR, with.peer)),
            None => put(&names::FORWARDED_FOR, with.peer),
        }
        if self.claimed(&names::FORWARDED_PROTO).is_none() {
            put(&names::FORWARDED_PROTO, &HeaderValue::from_static("http"));
        }
        if let Some(host) = with.host.as_ref().filter(|_| self.claimed(&names::FORWARDED_HOST).is_none()) {
            put(&names::FORWARDED_HOST, host);
        }
        put(&header::VIA, &VIA);
        put(&names::REQUEST_ID, &with.request_id);
        self.vouch(put);
    }

    /// Says who is asking and what was decided.
    fn vouch(&self, mut put: impl FnMut(&HeaderName, &HeaderValue)) {
        put(&names::ENVIRONMENT, self.environment);
        for (name, value) in &self.caller.values {
            put(name, value);
        }
        let Decided { flag, variant, reason } = self.decided;
        if let Some(flag) = flag {
            put(&names::FLAG, flag);
        }
        if let Some(variant) = variant {
            put(&names::VARIANT, &variant_value(variant));
        }
        if let Some(reason) = reason {
            put(&names::REASON, &HeaderValue::from_static(reason.as_str()));
        }
    }

    /// The host the client asked for, as far as that is believed.
    pub(crate) fn host(&self) -> Option<&HeaderValue> {
        self.claimed(&names::FORWARDED_HOST).or(self.with.host.as_ref())
    }

    /// What a trusted proxy says about the way.
    fn claimed(&self, name: &HeaderName) -> Option<&HeaderValue> {
        if self.with.trusted { self.sent.get(name) } else { None }
    }

    fn passes(&self, name: &HeaderName) -> bool {
        match name.as_str() {
            // Set anew for the next connection, or by us.
            "host" | "content-length" | "expect" | "x-forwarded-for" | "x-request-id" => false,
            "authorization" | "x-api-key" => self.with.forward_token,
            _ => {
                let claim = !self.with.trusted && is_forwarding_claim(name);
                !is_hop_by_hop(name) && !is_ours(name) && !claim
            }
        }
    }
}

/// What is said of a caller, ready to be sent. Made once per caller and connection: a client's connection mostly
/// carries requests of one caller.
#[derive(Debug)]
pub(crate) struct Identified {
    caller: Arc<Caller>,
    values: SmallVec<[(HeaderName, HeaderValue); 5]>,
}

impl Identified {
    pub(crate) fn new(caller: &Arc<Caller>) -> Self {
        let mut values = SmallVec::new();
        values.push((names::ROLE, value(&caller.role)));
        if !caller.is_nobody() {
            values.push((names::USER, value(&caller.id)));
            values.push((names::EMAIL, value(&caller.email)));
            values.extend(caller.session.as_ref().map(|session| (names::SESSION, value(session))));
        }
        if !caller.groups.is_empty() {
            values.push((names::GROUPS, groups(&caller.groups)));
        }
        Self { caller: Arc::clone(caller), values }
    }

    /// Whether this is about `caller`, as it is now.
    pub(crate) fn is_of(&self, caller: &Arc<Caller>) -> bool {
        Arc::ptr_eq(&self.caller, caller)
    }
}

fn variant_value(variant: &str) -> HeaderValue {
    match variant {
        "true" => HeaderValue::from_static("true"),
        "false" => HeaderValue::from_static("false"),
        other => value(other),
    }
}

/// Removes from an answer all that concerns the upstream's connection only.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    let mut unwanted = named_by_connection(headers);
    unwanted.extend(headers.keys().filter(|name| is_hop_by_hop(name)).cloned());
    for name in &unwanted {
        headers.remove(name);
    }
}

/// Removes from trailers what could be taken for something else behind us.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    let framing = [header::CONTENT_LENGTH, header::HOST, header::AUTHORIZATION, header::TRAILER];
    let unwanted: Names = trailers
        .keys()
        .filter(|name| {
            is_hop_by_hop(name) || is_ours(name) || is_forwarding_claim(name) || framing.contains(name)
        })
        .cloned()
        .collect();
    for name in &unwanted {
        trailers.remove(name);
    }
}

/// Names that a client can never pass on: ours, and those with an underscore, which some backends cannot tell from
/// ones with a hyphen.
fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-flagbase-") || memchr::memchr(b'_', name.as_bytes()).is_some()
}

/// Names that claim where a request came from.
fn is_forwarding_claim(name: &HeaderName) -> bool {
    *name == header::FORWARDED || name.as_str().starts_with("x-forwarded-") || name.as_str() == "x-real-ip"
}

fn named_by_connection(headers: &HeaderMap) -> Names {
    let mut named = Names::new();
    for value in headers.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            let usual = [&b"keep-alive"[..], b"close", b"upgrade"];
            if usual.iter().any(|word| token.eq_ignore_ascii_case(word)) {
                continue;
            }
            named.extend(HeaderName::from_bytes(token).ok());
        }
    }
    named
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    let wanted = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    };
    headers.contains_key(header::TE) && headers.get_all(header::TE).iter().any(wanted)
}

fn joined(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> HeaderValue {
    let mut bytes = Vec::new();
    for value in headers.get_all(name) {
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b", ");
    }
    bytes.extend_from_slice(last.as_bytes());
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).unwrap_or_else(|_| last.clone())
}

/// Text as a header value; what cannot stand in one is percent-encoded.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| encoded(text, false))
}

fn groups(groups: &[Arc<str>]) -> HeaderValue {
    let plain = |group: &str| !group.contains([',', '%']) && HeaderValue::from_str(group).is_ok();
    let shown: Vec<_> =
        groups.iter().map(|group| if plain(group) { value(group) } else { encoded(group, true) }).collect();
    let bytes = shown.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b","[..]);
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).unwrap_or(HeaderValue::from_static(""))
}

fn encoded(text: &str, in_list: bool) -> HeaderValue {
    let keep = |byte: u8| (0x21..0x7f).contains(&byte) && byte != b'%' && !(in_list && byte == b',');
    let mut bytes = Vec::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if keep(byte) {
            bytes.push(byte);
        } else {
            bytes.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).unwrap_or(HeaderValue::from_static(""))
}

/// Whether an inbound `X-Request-Id` may be kept.
pub(crate) fn is_request_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    (1..=128).contains(&bytes.len()) && bytes.iter().all(plain)
}

/// The caller's token: `Authorization: Bearer <token>`, the bare token that the first API took, or `X-API-Key`. Other
/// schemes are not ours to judge.
pub(crate) fn token(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return match headers.get(names::API_KEY) {
            Some(key) => key.to_str().map(|key| Some(key.trim())).map_err(|_| ()),
            None => Ok(None),
        };
    };
    let value = value.to_str().map_err(|_| ())?.trim();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        Some(_) => Ok(None),
        None => Ok(Some(value)),
    }
}

#[cfg(test)]
mod tests;
