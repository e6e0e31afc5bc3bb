//! The flag behind a function has a variant for every new version, which nobody gets by that.

use flagbase_core::{
    catalog::{Catalog as _, DocumentId, Kind},
    refusal::Precondition,
};
use serde_json::{Value, json};

use super::{Product, asks, caller, product};

impl Product {
    async fn flag(&self) -> Value {
        self.flags.get(&caller("developer"), "default", "next").await.unwrap().body
    }

    async fn variants(&self) -> Vec<(String, Value)> {
        let flag = self.flag().await;
        let variants = flag.get("variants").and_then(Value::as_array).unwrap().iter();
        let member = |variant: &Value, name: &str| variant.get(name).cloned().unwrap_or_default();
        variants.map(|it| (member(it, "name").as_str().unwrap().to_owned(), member(it, "value"))).collect()
    }

    async fn patch_flag(&self, patch: Value) {
        let developer = caller("developer");
        self.flags.patch(asks(&developer), "next", &patch, Precondition::None).await.unwrap();
    }
}

fn named(name: &str, value: &str) -> (String, Value) {
    (name.to_owned(), json!(value))
}

/// Two versions behind the flag `next`.
async fn behind_a_flag() -> Product {
    let product = product().await;
    product.deploy("say one", true).await.unwrap();
    product.deploy("say two", false).await.unwrap();
    product.put_behind_flag().await;
    product
}

#[tokio::test]
async fn every_deployment_adds_a_variant_that_nobody_gets() {
    let product = behind_a_flag().await;
    let before = product.flag().await;
    product.deploy("say three", false).await.unwrap();
    product.deploy("say four", true).await.unwrap();
    let added = [named("one", "1"), named("two", "2"), named("v3", "3"), named("v4", "4")];
    assert_eq!(product.variants().await, added);
    let after = product.flag().await;
    for member in ["rules", "default_variant", "off_variant", "enabled", "rollout"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    let id = DocumentId::new(Kind::Flag, "default", "next");
    let changes = product.memory.history(&id, None, 9).await.unwrap();
    assert_eq!(changes[0].detail["version"], json!(4), "whoever asks sees why");
    assert_eq!(&*changes[0].actor.name, "developer@example.com");
}

#[tokio::test]
async fn values_are_of_the_flags_type_and_a_boolean_is_left_alone() {
    for (kind, variants, expected) in [
        ("number", json!([{"name": "one", "value": 1}]), 2),
        ("json", json!([{"name": "one", "value": {"a": 1}}]), 2),
        ("boolean", json!([{"name": "one", "value": true}]), 1),
    ] {
        let product = product().await;
        product.deploy("say one", true).await.unwrap();
        let flag = json!({"key": "next", "enabled": true, "type": kind, "default_variant": "one",
            "off_variant": "one", "variants": variants});
        product.flags.create(asks(&caller("developer")), &flag).await.unwrap();
        product.patch(json!({"flag_key": "next"})).await.unwrap();
        product.deploy("say two", false).await.unwrap();
        let variants = product.variants().await;
        assert_eq!(variants.len(), expected, "{kind}: {variants:?}");
        assert!(expected == 1 || variants[1] == ("v2".to_owned(), json!(2)), "{kind}: {variants:?}");
    }
}

#[tokio::test]
async fn what_is_there_already_is_not_added_again() {
    let product = behind_a_flag().await;
    let mut variants = product.flag().await["variants"].clone();
    let others = [json!({"name": "next", "value": "v3"}), json!({"name": "v4", "value": "something else"})];
    variants.as_array_mut().unwrap().extend(others);
    product.patch_flag(json!({"variants": variants})).await;
    product.deploy("say three", false).await.unwrap();
    product.deploy("say four", false).await.unwrap();
    assert_eq!(product.flag().await["variants"], variants);
}

#[tokio::test]
async fn of_what_nobody_gets_the_newest_twenty_are_kept() {
    let product = behind_a_flag().await;
    for number in 3..=12 {
        product.deploy(&format!("say {number}"), false).await.unwrap();
    }
    let canary =
        json!({"rollout": {"weights": [{"variant": "v3", "weight": 10}, {"variant": "one", "weight": 90}]}});
    product.patch_flag(canary).await;
    for number in 13..=30 {
        product.deploy(&format!("say {number}"), false).await.unwrap();
    }
    let names: Vec<String> = product.variants().await.into_iter().map(|(name, _)| name).collect();
    let expected: Vec<String> = ["one", "two", "v3"].map(str::to_owned).into_iter().collect();
    let newest = (11..=30).map(|number| format!("v{number}"));
    assert_eq!(names, expected.into_iter().chain(newest).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_version_that_goes_takes_its_variant_along_unless_somebody_gets_it() {
    let product = behind_a_flag().await;
    for script in ["say three", "say four"] {
        product.deploy(script, false).await.unwrap();
    }
    let rules = json!([{"attribute": "role", "operator": "equals", "value": "tester", "variant": "v4"}]);
    product.patch_flag(json!({"rules": rules})).await;
    let developer = caller("developer");
    let delete =
        |number| product.functions.delete_version(asks(&developer), ("hello", number), Precondition::None);
    let refusal = delete(4).await.unwrap_err();
    assert!(refusal.message.contains("variant `v4` of flag `next`"), "{refusal}");
    delete(3).await.unwrap();
    assert_eq!(product.variants().await, [named("one", "1"), named("two", "2"), named("v4", "4")]);
}

#[tokio::test]
async fn a_flag_of_two_functions_loses_nothing() {
    let product = behind_a_flag().await;
    product.deploy_as("other", "say one", true).await.unwrap();
    let developer = caller("developer");
    let shared = json!({"flag_key": "next"});
    product.functions.patch(asks(&developer), "other", &shared, Precondition::None).await.unwrap();
    product.deploy("say three", false).await.unwrap();
    product.deploy_as("other", "say two", false).await.unwrap();
    assert_eq!(product.variants().await, [named("one", "1"), named("two", "2"), named("v3", "3")]);
}
