use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    accounts::Override,
    caller::Principal,
    engine::Flag,
    environments::{DeclaredAttribute, Environment, EnvironmentKind},
    gateway::{AddressPolicy, Route},
};

const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };

fn environment(flags: &[Json], routes: &[Json]) -> EnvironmentSnapshot {
    let mut environment = EnvironmentSnapshot::new(Environment {
        key: "default".into(),
        name: String::new(),
        kind: EnvironmentKind::Development,
        attributes: vec![DeclaredAttribute { name: "plan".into(), header: Some("X-Plan".into()) }],
    });
    for flag in flags {
        environment.rules = environment.rules.put_flag(&Flag::from_json(flag).unwrap(), 1).unwrap();
    }
    for (at, route) in routes.iter().enumerate() {
        let mut body = route.clone();
        let id = body.get("id").and_then(Json::as_str).map_or_else(|| format!("r{at}"), str::to_owned);
        body["id"] = id.clone().into();
        let route = Route::from_json(&body, OPEN).unwrap();
        environment.routes = Arc::new(environment.routes.with(&id, Some(route), 1));
    }
    environment
}

fn developers_only() -> Json {
    json!({"key": "shop", "enabled": true, "default_value": false,
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1}]})
}

fn user(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: "u1".into(),
        email: "alice@example.com".into(),
        role: role.into(),
        session: Some("s1".into()),
        ..Caller::clone(&Caller::nobody())
    }
}

fn ask(environment: &EnvironmentSnapshot, path: &str, caller: &Caller, headers: &HeaderMap) -> Decision {
    let head = Head { method: &Method::GET, host: "h", path, headers, client_ip: "203.0.113.7" };
    decide(environment, &head, caller)
}

/// Where it goes (the target's host), or what happens instead.
fn outcome(environment: &EnvironmentSnapshot, path: &str, caller: &Caller) -> String {
    match ask(environment, path, caller, &HeaderMap::new()) {
        Decision::Forward(choice, upstream) => choice.route.upstreams()[upstream].targets[0].url.host.clone(),
        Decision::Off(_) => "off".to_owned(),
        Decision::Refused(_, why) => format!("{why:?}"),
        Decision::WrongMethod(_) => "405".to_owned(),
        Decision::Function(to) => format!("function {}", to.target),
        Decision::Bucket(to) if to.bucket.is_none() => format!("no bucket {}", to.target.name),
        Decision::Bucket(to) => format!("bucket {}", to.target),
        Decision::NoRoute => "404".to_owned(),
    }
}

#[test]
fn a_boolean_flag_lets_developers_through_and_nobody_else() {
    let environment = environment(
        &[developers_only()],
        &[json!({"pattern": "/x", "backend_url": "http://new", "flag_key": "shop"})],
    );
    assert_eq!(outcome(&environment, "/x", &user("developer")), "new");
    assert_eq!(outcome(&environment, "/x", &user("user")), "off");
    assert_eq!(outcome(&environment, "/x", &Caller::nobody()), "off");
    assert_eq!(outcome(&environment, "/y", &Caller::nobody()), "404");
}

#[test]
fn an_upstream_for_false_takes_those_for_whom_the_flag_is_off() {
    let route = json!({"pattern": "/x", "backend_url": "http://new", "flag_key": "shop", "variants": {"false": "http://old"}});
    let environment = environment(&[developers_only()], &[route]);
    assert_eq!(outcome(&environment, "/x", &user("developer")), "new");
    assert_eq!(outcome(&environment, "/x", &user("user")), "old");
}

#[test]
fn the_variant_chooses_the_backend_and_the_routes_own_takes_the_rest() {
    let flag = json!({"key": "ui", "enabled": true, "type": "string",
        "variants": [{"name": "a", "value": "a"}, {"name": "b", "value": "b"}, {"name": "c", "value": "c"}],
        "default_variant": "c", "off_variant": "a",
        "rules": [{"attribute": "plan", "operator": "equals", "value": "gold", "variant": "b"}]});
    let route = json!({"pattern": "/x", "backend_url": "http://rest", "flag_key": "ui",
        "variants": {"a": "http://a", "b": "http://b"}});
    let environment = environment(&[flag], &[route]);
    assert_eq!(outcome(&environment, "/x", &user("user")), "rest");
    let headers = HeaderMap::from_iter([("x-plan".parse().unwrap(), "gold".parse().unwrap())]);
    let Decision::Forward(choice, upstream) = ask(&environment, "/x", &user("user"), &headers) else {
        panic!("not forwarded");
    };
    assert_eq!(choice.route.upstreams()[upstream].targets[0].url.host, "b");
    assert_eq!((choice.variant.as_deref(), choice.reason), (Some("b"), Some(Reason::TargetingMatch)));
}

fn with_bucket(mut environment: EnvironmentSnapshot, name: &str) -> EnvironmentSnapshot {
    let id = crate::catalog::DocumentId::new(crate::catalog::Kind::Bucket, "default", name);
    let bucket = crate::buckets::Bucket::from_stored(id, 1, &json!({ "name": name })).unwrap();
    environment.buckets.insert(name.into(), Arc::new(bucket));
    environment
}

#[test]
fn a_flag_chooses_the_release_of_a_site_as_it_chooses_a_backend() {
    let routes = [
        json!({"pattern": "/x", "flag_key": "shop", "bucket": {"name": "site", "prefix": "releases/1/"},
            "variants": {"true": "bucket:site/releases/2", "false": "bucket:site/releases/1/"}}),
        json!({"pattern": "/plain", "bucket": "site"}),
        json!({"pattern": "/first", "backend_url": "bucket:site/r"}),
        json!({"pattern": "/gone", "bucket": "gone"}),
    ];
    let environment = with_bucket(environment(&[developers_only()], &routes), "site");
    let asked = |path: &str, role: &str| outcome(&environment, path, &user(role));
    assert_eq!(asked("/x", "developer"), "bucket site/releases/2/");
    assert_eq!(asked("/x", "user"), "bucket site/releases/1/");
    assert_eq!(asked("/plain", "user"), "bucket site");
    assert_eq!(asked("/first", "user"), "bucket site/r/");
    assert_eq!(asked("/gone", "user"), "no bucket gone");
    let held_against = |role: &str| match ask(&environment, "/x", &user(role), &HeaderMap::new()) {
        Decision::Bucket(to) => to.under.map(|under| under.variant.to_string()),
        _ => panic!("not answered from a bucket"),
    };
    assert_eq!(held_against("developer").as_deref(), Some("true"));
    assert_eq!(held_against("user"), None, "what the flag gives when it is off cannot be taken back");
}

#[test]
fn an_override_follows_its_session_only() {
    let environment = environment(
        &[developers_only()],
        &[json!({"pattern": "/x", "backend_url": "http://new", "flag_key": "shop"})],
    );
    let mut tester = user("user");
    tester.overrides = vec![Override {
        environment: "default".into(),
        flag: "shop".into(),
        variant: "true".into(),
        set_at: jiff::Timestamp::UNIX_EPOCH,
        set_by: "u1".into(),
    }];
    assert_eq!(outcome(&environment, "/x", &tester), "new");
    assert_eq!(outcome(&environment, "/x", &user("user")), "off");
}

#[test]
fn a_flag_that_is_gone_is_off() {
    let mut environment = environment(
        &[developers_only()],
        &[json!({"pattern": "/x", "backend_url": "http://new", "flag_key": "shop"})],
    );
    environment.rules = environment.rules.remove_flag("shop").unwrap();
    assert_eq!(outcome(&environment, "/x", &user("developer")), "off");
}

#[test]
fn admission_comes_before_the_flag() {
    let route = |require: Json| json!({"pattern": "/x", "backend_url": "http://a", "require": require});
    let signed_in = environment(&[], &[route(json!("authenticated"))]);
    assert_eq!(outcome(&signed_in, "/x", &Caller::nobody()), "Unauthenticated");
    assert_eq!(outcome(&signed_in, "/x", &user("user")), "a");
    let staff = environment(&[], &[route(json!({"roles": ["developer"]}))]);
    assert_eq!(outcome(&staff, "/x", &user("user")), "Forbidden");
    assert_eq!(outcome(&staff, "/x", &user("developer")), "a");
}

#[test]
fn rules_see_the_clients_address_but_never_our_own_headers() {
    let flag = json!({"key": "ip", "enabled": true, "default_value": false,
        "rules": [{"attribute": "ip", "operator": "cidr", "value": "203.0.113.0/24", "variant": true}]});
    let environment =
        environment(&[flag], &[json!({"pattern": "/x", "backend_url": "http://near", "flag_key": "ip"})]);
    assert_eq!(outcome(&environment, "/x", &Caller::nobody()), "near");
}

proptest! {
    #[test]
    fn deciding_never_panics_and_is_always_the_same(
        path in "/\\PC{0,40}", role in "\\PC{0,10}", header in "[ -~]{0,20}",
    ) {
        let environment = environment(&[developers_only()], &[
            json!({"pattern": "/*", "backend_url": "http://a"}),
            json!({"pattern": "/a/*", "backend_url": "http://b", "flag_key": "shop"}),
        ]);
        let headers = HeaderMap::from_iter([("x-plan".parse().unwrap(), header.parse().unwrap())]);
        let caller = user(&role);
        let first = format!("{:?}", ask(&environment, &path, &caller, &headers));
        prop_assert_eq!(first, format!("{:?}", ask(&environment, &path, &caller, &headers)));
    }
}
