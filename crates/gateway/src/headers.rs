//! Headers on their way through: what may not pass is removed, what we vouch for is set.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use flagbase_core::{caller::Caller, gateway::Choice};
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
    pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    pub(crate) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    pub(crate) const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
    pub(crate) const ENVIRONMENT: HeaderName = HeaderName::from_static("x-flagbase-environment");
    pub(crate) const FLAG: HeaderName = HeaderName::from_static("x-flagbase-flag");
    pub(crate) const VARIANT: HeaderName = HeaderName::from_static("x-flagbase-variant");
    pub(crate) const REASON: HeaderName = HeaderName::from_static("x-flagbase-reason");
    pub(crate) const USER: HeaderName = HeaderName::from_static("x-flagbase-user");
    pub(crate) const EMAIL: HeaderName = HeaderName::from_static("x-flagbase-email");
    pub(crate) const ROLE: HeaderName = HeaderName::from_static("x-flagbase-role");
    pub(crate) const GROUPS: HeaderName = HeaderName::from_static("x-flagbase-groups");
    pub(crate) const SESSION: HeaderName = HeaderName::from_static("x-flagbase-session");
}

/// Headers that concern one connection only (RFC 9110 §7.6.1, and what is used like them).
static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    names::KEEP_ALIVE,
    names::PROXY_CONNECTION,
    names::HTTP2_SETTINGS,
];

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

/// Removes from a request all that a client may not send on, and says what we know of the way it came.
pub(crate) fn forward(headers: &mut HeaderMap, with: Forwarding<'_>) {
    let wants_trailers = wants_trailers(headers);
    let mut unwanted = named_by_connection(headers);
    for name in headers.keys() {
        let token = *name == header::AUTHORIZATION || *name == names::API_KEY;
        let claims = !with.trusted && is_forwarding_claim(name);
        if HOP_BY_HOP.contains(name)
            || is_ours(name)
            || claims
            || (token && !with.forward_token)
            || *name == header::EXPECT
        {
            unwanted.push(name.clone());
        }
    }
    for name in &unwanted {
        headers.remove(name);
    }
    headers.reserve(16);
    if wants_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let way = if headers.contains_key(names::FORWARDED_FOR) {
        joined(headers, &names::FORWARDED_FOR, with.peer)
    } else {
        with.peer.clone()
    };
    headers.insert(names::FORWARDED_FOR, way);
    if !headers.contains_key(names::FORWARDED_PROTO) {
        headers.insert(names::FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = with.host.filter(|_| !headers.contains_key(names::FORWARDED_HOST)) {
        headers.insert(names::FORWARDED_HOST, host);
    }
    headers.append(header::VIA, VIA);
    headers.insert(names::REQUEST_ID, with.request_id);
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

/// Says who is asking and what was decided. Nothing of this can come from a client: [`forward`] ran before.
pub(crate) fn vouch(
    headers: &mut HeaderMap,
    environment: &HeaderValue,
    caller: &Identified,
    choice: &Choice,
) {
    headers.insert(names::ENVIRONMENT, environment.clone());
    for (name, value) in &caller.values {
        headers.insert(name, value.clone());
    }
    if let Some(flag) = &choice.route.flag_header {
        headers.insert(names::FLAG, flag.clone());
    }
    if let Some(variant) = &choice.variant {
        headers.insert(names::VARIANT, variant_value(variant));
    }
    if let Some(reason) = choice.reason {
        headers.insert(names::REASON, HeaderValue::from_static(reason.as_str()));
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
    unwanted.extend(headers.keys().filter(|name| HOP_BY_HOP.contains(name)).cloned());
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
            HOP_BY_HOP.contains(name) || is_ours(name) || is_forwarding_claim(name) || framing.contains(name)
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

/// The address a request came from: the peer's, or what trusted proxies say before it.
pub(crate) fn client_address(headers: &HeaderMap, peer: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = peer;
    let claims = headers.get_all(names::FORWARDED_FOR).iter().rev();
    for claim in claims.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(',')) {
        if !trusts(client) {
            break;
        }
        match claim.trim().parse() {
            Ok(address) => client = address,
            Err(_) => break,
        }
    }
    client
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
