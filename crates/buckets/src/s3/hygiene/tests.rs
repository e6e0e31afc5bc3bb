use http::Request;

use super::*;

const PRESIGNED: &str = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=FB01%2F20261122%2Fus-east-1%2Fs3%2F\
                         aws4_request&X-Amz-Date=20261122T100000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00";

fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let request = Request::builder().uri(uri).header("host", "localhost");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}

fn code(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
    coded(&head(uri, headers))
}

fn coded(head: &Parts) -> Option<String> {
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    check(head, now).err().map(|error| error.code().as_str().to_owned())
}

fn signed(names: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=FB01/20261122/us-east-1/s3/aws4_request, SignedHeaders={names}, Signature=00"
    )
}

#[test]
fn a_plain_request_passes() {
    assert_eq!(code("/b/k?prefix=a", &[]), None);
    assert_eq!(code("/", &[("x-amz-acl", "private")]), None, "nobody signed, nothing to compare with");
}

#[test]
fn version_2_of_signatures_only_reads_and_writes_one_object_by_a_url_that_ends() {
    assert_eq!(code("/b/k", &[("authorization", "AWS FB01:abc=")]).as_deref(), Some("InvalidRequest"));
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let url = |path: &str, expires: i64| {
        format!("{path}?AWSAccessKeyId=FB01&Expires={}&Signature=abc", now.as_second() + expires)
    };
    assert_eq!(code(&url("/b/k", 604_800), &[]), None);
    assert_eq!(code(&format!("{}&response-content-type=text/plain", url("/b/k", 60)), &[]), None);
    let late = code(&url("/b/k", 604_801), &[]);
    assert_eq!(late.as_deref(), Some("AuthorizationQueryParametersError"));
    let twice = code(&format!("{}&Expires=1", url("/b/k", 60)), &[]);
    assert_eq!(twice.as_deref(), Some("AuthorizationQueryParametersError"));
    for more in ["uploads", "acl", "prefix=a", "tagging", "attributes"] {
        let code = code(&format!("{}&{more}", url("/b/k", 60)), &[]);
        assert_eq!(code.as_deref(), Some("InvalidRequest"), "{more}");
    }
    let mut removing = head(&url("/b/k", 60), &[]);
    removing.method = Method::DELETE;
    assert_eq!(coded(&removing).as_deref(), Some("InvalidRequest"));
    assert_eq!(code(&url("/", 60), &[]).as_deref(), Some("InvalidRequest"));
}

#[test]
fn a_region_that_can_be_none_is_noticed() {
    let odd = |region: &str| {
        let value =
            format!("AWS4-HMAC-SHA256 Credential=FB01/20261122/{region}/s3/aws4_request, Signature=0");
        let head = head("/b", &[("authorization", &value)]);
        odd_region(&head.uri, &head.headers)
    };
    assert!(odd("Us") && odd("eu_west") && !odd("us-east-1") && !odd("garage") && odd("US"));
    let head = head(PRESIGNED, &[]);
    assert!(!odd_region(&head.uri, &head.headers));
}

#[test]
fn a_presigned_url_is_good_for_a_second_to_seven_days() {
    for (expires, refused) in
        [("1", false), ("604800", false), ("604801", true), ("0", true), ("-5", true), ("x", true)]
    {
        let code = code(&format!("{PRESIGNED}&X-Amz-Expires={expires}"), &[]);
        assert_eq!(code.as_deref(), refused.then_some("AuthorizationQueryParametersError"), "{expires}");
    }
    assert_eq!(code(PRESIGNED, &[]).as_deref(), Some("AuthorizationQueryParametersError"), "none at all");
}

#[test]
fn a_presigned_url_cannot_be_stretched_by_saying_it_twice() {
    let twice = format!("{PRESIGNED}&X-Amz-Expires=60&X-Amz-Expires=604800");
    assert_eq!(code(&twice, &[]).as_deref(), Some("AuthorizationQueryParametersError"));
    let both = format!("{PRESIGNED}&X-Amz-Expires=60");
    assert_eq!(code(&both, &[("authorization", &signed("host"))]).as_deref(), Some("InvalidArgument"));
    assert_eq!(
        code("/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=FB01", &[]).as_deref(),
        Some("AuthorizationQueryParametersError"),
        "a signature that was taken off"
    );
}

#[test]
fn what_changes_the_meaning_of_a_signed_request_is_signed() {
    let names = signed("host;x-amz-date");
    let date = ("x-amz-date", "20261122T100000Z");
    assert_eq!(code("/b/k", &[("authorization", &names), date]), None);
    let copied = code("/b/k", &[("authorization", &names), date, ("x-amz-copy-source", "/a/secret")]);
    assert_eq!(copied.as_deref(), Some("AccessDenied"));
    let presigned = format!("{PRESIGNED}&X-Amz-Expires=60");
    assert_eq!(code(&presigned, &[("x-amz-tagging", "a=b")]).as_deref(), Some("AccessDenied"));
    assert_eq!(code(&presigned, &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]), None);
    assert_eq!(
        code("/b/k", &[("authorization", &signed("x-amz-date")), date]).as_deref(),
        Some("AccessDenied")
    );
    assert_eq!(
        code("/b/k", &[("authorization", &names)]).as_deref(),
        Some("AccessDenied"),
        "signed and taken off"
    );
}

#[test]
fn a_promise_that_is_not_kept_is_not_given() {
    for name in [
        "x-amz-server-side-encryption",
        "x-amz-object-lock-mode",
        "x-amz-grant-read",
        "x-amz-checksum-sha512",
        "x-amz-checksum-xxhash64",
    ] {
        assert_eq!(code("/b/k", &[(name, "x")]).as_deref(), Some("NotImplemented"), "{name}");
    }
}

#[test]
fn who_claims_to_have_signed_is_read_from_head_or_url() {
    let of = |uri: &str, headers: &[(&str, &str)]| {
        let head = head(uri, headers);
        claimed(&head.uri, &head.headers)
    };
    assert_eq!(of("/b", &[("authorization", &signed("host"))]).as_deref(), Some("FB01"));
    assert_eq!(of(PRESIGNED, &[]).as_deref(), Some("FB01"));
    assert_eq!(of("/b", &[]), None);
}
