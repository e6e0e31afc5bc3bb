use std::sync::Arc;

use flagbase_core::{
    caller::Principal,
    gateway::{AddressPolicy, CompiledRoute, Route},
};
use proptest::prelude::*;

use super::*;

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

fn with(trusted: bool, forward_token: bool, peer: &HeaderValue) -> Forwarding<'_> {
    let host = Some(HeaderValue::from_static("shop.example.com"));
    Forwarding { trusted, peer, host, forward_token, request_id: HeaderValue::from_static("id-1") }
}

fn outbound(sent: &HeaderMap, with: Forwarding<'_>, caller: &Arc<Caller>) -> HeaderMap {
    let (caller, choice) = (Identified::new(caller), choice());
    let environment = HeaderValue::from_static("default");
    let decided = Decided::from(&choice);
    let outbound = Outbound { sent, with, environment: &environment, caller: &caller, decided };
    let mut headers = HeaderMap::new();
    outbound.each(|name, value| {
        headers.append(name, value.clone());
    });
    headers
}

fn forwarded(pairs: &[(&str, &str)]) -> HeaderMap {
    forwarded_by("192.0.2.1", pairs, false, false)
}

/// What an upstream gets beside what is said of the caller.
fn forwarded_by(peer: &'static str, pairs: &[(&str, &str)], trusted: bool, forward_token: bool) -> HeaderMap {
    let peer = HeaderValue::from_static(peer);
    let headers = outbound(&map(pairs), with(trusted, forward_token, &peer), &Caller::nobody());
    let ours = [
        "x-flagbase-environment",
        "x-flagbase-flag",
        "x-flagbase-variant",
        "x-flagbase-reason",
        "x-flagbase-role",
    ];
    let fields = headers.iter().filter(|(name, value)| !(ours.contains(&name.as_str()) && *value != "admin"));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn user() -> Caller {
    Caller {
        principal: Principal::User,
        id: "u1".into(),
        email: "alice@example.com".into(),
        role: "developer".into(),
        groups: Arc::new(["beta".into(), "a,b".into(), "50%".into()]),
        session: Some("s1".into()),
        ..Caller::clone(&Caller::nobody())
    }
}

fn choice() -> Choice {
    let open = AddressPolicy { loopback: true, private: true };
    let body = serde_json::json!({"id": "r", "pattern": "/x", "backend_url": "http://a", "flag_key": "shop"});
    let route = CompiledRoute::new(Route::from_json(&body, open).unwrap(), 1).unwrap();
    let reason = Some(flagbase_core::engine::Reason::TargetingMatch);
    Choice { route: Arc::new(route), variant: Some("true".into()), reason }
}

#[test]
fn headers_of_one_connection_do_not_pass() {
    let headers = forwarded(&[
        ("connection", "X-Custom, keep-alive"),
        ("connection", "X-Other"),
        ("x-custom", "1"),
        ("x-other", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "x"),
        ("expect", "100-continue"),
        ("host", "shop.example.com"),
        ("content-length", "0"),
        ("accept", "*/*"),
    ]);
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"]
    );
}

#[test]
fn our_own_headers_and_those_with_underscores_never_come_from_a_client() {
    let headers = forwarded(&[
        ("X-Flagbase-User", "admin"),
        ("x-flagbase-anything", "1"),
        ("X_Flagbase_User", "admin"),
        ("x_forwarded_for", "1.1.1.1"),
        ("content_length", "5"),
    ]);
    assert!(
        headers.keys().all(|name| !name.as_str().contains("flagbase") && !name.as_str().contains('_')),
        "{headers:?}"
    );
}

#[test]
fn claims_about_the_way_are_believed_from_trusted_proxies_only() {
    let claims = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "real.example.com"),
        ("forwarded", "for=1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-forwarded-prefix", "/a"),
    ];
    let headers = forwarded(&claims);
    assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
    assert_eq!(
        (&headers["x-forwarded-proto"], &headers["x-forwarded-host"]),
        (&"http".parse().unwrap(), &"shop.example.com".parse().unwrap())
    );
    assert!(
        !headers.contains_key("forwarded")
            && !headers.contains_key("x-real-ip")
            && !headers.contains_key("x-forwarded-prefix")
    );
    let headers = forwarded_by("10.0.0.1", &claims, true, false);
    assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 10.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
}

#[test]
fn the_token_stays_here_unless_the_route_forwards_it() {
    let pairs = [("authorization", "Bearer t"), ("x-api-key", "fb_x")];
    let headers = forwarded(&pairs);
    assert!(!headers.contains_key("authorization") && !headers.contains_key("x-api-key"));
    let headers = forwarded_by("192.0.2.1", &pairs, false, true);
    assert_eq!(
        (&headers["authorization"], &headers["x-api-key"]),
        (&"Bearer t".parse().unwrap(), &"fb_x".parse().unwrap())
    );
}

#[test]
fn trailers_can_be_asked_for_across_us() {
    assert_eq!(forwarded(&[("te", "gzip, Trailers")])["te"], "trailers");
}

#[test]
fn who_asks_and_what_was_decided_is_told_to_the_backend() {
    let peer = HeaderValue::from_static("192.0.2.1");
    let headers = outbound(&HeaderMap::new(), with(false, false, &peer), &Arc::new(user()));
    for (name, expected) in [
        ("x-flagbase-user", "u1"),
        ("x-flagbase-email", "alice@example.com"),
        ("x-flagbase-role", "developer"),
        ("x-flagbase-groups", "beta,a%2Cb,50%25"),
        ("x-flagbase-session", "s1"),
        ("x-flagbase-environment", "default"),
        ("x-flagbase-flag", "shop"),
        ("x-flagbase-variant", "true"),
        ("x-flagbase-reason", "TARGETING_MATCH"),
    ] {
        assert_eq!(headers[name], expected, "{name}");
    }
    let headers = outbound(&HeaderMap::new(), with(false, false, &peer), &Caller::nobody());
    assert!(!headers.contains_key("x-flagbase-user") && headers["x-flagbase-role"] == "guest");
}

#[test]
fn an_answer_loses_the_headers_of_its_connection() {
    let mut headers = map(&[
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "5"),
        ("transfer-encoding", "chunked"),
        ("etag", "x"),
        ("trailer", "t"),
    ]);
    clean_answer(&mut headers);
    assert_eq!(headers.len(), 2);
    assert!(headers.contains_key("etag") && headers.contains_key("trailer"));
}

#[test]
fn trailers_cannot_smuggle_what_headers_cannot() {
    let mut trailers = map(&[
        ("x-flagbase-user", "admin"),
        ("content-length", "5"),
        ("authorization", "x"),
        ("host", "y"),
        ("x_y", "1"),
        ("x-forwarded-for", "1.1.1.1"),
        ("connection", "close"),
        ("grpc-status", "0"),
    ]);
    clean_trailers(&mut trailers);
    assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status"]);
}

#[test]
fn tokens_are_found_in_every_form_that_is_ours() {
    for (pairs, expected) in [
        (vec![("authorization", "Bearer abc")], Ok(Some("abc"))),
        (vec![("authorization", "bEaReR  abc ")], Ok(Some("abc"))),
        (vec![("authorization", "abc")], Ok(Some("abc"))),
        (vec![("authorization", "Basic abc")], Ok(None)),
        (vec![("x-api-key", "fb_1")], Ok(Some("fb_1"))),
        (vec![], Ok(None)),
    ] {
        assert_eq!(token(&map(&pairs)), expected, "{pairs:?}");
    }
}

#[test]
fn a_request_that_came_through_here_too_often_is_a_loop() {
    assert!(!loops(&map(&[("via", "1.1 flagbase, 1.1 other")])));
    assert!(loops(&map(&[("via", &"1.1 flagbase, ".repeat(8))])));
}

#[test]
fn only_plain_request_ids_are_kept() {
    for (id, kept) in
        [("abc-1._", true), ("", false), ("a b", false), ("a\"", false), (&*"x".repeat(129), false)]
    {
        assert_eq!(is_request_id(&HeaderValue::from_str(id).unwrap()), kept, "{id}");
    }
}

proptest! {
    #[test]
    fn any_text_becomes_one_header_value(text in ".{0,50}") {
        let value = value(&text);
        prop_assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
}
