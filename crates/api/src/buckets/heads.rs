//! Headers of requests and answers that say something of an object.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use flagbase_core::{
    buckets::{Algorithm, Checksum, Condition, Digests, Granted, Object, ObjectHead, etags, http_date},
    refusal::{Class, Refusal},
};
use serde_json::{Value, json};

/// What names of metadata begin with in headers.
const META: &str = "x-meta-";
/// What names of checksums begin with in headers.
const CHECKSUM: &str = "x-checksum-";
/// Media types that a browser shows without running anything. REST has the console's origin: what could run there is
/// only ever downloaded.
const HARMLESS: [&str; 12] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "text/plain",
    "text/csv",
    "application/json",
    "application/octet-stream",
];

/// What the headers of a request say of the object that it writes.
pub(super) fn head(headers: &HeaderMap) -> Result<ObjectHead, Refusal> {
    let some = |name| headers.get(name).map(text).transpose();
    let mut metadata = BTreeMap::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(META) {
            metadata.insert(name.to_owned(), text(value)?);
        }
    }
    Ok(ObjectHead {
        content_type: some(header::CONTENT_TYPE)?.unwrap_or_default(),
        cache_control: some(header::CACHE_CONTROL)?,
        content_disposition: some(header::CONTENT_DISPOSITION)?,
        content_encoding: some(header::CONTENT_ENCODING)?,
        content_language: some(header::CONTENT_LANGUAGE)?,
        expires: some(header::EXPIRES)?,
        metadata,
    })
}

fn text(value: &HeaderValue) -> Result<String, Refusal> {
    let text = std::str::from_utf8(value.as_bytes()).map(str::to_owned);
    text.map_err(|_| malformed("bad_header", "a header is not UTF-8; encode it as UTF-8"))
}

/// `X-Tags: team=blue&cost=7`; `None` without the header.
pub(super) fn tags(headers: &HeaderMap) -> Result<Option<BTreeMap<String, String>>, Refusal> {
    let Some(value) = headers.get("x-tags") else { return Ok(None) };
    let value = text(value)?;
    Ok(Some(url::form_urlencoded::parse(value.as_bytes()).into_owned().collect()))
}

/// What must come out of the bytes: `Content-MD5`, `Content-Digest` (RFC 9530) and `X-Checksum-<algorithm>`. Nothing
/// more than that is computed.
pub(super) fn digests(headers: &HeaderMap) -> Result<Digests, Refusal> {
    let mut digests = Digests { size: super::arriving::declared(headers), ..Digests::default() };
    let mut expect = |algorithm, value: &str| {
        digests.expect.push(Checksum { algorithm, value: value.trim().to_owned(), composite: false });
    };
    if let Some(value) = headers.get("content-md5") {
        expect(Algorithm::Md5, &text(value)?);
    }
    for value in headers.get_all("content-digest") {
        for (name, value) in text(value)?.split(',').filter_map(|one| one.trim().split_once('=')) {
            let value = value.trim().strip_prefix(':').and_then(|value| value.strip_suffix(':'));
            let algorithm = match name.trim() {
                "sha-256" => Algorithm::Sha256,
                "sha" => Algorithm::Sha1,
                "md5" => Algorithm::Md5,
                // Others are not to be looked at (RFC 9530, section 2).
                _ => continue,
            };
            let wrong = || malformed("invalid_digest", "write `Content-Digest: sha-256=:<base64>:`");
            expect(algorithm, value.ok_or_else(wrong)?);
        }
    }
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(CHECKSUM) {
            let algorithm = name.parse().map_err(|error| malformed("invalid_digest", error))?;
            expect(algorithm, &text(value)?);
        }
    }
    let kept = |algorithm: &Algorithm| !matches!(algorithm, Algorithm::Md5 | Algorithm::Crc64Nvme);
    digests.keep = digests.expect.iter().map(|checksum| checksum.algorithm).find(kept);
    Ok(digests)
}

/// What must be there now: `If-Match` and `If-None-Match` of a request that writes.
pub(super) fn condition(headers: &HeaderMap) -> Result<Condition, Refusal> {
    let some = |name| headers.get(name).map(text).transpose();
    match (some(header::IF_MATCH)?, some(header::IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::Any),
        (Some(tags), None) if tags.trim() == "*" => Ok(Condition::Present),
        (Some(tags), None) => Ok(Condition::Etag(etags(&tags, false).map(str::to_owned).collect())),
        (None, Some(tags)) if tags.trim() == "*" => Ok(Condition::Absent),
        _ => Err(malformed("bad_precondition", "expected `If-Match`, or `If-None-Match: *`, and not both")),
    }
}

/// The headers that say what an object is, for whoever was let in so.
pub(super) fn headers(object: &Object, granted: Granted) -> HeaderMap {
    let mut headers = known(object);
    let ObjectHead { content_type, cache_control, content_disposition, content_encoding, .. } = &object.head;
    let kind = if content_type.is_empty() { "application/octet-stream" } else { content_type };
    put(&mut headers, header::CONTENT_TYPE, kind);
    put(&mut headers, header::CACHE_CONTROL, cache_control.as_deref().unwrap_or("private, no-cache"));
    if let Some(encoding) = content_encoding {
        put(&mut headers, header::CONTENT_ENCODING, encoding);
    }
    let others =
        [(header::CONTENT_LANGUAGE, &object.head.content_language), (header::EXPIRES, &object.head.expires)];
    for (name, value) in others {
        if let Some(value) = value {
            put(&mut headers, name, value);
        }
    }
    let shown = granted != Granted::Public && is_harmless(kind);
    if let Some(disposition) = disposition(content_disposition.as_deref(), shown) {
        put(&mut headers, header::CONTENT_DISPOSITION, &disposition);
    }
    put(&mut headers, header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
    for (name, value) in &object.head.metadata {
        if let Ok(name) = HeaderName::try_from(format!("{META}{name}")) {
            put(&mut headers, name, value);
        }
    }
    if !object.tags.is_empty() {
        put(&mut headers, HeaderName::from_static("x-tag-count"), &object.tags.len().to_string());
    }
    headers
}

/// The headers that tell one state of an object from another: also with 304.
pub(super) fn known(object: &Object) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    put(&mut headers, header::ETAG, &format!("\"{}\"", object.etag));
    put(&mut headers, HeaderName::from_static("x-version"), &object.version);
    if let Some(date) = http_date(object.modified) {
        put(&mut headers, header::LAST_MODIFIED, &date);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let crc64 = Checksum::of(Algorithm::Crc64Nvme, &object.crc64.to_be_bytes()).value;
    put(&mut headers, HeaderName::from_static("x-checksum-crc64nvme"), &crc64);
    if let Some(checksum) = object.checksum.as_ref().filter(|checksum| !checksum.composite)
        && let Ok(name) = HeaderName::try_from(format!("{CHECKSUM}{}", checksum.algorithm))
    {
        put(&mut headers, name, &checksum.value);
    }
    headers
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

fn is_harmless(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    HARMLESS.contains(&kind.as_str()) || kind.starts_with("audio/") || kind.starts_with("video/")
}

/// What its writer said, unless that would show what is not to be shown.
fn disposition(said: Option<&str>, shown: bool) -> Option<String> {
    match said {
        Some(said) if shown || said.trim_start().to_ascii_lowercase().starts_with("attachment") => {
            Some(said.to_owned())
        }
        Some(said) => {
            let name = said.split_once(';').map(|(_, name)| format!(";{name}")).unwrap_or_default();
            Some(format!("attachment{name}"))
        }
        None if shown => None,
        None => Some("attachment".to_owned()),
    }
}

/// An object as JSON.
pub(super) fn view(object: &Object) -> Value {
    let mut shown = serde_json::to_value(&object.head).unwrap_or_default();
    let Some(members) = shown.as_object_mut() else { return shown };
    let mut set = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    set("key", object.key.as_str().into());
    set("version", object.version.as_str().into());
    set("latest", object.latest.into());
    set("modified_at", json!(object.modified));
    if object.marker {
        set("marker", true.into());
        return shown;
    }
    set("size", object.size.into());
    set("etag", object.etag.as_str().into());
    set("crc64nvme", Checksum::of(Algorithm::Crc64Nvme, &object.crc64.to_be_bytes()).value.into());
    if let Some(checksum) = &object.checksum {
        set("checksum", json!(checksum));
    }
    if !object.tags.is_empty() {
        set("tags", json!(object.tags));
    }
    shown
}

fn malformed(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(Class::Malformed, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &[(&str, &str)]) -> HeaderMap {
        let parsed = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        parsed.collect()
    }

    fn of(content_type: &str, disposition: Option<&str>) -> Object {
        let head = ObjectHead {
            content_disposition: disposition.map(str::to_owned),
            ..ObjectHead::of_type(content_type)
        };
        Object { etag: "e-1".into(), head, ..Object::default() }
    }

    #[test]
    fn what_is_said_with_the_bytes_comes_back_with_them() {
        let said = sent(&[
            ("content-type", "text/plain"),
            ("cache-control", "max-age=60"),
            ("content-language", "de"),
            ("x-meta-colour", "grün"),
            ("x-other", "no"),
        ]);
        let object = Object { head: head(&said).unwrap(), ..Object::default() };
        assert_eq!(object.head.metadata, BTreeMap::from([("colour".to_owned(), "grün".to_owned())]));
        let told = headers(&object, Granted::Permission);
        for name in ["content-type", "cache-control", "content-language", "x-meta-colour"] {
            assert_eq!(told.get(name), said.get(name), "{name}");
        }
        assert!(!told.contains_key("content-disposition") && told.contains_key("content-security-policy"));
    }

    #[test]
    fn what_a_browser_could_run_is_only_downloaded() {
        let told = |object: &Object, granted| {
            let told = headers(object, granted);
            told.get("content-disposition").map(|value| value.to_str().unwrap().to_owned())
        };
        for kind in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "TEXT/HTML; a=b",
            "x",
            "application/pdf",
        ] {
            assert_eq!(told(&of(kind, None), Granted::Permission).as_deref(), Some("attachment"), "{kind}");
            let named = of(kind, Some("inline; filename=\"a.html\""));
            let disposition = told(&named, Granted::Permission);
            assert_eq!(disposition.as_deref(), Some("attachment; filename=\"a.html\""), "{kind}");
        }
        assert_eq!(told(&of("image/png", None), Granted::Permission), None);
        assert_eq!(told(&of("image/png", Some("inline")), Granted::Policy).as_deref(), Some("inline"));
        assert_eq!(told(&of("image/png", None), Granted::Public).as_deref(), Some("attachment"));
        assert_eq!(
            told(&of("video/mp4", Some("attachment; filename=x")), Granted::Public).as_deref(),
            Some("attachment; filename=x")
        );
    }

    #[test]
    fn digests_that_are_said_are_compared_and_no_others_are_computed() {
        let none = digests(&sent(&[("content-length", "3")])).unwrap();
        assert!(none.expect.is_empty() && !none.md5 && none.keep.is_none() && none.size == Some(3));
        let some = digests(&sent(&[
            ("content-md5", "abc="),
            ("content-digest", "sha-512=:x:, sha-256=:YQ==:"),
            ("x-checksum-crc64nvme", "AAAAAAAAAAA="),
        ]));
        let some = some.unwrap();
        let algorithms: Vec<_> = some.expect.iter().map(|checksum| checksum.algorithm).collect();
        assert_eq!(algorithms, [Algorithm::Md5, Algorithm::Sha256, Algorithm::Crc64Nvme]);
        assert_eq!((some.keep, some.expect[1].value.as_str()), (Some(Algorithm::Sha256), "YQ=="));
        for wrong in [("x-checksum-rot13", "x"), ("content-digest", "sha-256=YQ==")] {
            assert_eq!(digests(&sent(&[wrong])).unwrap_err().code, "invalid_digest", "{wrong:?}");
        }
    }

    #[test]
    fn conditions_of_writes_name_states_or_nothing() {
        let of = |headers: &[(&str, &str)]| condition(&sent(headers)).map_err(|refusal| refusal.code);
        assert_eq!(of(&[]), Ok(Condition::Any));
        assert_eq!(of(&[("if-match", "*")]), Ok(Condition::Present));
        assert_eq!(of(&[("if-none-match", "*")]), Ok(Condition::Absent));
        let some = Condition::Etag(vec!["a".into(), "b-1".into()]);
        assert_eq!(of(&[("if-match", "\"a\", W/\"w\", \"b-1\"")]), Ok(some));
        assert_eq!(of(&[("if-none-match", "\"a\"")]), Err("bad_precondition"));
        assert_eq!(of(&[("if-none-match", "*"), ("if-match", "*")]), Err("bad_precondition"));
    }

    #[test]
    fn tags_come_as_a_form() {
        assert_eq!(tags(&sent(&[])).unwrap(), None);
        let some = tags(&sent(&[("x-tags", "team=blue&note=a%20b")])).unwrap().unwrap();
        assert_eq!(some["note"], "a b");
    }
}
