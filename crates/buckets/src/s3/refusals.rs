//! Refusals as S3 tells them: the one place where they meet codes and statuses of S3.

use flagbase_core::refusal::{Class, Refusal};
use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::{S3Error, S3ErrorCode};

/// A refusal as an error of S3.
pub(super) fn refused(refusal: Refusal) -> S3Error {
    let (code, status) = code(&refusal);
    if matches!(refusal.class, Class::Internal | Class::Unavailable) {
        let cause = std::error::Error::source(&refusal).map(ToString::to_string).unwrap_or_default();
        tracing::error!(code = refusal.code, cause, "an S3 request failed: {}", refusal.message);
    }
    let message = match refusal.class {
        // Nobody sends a token here.
        Class::Unauthenticated => {
            "this needs an access key; sign the request with one that may do this".to_owned()
        }
        _ => refusal.message,
    };
    let mut error = S3Error::with_message(code, message);
    if let Some(status) = status {
        error.set_status_code(status);
    }
    if let Some(wait) = refusal.retry_after {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        error.set_headers(headers);
    }
    error
}

/// What `code` means to S3, and the status where S3 has none for it.
fn code(refusal: &Refusal) -> (S3ErrorCode, Option<StatusCode>) {
    use S3ErrorCode as Code;
    let known = match refusal.code {
        "bucket_not_found" | "environment_not_found" => Code::NoSuchBucket,
        "object_not_found" => Code::NoSuchKey,
        "upload_not_found" => Code::NoSuchUpload,
        "invalid_part" => Code::InvalidPart,
        "invalid_part_order" => Code::InvalidPartOrder,
        "invalid_part_number" => Code::InvalidArgument,
        "malformed_parts" => Code::MalformedXML,
        "entity_too_small" => Code::EntityTooSmall,
        "precondition_failed" => Code::PreconditionFailed,
        "bad_digest" | "checksum_mismatch" => Code::BadDigest,
        "invalid_digest" => Code::InvalidDigest,
        "checksum_missing" => Code::InvalidRequest,
        "incomplete_body" | "bad_body" => Code::IncompleteBody,
        "body_too_large" => Code::EntityTooLarge,
        "request_timeout" => Code::RequestTimeout,
        "invalid_range" => Code::InvalidRange,
        "bucket_not_empty" => Code::BucketNotEmpty,
        "object_busy" | "revision_mismatch" => Code::OperationAborted,
        // No status of S3 means that there is no room; these are what its peers answer.
        "quota_objects" | "quota_bytes" => {
            return (Code::Custom("QuotaExceeded".into()), Some(StatusCode::FORBIDDEN));
        }
        "storage_full" => {
            return (Code::Custom("InsufficientStorage".into()), Some(StatusCode::INSUFFICIENT_STORAGE));
        }
        _ => return (of_class(refusal), None),
    };
    (known, None)
}

fn of_class(refusal: &Refusal) -> S3ErrorCode {
    use S3ErrorCode as Code;
    match refusal.class {
        Class::Malformed => Code::InvalidRequest,
        Class::Invalid => of_fault(refusal),
        Class::Unauthenticated | Class::Forbidden => Code::AccessDenied,
        Class::NotFound => Code::NoSuchKey,
        Class::Conflict => Code::OperationAborted,
        Class::Stale => Code::PreconditionFailed,
        Class::Limited => Code::SlowDown,
        Class::Unavailable => Code::ServiceUnavailable,
        Class::Internal => Code::InternalError,
    }
}

/// What makes no sense, by the place where it is.
fn of_fault(refusal: &Refusal) -> S3ErrorCode {
    use S3ErrorCode as Code;
    let pointer = refusal.faults.first().map(|fault| fault.pointer.as_str()).unwrap_or_default();
    match pointer.split('/').nth(1).unwrap_or_default() {
        "key" => Code::KeyTooLongError,
        "metadata" => Code::MetadataTooLarge,
        "tags" => Code::InvalidTag,
        "policy" => Code::MalformedPolicy,
        "name" => Code::InvalidBucketName,
        "versioning" => Code::IllegalVersioningConfigurationException,
        "cors" | "lifecycle" => Code::InvalidRequest,
        _ => Code::InvalidArgument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_look_at_is_what_s3_says() {
        for (refusal, code, status) in [
            (Refusal::not_found("bucket_not_found", ""), "NoSuchBucket", 404),
            (Refusal::new(Class::Stale, "precondition_failed", ""), "PreconditionFailed", 412),
            (Refusal::new(Class::Malformed, "checksum_mismatch", ""), "BadDigest", 400),
            (Refusal::new(Class::Conflict, "bucket_not_empty", ""), "BucketNotEmpty", 409),
            (Refusal::new(Class::Conflict, "quota_bytes", ""), "QuotaExceeded", 403),
            (Refusal::new(Class::Unavailable, "storage_full", ""), "InsufficientStorage", 507),
            (Refusal::unauthenticated(), "AccessDenied", 403),
            (Refusal::new(Class::Unavailable, "store_unavailable", ""), "ServiceUnavailable", 503),
            (Refusal::new(Class::Internal, "store_corrupt", ""), "InternalError", 500),
            (Refusal::fault("/key", "too long"), "KeyTooLongError", 400),
            (Refusal::fault("/tags", "too many"), "InvalidTag", 400),
            (Refusal::fault("/policy/Statement/0", "odd"), "MalformedPolicy", 400),
            (Refusal::fault("/colour", "odd"), "InvalidArgument", 400),
        ] {
            let error = refused(refusal);
            let told = error.status_code().map(|status| status.as_u16());
            assert_eq!((error.code().as_str(), told), (code, Some(status)), "{code}");
        }
    }

    #[test]
    fn what_is_unavailable_says_when_to_try_again() {
        let error = refused(Refusal::new(Class::Unavailable, "store_unavailable", ""));
        assert!(error.headers().is_some_and(|headers| headers.contains_key("retry-after")));
    }
}
