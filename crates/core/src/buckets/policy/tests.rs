use proptest::prelude::*;
use serde_json::json;

use super::*;

fn policy(statements: &Value) -> Policy {
    Policy::read(&json!({"Version": "2012-10-17", "Statement": statements}), "b").unwrap()
}

fn get(principals: &[String], key: &str) -> Verdict {
    let question =
        Question { principals, action: "s3:GetObject", bucket: "b", key: Some(key), ..Question::default() };
    policy(&json!([
        {"Effect": "Allow", "Principal": "*", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/public/*"},
        {"Effect": "Allow", "Principal": {"AWS": ["user:alice@example.com", "role:editor"]}, "Action": ["s3:GetObject"],
         "Resource": "arn:aws:s3:::b/*"},
        {"Effect": "Deny", "Principal": {"AWS": "key:k1"}, "Action": "*", "Resource": "arn:aws:s3:::b/public/secret?"},
    ]))
    .ask(&question)
}

#[test]
fn a_policy_speaks_of_principals_actions_and_resources_and_a_deny_counts_more() {
    let named = |name: &str| vec![name.to_owned()];
    assert_eq!(get(&[], "public/a/b"), Verdict::Allow);
    assert_eq!(get(&[], "private"), Verdict::Silent);
    assert_eq!(get(&named("user:alice@example.com"), "private"), Verdict::Allow);
    assert_eq!(get(&named("role:editor"), "private"), Verdict::Allow);
    assert_eq!(get(&named("user:bob@example.com"), "private"), Verdict::Silent);
    assert_eq!(get(&named("key:k1"), "public/secret1"), Verdict::Deny);
    assert_eq!(get(&named("key:k1"), "public/secret12"), Verdict::Allow);
    assert_eq!(get(&named("key:k2"), "public/secret1"), Verdict::Allow);
}

#[test]
fn conditions_hold_all_together_and_of_what_is_not_known_only_the_opposites_hold() {
    let policy = policy(&json!({
        "Effect": "Allow", "Principal": "*", "Action": "s3:listbucket", "Resource": "arn:aws:s3:::b",
        "Condition": {
            "StringLike": {"s3:prefix": ["home/*", ""]},
            "IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::1"]},
            "Bool": {"aws:SecureTransport": "true"},
        },
    }));
    let ask = |prefix, ip: Option<&str>, secure| {
        let ip = ip.map(|ip| ip.parse().unwrap());
        policy.ask(&Question {
            action: "s3:ListBucket",
            bucket: "b",
            prefix,
            ip,
            secure,
            ..Question::default()
        })
    };
    assert_eq!(ask(Some("home/a"), Some("192.0.2.7"), true), Verdict::Allow);
    assert_eq!(ask(Some(""), Some("2001:db8::1"), true), Verdict::Allow);
    assert_eq!(ask(Some("home/a"), Some("::ffff:192.0.2.7"), true), Verdict::Allow, "the same address");
    for (prefix, ip, secure) in [
        (Some("other"), Some("192.0.2.7"), true),
        (None, Some("192.0.2.7"), true),
        (Some("home/a"), Some("192.0.3.7"), true),
        (Some("home/a"), None, true),
        (Some("home/a"), Some("192.0.2.7"), false),
    ] {
        assert_eq!(ask(prefix, ip, secure), Verdict::Silent, "{prefix:?} {ip:?} {secure}");
    }
}

#[test]
fn what_is_not_meant_can_be_said() {
    let policy = policy(&json!({
        "Effect": "Deny", "NotPrincipal": {"AWS": "user:alice@example.com"}, "NotAction": "s3:Get*",
        "NotResource": "arn:aws:s3:::b/open/*", "Condition": {"NotIpAddress": {"aws:SourceIp": "192.0.2.1"}},
    }));
    let alice = ["user:alice@example.com".to_owned()];
    let ask = |principals, action, key, ip: &str| {
        let ip = Some(ip.parse().unwrap());
        policy.ask(&Question { principals, action, bucket: "b", key: Some(key), ip, ..Question::default() })
    };
    assert_eq!(ask(&[], "s3:PutObject", "k", "192.0.2.2"), Verdict::Deny);
    assert_eq!(ask(&alice, "s3:PutObject", "k", "192.0.2.2"), Verdict::Silent);
    assert_eq!(ask(&[], "s3:GetObject", "k", "192.0.2.2"), Verdict::Silent);
    assert_eq!(ask(&[], "s3:PutObject", "open/k", "192.0.2.2"), Verdict::Silent);
    assert_eq!(ask(&[], "s3:PutObject", "k", "192.0.2.1"), Verdict::Silent);
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    let good = json!({
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"
    });
    let with = |member: &str, value: Value| {
        let mut statement = good.clone();
        statement[member] = value;
        json!({"Version": "2012-10-17", "Statement": [statement]})
    };
    assert!(Policy::read(&with("Sid", json!("any")), "b").is_ok());
    for (policy, pointer) in [
        (json!([]), "/policy"),
        (json!({"Statement": []}), "/policy/Statement"),
        (json!({"Version": "2020-01-01", "Statement": [good.clone()]}), "/policy/Version"),
        (json!({"Statements": 1, "Statement": good.clone()}), "/policy/Statements"),
        (with("Effect", json!("Perhaps")), "/policy/Statement/0/Effect"),
        (with("Principal", json!("alice")), "/policy/Statement/0/Principal"),
        (with("Principal", json!({"AWS": "arn:aws:iam::1:root"})), "/policy/Statement/0/Principal"),
        (with("Action", json!("ec2:Run")), "/policy/Statement/0/Action"),
        (with("Action", json!([])), "/policy/Statement/0/Action"),
        (with("Resource", json!("arn:aws:s3:::other/*")), "/policy/Statement/0/Resource"),
        (with("Resource", json!("arn:aws:s3:::bb/*")), "/policy/Statement/0/Resource"),
        (with("Resource", json!("*")), "/policy/Statement/0/Resource"),
        (
            with("Condition", json!({"StringEquals": {"aws:username": "x"}})),
            "/policy/Statement/0/Condition/StringEquals/aws:username",
        ),
        (
            with("Condition", json!({"IpAddress": {"aws:SourceIp": "here"}})),
            "/policy/Statement/0/Condition/IpAddress/aws:SourceIp",
        ),
    ] {
        let faults = Policy::read(&policy, "b").unwrap_err();
        assert_eq!(faults[0].pointer, pointer, "{policy}");
    }
    let long = with("Sid", json!("x".repeat(MOST_BYTES)));
    assert_eq!(Policy::read(&long, "b").unwrap_err()[0].pointer, "/policy");
}

#[test]
fn a_policy_is_public_when_everybody_is_allowed_something_without_a_condition() {
    let with = |more: Value| {
        let mut statement =
            json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b/*"});
        statement.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        policy(&json!([statement])).is_public()
    };
    assert!(with(json!({})) && with(json!({"Principal": {"AWS": "*"}})));
    assert!(!with(json!({"Effect": "Deny"})) && !with(json!({"Principal": {"AWS": "key:a"}})));
    assert!(!with(json!({"Condition": {"Bool": {"aws:SecureTransport": true}}})));
}

/// What a pattern means, said again as plainly as can be.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => naive(rest, text) || !text.is_empty() && naive(pattern, &text[1..]),
        (['?', rest @ ..], [_, more @ ..]) => naive(rest, more),
        ([one, rest @ ..], [other, more @ ..]) => one == other && naive(rest, more),
        _ => false,
    }
}

proptest! {
    #[test]
    fn wildcards_mean_what_the_plainest_matcher_means(pattern in "[ab?*ä]{0,8}", text in "[abä?*]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(matches_wildcard(&pattern, &text), naive(&chars(&pattern), &chars(&text)));
    }

    #[test]
    fn a_text_matches_itself_and_everything_matches_a_star(text in "[^*?]{0,20}") {
        prop_assert!(matches_wildcard(&text, &text) && matches_wildcard("*", &text));
        let longer = format!("{text}?");
        prop_assert!(!matches_wildcard(&longer, &text));
    }
}

#[test]
fn a_pattern_of_many_stars_is_not_slow() {
    let (pattern, text) = ("*a".repeat(400), "a".repeat(2_000) + "b");
    assert!(!matches_wildcard(&pattern, &text));
}
