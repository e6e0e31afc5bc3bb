//! What is refused before a signature is looked at, because s3s would let it pass.

use http::{HeaderMap, Method, Uri, request::Parts};
use jiff::Timestamp;
use s3s::{S3Result, s3_error};

/// The longest that a presigned URL can be good for, in seconds: seven days.
const LONGEST: u64 = 7 * 24 * 60 * 60;

/// The longest query, in bytes.
const LONGEST_QUERY: usize = 16 * 1024;

/// Refuses at `now` what would be misunderstood or trusted too much.
pub(super) fn check(head: &Parts, now: Timestamp) -> S3Result<()> {
    let Parts { method, uri, headers, .. } = head;
    if uri.query().is_some_and(|query| query.len() > LONGEST_QUERY) {
        return Err(s3_error!(InvalidURI, "the query is too long"));
    }
    check_version_2(head, now)?;
    check_presigned(uri, headers)?;
    check_signed(uri, headers)?;
    check_features(headers)?;
    if matches!(*method, Method::TRACE | Method::CONNECT) {
        return Err(s3_error!(MethodNotAllowed, "there is nothing behind this method"));
    }
    Ok(())
}

/// Signatures of version 2 sign neither the host nor most of the query, and have no limit in time. Clients still make URLs
/// with them: these read or write one object, for as long as others may.
fn check_version_2(head: &Parts, now: Timestamp) -> S3Result<()> {
    let Parts { method, uri, headers, .. } = head;
    if text(headers, "authorization").is_some_and(|value| value.starts_with("AWS ")) {
        return Err(s3_error!(
            InvalidRequest,
            "sign with AWS4-HMAC-SHA256; version 2 is not understood in headers"
        ));
    }
    if !parameters(uri).any(|(name, _)| matches!(name, "Signature" | "AWSAccessKeyId")) {
        return Ok(());
    }
    if headers.contains_key("authorization") {
        return Err(s3_error!(InvalidArgument, "a request is signed in its URL or in its head, not in both"));
    }
    let known = |name: &str| {
        matches!(name, "Signature" | "AWSAccessKeyId" | "Expires" | "versionId" | "x-id")
            || name.starts_with("response-")
    };
    let one = uri.path().trim_start_matches('/').len() > 1 && !uri.path().ends_with('/');
    if !matches!(*method, Method::GET | Method::HEAD | Method::PUT)
        || !one
        || !parameters(uri).all(|(name, _)| known(name))
    {
        let message = "URLs signed with version 2 read or write one object; sign with AWS4-HMAC-SHA256";
        return Err(s3_error!(InvalidRequest, "{message}"));
    }
    let mut all = parameters(uri).filter(|(name, _)| *name == "Expires");
    let expires = all.next().and_then(|(_, value)| value.parse::<i64>().ok());
    let latest = now.as_second().saturating_add(i64::try_from(LONGEST).unwrap_or(i64::MAX));
    match expires {
        Some(expires) if expires <= latest && all.next().is_none() => Ok(()),
        _ => Err(s3_error!(
            AuthorizationQueryParametersError,
            "Expires must be a time within the next {LONGEST} seconds"
        )),
    }
}

/// The region for which a request says it was signed, when that can be no region: clients that do not know ours ask so.
pub(super) fn odd_region(uri: &Uri, headers: &HeaderMap) -> bool {
    let header = text(headers, "authorization").and_then(|value| value.split_once("Credential="));
    let in_query = || parameters(uri).find(|(name, _)| *name == "X-Amz-Credential").map(|(_, value)| value);
    let Some(credential) = header.map(|(_, rest)| rest).or_else(in_query) else { return false };
    let credential = credential.replace("%2F", "/").replace("%2f", "/");
    let region = credential.split('/').nth(2).unwrap_or_default();
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !region.bytes().all(known)
}

fn check_presigned(uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    let amz: Vec<(&str, &str)> = parameters(uri).filter(|(name, _)| name.starts_with("X-Amz-")).collect();
    let signed = amz.iter().any(|(name, _)| *name == "X-Amz-Signature");
    if !signed {
        if amz.iter().any(|(name, _)| matches!(*name, "X-Amz-Credential" | "X-Amz-Algorithm")) {
            return Err(s3_error!(AuthorizationQueryParametersError, "the URL has no X-Amz-Signature"));
        }
        return Ok(());
    }
    if headers.contains_key("authorization") {
        return Err(s3_error!(InvalidArgument, "a request is signed in its URL or in its head, not in both"));
    }
    let mut names: Vec<&str> = amz.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return Err(s3_error!(
            AuthorizationQueryParametersError,
            "a parameter of the signature is there twice"
        ));
    }
    let expires = amz.iter().find(|(name, _)| *name == "X-Amz-Expires");
    match expires.and_then(|(_, value)| value.parse::<u64>().ok()) {
        Some(1..=LONGEST) => Ok(()),
        _ => Err(s3_error!(
            AuthorizationQueryParametersError,
            "X-Amz-Expires must be between 1 and {LONGEST} seconds"
        )),
    }
}

/// What changes the meaning of a request must be signed with it, or it could be added on the way; so must the host.
fn check_signed(uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    let in_header = text(headers, "authorization").and_then(|value| {
        let (_, rest) = value.split_once("SignedHeaders=")?;
        Some(rest.split([',', ' ']).next().unwrap_or_default().to_owned())
    });
    let in_query = || {
        let (_, value) = parameters(uri).find(|(name, _)| *name == "X-Amz-SignedHeaders")?;
        Some(value.replace("%3B", ";").replace("%3b", ";"))
    };
    let Some(signed) = in_header.or_else(in_query) else { return Ok(()) };
    let signed: Vec<String> = signed.split(';').map(str::to_ascii_lowercase).collect();
    let has = |name: &str| signed.iter().any(|word| word == name);
    if !has("host") && !has(":authority") {
        return Err(s3_error!(AccessDenied, "the header `host` is not signed"));
    }
    if let Some(missing) = signed.iter().find(|name| *name != "host" && !headers.contains_key(name.as_str()))
    {
        let shown: String = missing.chars().take(64).collect();
        return Err(s3_error!(AccessDenied, "the header `{shown}` is signed and was not sent"));
    }
    let unsigned = headers.keys().map(http::HeaderName::as_str).find(|name| {
        // Tells what the body is, which is what it is then checked against.
        name.starts_with("x-amz-")
            && !matches!(*name, "x-amz-content-sha256" | "x-amz-user-agent")
            && !has(name)
    });
    match unsigned {
        Some(name) => Err(s3_error!(AccessDenied, "the header `{name}` was sent and is not signed")),
        None => Ok(()),
    }
}

/// What headers of checksums may be of.
const CHECKSUMS: [&str; 8] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256", "algorithm", "type", "mode"];

/// What would be a false promise if it were passed over.
fn check_features(headers: &HeaderMap) -> S3Result<()> {
    let unknown = headers.keys().map(http::HeaderName::as_str).find(|name| {
        name.starts_with("x-amz-server-side-encryption")
            || name.starts_with("x-amz-copy-source-server-side-encryption")
            || name.starts_with("x-amz-object-lock")
            || name.starts_with("x-amz-grant")
            || *name == "x-amz-write-offset-bytes"
            || *name == "x-amz-website-redirect-location"
            || name.strip_prefix("x-amz-checksum-").is_some_and(|kind| !CHECKSUMS.contains(&kind))
    });
    match unknown {
        Some(name) => Err(s3_error!(NotImplemented, "`{name}` is not understood here")),
        None => Ok(()),
    }
}

/// Who signed the request, as far as it says so: the id of an access key. Nothing was verified.
pub(super) fn claimed(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = text(headers, "authorization").and_then(|value| value.split_once("Credential="));
    let credential = match header {
        Some((_, rest)) => rest,
        None => parameters(uri).find(|(name, _)| *name == "X-Amz-Credential").map(|(_, value)| value)?,
    };
    let id: String = credential.chars().take_while(char::is_ascii_alphanumeric).collect();
    (!id.is_empty()).then_some(id)
}

/// Names and values of the query, as they were sent.
fn parameters(uri: &Uri) -> impl Iterator<Item = (&str, &str)> {
    let query = uri.query().unwrap_or_default();
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests;
