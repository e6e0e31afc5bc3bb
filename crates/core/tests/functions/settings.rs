//! Settings: who may, what makes sense, and what versions make of it.

use flagbase_core::{
    flags::Asked,
    gateway::Question,
    refusal::{Class, Precondition},
};
use serde_json::{Value, json};

use super::{asks, caller, product};

#[tokio::test]
async fn a_function_can_be_made_before_its_code() {
    let product = product().await;
    let developer = caller("developer");
    let body = json!({"grants": {"secrets": true}, "limits": {"timeout": "2s"}});
    let put = |seen| product.functions.put(asks(&developer), "hello", &body, seen);
    let (document, new) = put(Precondition::Absent).await.unwrap();
    assert!(new && document.body["current"].is_null());
    assert_eq!(put(Precondition::Absent).await.unwrap_err().class, Class::Stale);
    product.deploy("import secrets\nsay hi", true).await.unwrap();
    let (document, new) = put(Precondition::None).await.unwrap();
    assert!(!new && document.body["current"] == 1, "versions stay");
    assert_eq!(product.deployed(1).settings.limits.timeout.as_secs(), 2);
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_no_more() {
    let product = product().await;
    product.deploy("say one", true).await.unwrap();
    let limits = json!({"limits": {"timeout": "2s", "queue": 7}, "environment": {"A": "1", "B": "2"}});
    product.patch(limits).await.unwrap();
    product.patch(json!({"limits": {"queue": null}, "environment": {"A": null}})).await.unwrap();
    let body = product.hello().await;
    assert_eq!(body["limits"], json!({"timeout": "2s"}));
    assert_eq!(body["environment"], json!({"B": "2"}));
    let refusal = product.patch(json!({"limits": {"timeout": "ages"}})).await.unwrap_err();
    assert_eq!(refusal.faults[0].pointer, "/limits/timeout");
    let developer = caller("developer");
    let missing = product.functions.patch(asks(&developer), "helo", &json!({}), Precondition::None).await;
    assert!(missing.unwrap_err().message.contains("did you mean `hello`?"));
}

#[tokio::test]
async fn a_grant_that_a_version_needs_is_not_taken_from_it() {
    let product = product().await;
    product.deploy("import keyvalue\nsay one", true).await.unwrap();
    product.deploy("say two", true).await.unwrap();
    let prepared = product.compute.prepared();
    product.patch(json!({"grants": {"keyvalue": ["default", "more"], "secrets": true}})).await.unwrap();
    assert_eq!(product.compute.prepared(), prepared, "more is never less");
    let refusal = product.patch(json!({"grants": {"keyvalue": []}})).await.unwrap_err();
    assert_eq!(refusal.faults[0].pointer, "/grants");
    assert!(refusal.message.contains("version 1") && refusal.message.contains("keyvalue"), "{refusal}");
    let developer = caller("developer");
    product.functions.delete_version(asks(&developer), ("hello", 1), Precondition::None).await.unwrap();
    product.patch(json!({"grants": {"keyvalue": []}})).await.unwrap();
    assert!(!product.deployed(2).settings.grants.allows_store("default"));
}

#[tokio::test]
async fn a_function_asks_a_flag_that_exists() {
    let product = product().await;
    product.deploy("say one", true).await.unwrap();
    product.deploy("say two", false).await.unwrap();
    product.put_behind_flag().await;
    let refusal = product.patch(json!({"flag_key": "nxt"})).await.unwrap_err();
    assert!(refusal.message.contains("did you mean `next`?"), "{refusal}");
    product.flags.delete(asks(&caller("developer")), "next", Precondition::None).await.unwrap();
    product.patch(json!({"description": "still can be changed"})).await.unwrap();
}

#[tokio::test]
async fn a_route_leads_to_functions_that_exist_and_says_which_version_would_run() {
    let product = product().await;
    product.deploy("say one", true).await.unwrap();
    product.deploy("say two", false).await.unwrap();
    product.put_behind_flag().await;
    let developer = caller("developer");
    let register = async |body: Value| product.routes.register(asks(&developer), &body).await;
    register(json!({"path": "/api", "match": "prefix", "strip_prefix": true, "function": "hello"}))
        .await
        .unwrap();
    register(json!({"path": "/x", "flag_key": "next", "backend_url": "http://127.0.0.1:1",
        "variants": {"two": "function:hello@2"}}))
    .await
    .unwrap();
    for (body, word) in [
        (json!({"path": "/y", "function": "helo"}), "did you mean `hello`?"),
        (json!({"path": "/y", "function": "hello@9"}), "has no version 9"),
        (json!({"path": "/y", "function": "hello", "backend_url": "http://a"}), "leave the others out"),
        (json!({"path": "/y", "backend_url": ["function:hello", "http://a"]}), "stands alone"),
        (json!({"path": "/y", "function": "Hello!"}), "names no function"),
    ] {
        let refusal = register(body).await.unwrap_err();
        assert!(refusal.message.contains(word), "{word}: {refusal}");
    }
    let test = |caller: &flagbase_core::caller::Caller, path: &str| {
        let question: Question = serde_json::from_value(json!({"path": path})).unwrap();
        let asked = Asked { caller, environment: "default", reason: "" };
        serde_json::to_value(product.routes.test(asked, &question).unwrap()).unwrap()
    };
    let mine = test(&developer, "/api/orders/7");
    assert_eq!(
        (&mine["decision"], &mine["function"], &mine["version"]),
        (&json!("function"), &json!("hello"), &json!(2))
    );
    assert_eq!(mine["upstream_path"], "/orders/7");
    assert!(mine["why"].as_str().unwrap().contains("flag `next` gives `two`"), "{mine}");
    let admin = caller("admin");
    assert_eq!(test(&admin, "/api")["version"], 1);
    assert_eq!(test(&developer, "/x")["version"], 2);
    assert_eq!(test(&admin, "/x")["decision"], "forward");
}
