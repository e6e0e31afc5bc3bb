use http::{HeaderMap, Method};
use serde_json::json;

use super::*;
use crate::{
    accounts::Override,
    caller::Principal,
    environments::{Environment, EnvironmentKind},
    functions::Definition,
};

/// A function of three versions whose current one is 1, and the flag `next` that gives developers 2.
#[expect(clippy::needless_pass_by_value, reason = "a test reads better when it gives the JSON away")]
fn environment(flag: serde_json::Value, function: serde_json::Value) -> EnvironmentSnapshot {
    let definition = Environment {
        key: "default".into(),
        name: String::new(),
        kind: EnvironmentKind::Development,
        attributes: Vec::new(),
    };
    let mut environment = EnvironmentSnapshot::new(definition);
    if !flag.is_null() {
        let flag = crate::engine::Flag::from_json(&flag).unwrap();
        environment.rules = environment.rules.put_flag(&flag, 1).unwrap();
    }
    let mut body = Definition::named("hello").with_settings(&function).unwrap().to_json();
    let version = |number: u32| {
        json!({"number": number, "digest": crate::functions::Digest::of(&number.to_le_bytes()), "shape": "component",
            "size": 1, "serves": ["requests"], "created_at": "2026-01-01T00:00:00Z"})
    };
    body["versions"] = json!([version(1), version(2), version(3)]);
    body["current"] = json!(1);
    let definition = Definition::from_stored(&body).unwrap();
    let compiled = CompiledFunction::new(&"default".into(), &definition, 1);
    environment.functions.insert("hello".into(), Arc::new(compiled));
    environment
}

fn flag(enabled: bool) -> serde_json::Value {
    json!({"key": "next", "enabled": enabled, "type": "string", "default_variant": "one", "off_variant": "one",
        "variants": [{"name": "one", "value": "1"}, {"name": "two", "value": "v2"}, {"name": "gone", "value": "99"}],
        "rules": [
            {"attribute": "role", "operator": "equals", "value": "developer", "variant": "two"},
            {"attribute": "role", "operator": "equals", "value": "lost", "variant": "gone"}]})
}

fn caller(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: "u".into(),
        role: role.into(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn decided(environment: &EnvironmentSnapshot, caller: &Caller, name: &str) -> FunctionDecision {
    let headers = HeaderMap::new();
    let head = Head { method: &Method::GET, host: "", path: "/", headers: &headers, client_ip: "" };
    decide_function(environment, &head, caller, name)
}

fn ran(environment: &EnvironmentSnapshot, caller: &Caller) -> Chosen {
    match decided(environment, caller, "hello") {
        FunctionDecision::Run(chosen) => chosen,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_flag_gives_some_the_next_version_and_everybody_else_the_current_one() {
    let environment = environment(flag(true), json!({"flag_key": "next"}));
    let developer = ran(&environment, &caller("developer"));
    assert_eq!((developer.deployed.version, developer.why), (2, Why::Flag));
    let said = developer.said.unwrap();
    assert_eq!((&*said.flag, &*said.variant, said.reason), ("next", "two", Reason::TargetingMatch));
    assert_eq!(said.under(), Some(Under { flag: "next".into(), variant: "two".into() }));
    let user = ran(&environment, &caller("user"));
    assert_eq!(user.deployed.version, 1);
    assert_eq!(user.said.unwrap().under(), None, "the current version's faults are not the flag's");
}

#[test]
fn a_flag_that_is_off_gives_everybody_the_current_version() {
    let environment = environment(flag(false), json!({"flag_key": "next"}));
    let chosen = ran(&environment, &caller("developer"));
    assert_eq!((chosen.deployed.version, chosen.why), (1, Why::Flag));
    assert_eq!(chosen.said.unwrap().reason, Reason::Disabled);
}

#[test]
fn a_session_of_ones_own_may_run_what_nobody_else_sees() {
    let environment = environment(flag(true), json!({"flag_key": "next"}));
    let mut user = caller("user");
    user.overrides = vec![Override {
        environment: "default".into(),
        flag: "next".into(),
        variant: "two".into(),
        set_at: jiff::Timestamp::UNIX_EPOCH,
        set_by: "u".into(),
    }];
    let chosen = ran(&environment, &user);
    assert_eq!((chosen.deployed.version, chosen.said.unwrap().reason), (2, Reason::Override));
    assert_eq!(ran(&environment, &caller("user")).deployed.version, 1);
}

#[test]
fn what_names_no_version_gives_the_current_one_and_says_so() {
    let environment_of = |flag, key: &str| environment(flag, json!({"flag_key": key}));
    let lost = ran(&environment_of(flag(true), "next"), &caller("lost"));
    assert_eq!((lost.deployed.version, lost.why), (1, Why::NoSuchVersion));
    assert!(lost.said.unwrap().under().is_none());
    let unknown = ran(&environment_of(json!(null), "unknown"), &caller("user"));
    assert_eq!((unknown.deployed.version, unknown.why, unknown.said), (1, Why::NoSuchFlag, None));
    let plain = ran(&environment(json!(null), json!({})), &caller("user"));
    assert_eq!((plain.deployed.version, plain.why, plain.said), (1, Why::Current, None));
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let environment = environment(json!(null), json!({"require": {"roles": ["developer"]}}));
    let refused = |caller: &Caller| match decided(&environment, caller, "hello") {
        FunctionDecision::Refused(_, why) => Some(why),
        _ => None,
    };
    assert_eq!(refused(&Caller::nobody()), Some(Admission::Unauthenticated));
    assert_eq!(refused(&caller("user")), Some(Admission::Forbidden));
    assert_eq!(refused(&caller("developer")), None);
    assert!(matches!(decided(&environment, &caller("user"), "other"), FunctionDecision::NoFunction));
}

#[test]
fn a_route_may_name_one_version_whatever_the_flag_says() {
    let environment = environment(flag(true), json!({"flag_key": "next"}));
    let headers = HeaderMap::new();
    let head = Head { method: &Method::GET, host: "", path: "/", headers: &headers, client_ip: "" };
    let to = |text: &str| {
        let target = FunctionTarget::parse(text).unwrap();
        match decide_target(&environment, &head, &caller("developer"), &target) {
            FunctionDecision::Run(chosen) => (chosen.deployed.version, chosen.why),
            FunctionDecision::NoVersion(_) => (0, Why::Asked),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(to("hello"), (2, Why::Flag));
    assert_eq!(to("hello@3"), (3, Why::Asked));
    assert_eq!(to("hello@9"), (0, Why::Asked));
}

#[test]
fn a_function_is_named_by_name_and_version() {
    for text in ["hello", "hello-2@3"] {
        assert_eq!(FunctionTarget::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "Hello", "hello@", "hello@0", "hello@x", "a/b", "hello@1@2", "@1"] {
        let error = FunctionTarget::parse(text).unwrap_err();
        assert!(error.contains("`hello@2`"), "{text}: {error}");
    }
}
