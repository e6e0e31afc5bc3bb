//! What a call becomes on the wire, and what an answer becomes for a person.

use serde_json::json;

use super::*;

fn client(environment: Option<&str>) -> Client {
    Client {
        http: reqwest::Client::new(),
        base: parse_server("http://flags.example.com/base").unwrap(),
        token: Some(Secret::new("t0ken")),
        variable: None,
        environment: environment.map(str::to_owned),
        reason: Some("because\nof this".to_owned()),
        printer: Printer { format: Format::Json, quiet: true },
        yes: false,
    }
}

fn built(call: &Call, environment: Option<&str>) -> reqwest::Request {
    client(environment).request(call).unwrap().build().unwrap()
}

#[test]
fn paths_are_escaped_and_the_environment_is_added_where_it_counts() {
    let call = Call::get(&["api", "v1", "flags", "a/b c"]).query("search", "x&y");
    assert_eq!(
        built(&call, Some("staging")).url().as_str(),
        "http://flags.example.com/base/api/v1/flags/a%2Fb%20c?search=x%26y"
    );
    assert!(
        built(&call.clone().scoped(), Some("staging"))
            .url()
            .query()
            .unwrap()
            .ends_with("&environment=staging")
    );
}

#[test]
fn a_change_carries_the_token_the_revision_and_the_reason() {
    let call = Call::patch(&["x"], json!({"a": 1})).if_match(Some("\"7\"".to_owned()));
    let request = built(&call, None);
    let value = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(value("authorization"), "Bearer t0ken");
    assert_eq!(value("if-match"), "\"7\"");
    assert_eq!(value("x-flagbase-reason"), "because of this");
    assert_eq!(value("content-type"), "application/merge-patch+json");
    assert!(!built(&Call::get(&["x"]), None).headers().contains_key("x-flagbase-reason"));
}

#[test]
fn each_refusal_has_its_exit_code_and_the_servers_own_words() {
    let problem = json!({
        "title": "Unprocessable", "detail": "the flag is not valid",
        "errors": [{"pointer": "/rules/0/operator", "message": "unknown operator `is`"}],
    });
    let failure = client(None).refused(StatusCode::UNPROCESSABLE_ENTITY, &problem);
    assert_eq!(failure.to_string(), "the flag is not valid");
    assert!(failure.listed().is_empty(), "a single fault is not said twice");
    let several = json!({"code": "invalid", "detail": "2 faults in the body, see `errors`", "errors": [
        {"pointer": "/key", "message": "`key` is missing"}, {"pointer": "", "message": "too large"},
    ]});
    let failure = client(None).refused(StatusCode::UNPROCESSABLE_ENTITY, &several);
    assert_eq!(failure.to_string(), "2 things are wrong");
    assert_eq!(failure.listed(), ["/key: `key` is missing", "too large"]);
    for (status, exit) in [
        (StatusCode::UNAUTHORIZED, Exit::NotAllowed),
        (StatusCode::FORBIDDEN, Exit::NotAllowed),
        (StatusCode::NOT_FOUND, Exit::NotFound),
        (StatusCode::CONFLICT, Exit::Conflict),
        (StatusCode::PRECONDITION_FAILED, Exit::Conflict),
        (StatusCode::SERVICE_UNAVAILABLE, Exit::Failure),
    ] {
        assert_eq!(exit_for(status), exit, "{status}");
    }
}

#[test]
fn a_token_that_is_not_accepted_is_explained_by_where_it_is_from() {
    let problem = json!({"code": "unauthorized", "detail": "the token is not valid"});
    let hint = |client: &Client| client.refused(StatusCode::UNAUTHORIZED, &problem).to_string();
    let mut client = client(None);
    assert!(hint(&client).contains("log in again"));
    client.variable = Some("FLAGBASE_TOKEN");
    assert!(hint(&client).contains("FLAGBASE_TOKEN is used,") && hint(&client).contains("unset or replace"));
    assert_eq!(client.with_token(None).variable(), None);
}

#[test]
fn a_server_may_be_named_without_its_scheme_but_not_by_nonsense() {
    assert_eq!(parse_server("localhost:9").unwrap().as_str(), "http://localhost:9/");
    for text in ["", "ftp://x", "http://", "not a server"] {
        assert!(parse_server(text).is_err(), "{text}");
    }
}

#[test]
fn the_next_page_is_found_among_links() {
    let mut headers = HeaderMap::new();
    headers.insert("link", "</a?x=1>; rel=\"prev\", </a?after=k>; rel=\"next\"".parse().unwrap());
    assert_eq!(next_page(&headers).as_deref(), Some("/a?after=k"));
    headers.insert("link", "</a>; rel=\"prev\"".parse().unwrap());
    assert_eq!(next_page(&headers), None);
}
