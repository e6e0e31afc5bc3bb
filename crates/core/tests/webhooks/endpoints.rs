//! Making, changing and removing endpoints.

use flagbase_core::{
    refusal::Class,
    webhooks::{EVERYWHERE, view},
};

use super::*;

#[tokio::test]
async fn a_secret_is_told_once_and_is_in_no_document_change_or_event() {
    let product = product().await;
    let made = product.usual().await;
    let secret = made.secret.reveal();
    let rotated = product.webhooks.rotate(asks(&developer()), "w", None, ANY).await.unwrap();
    assert_ne!(rotated.secret.reveal(), secret);
    product.relay.drain().await.unwrap();
    product.round().await;
    let everything = format!(
        "{:?} {:?} {:?} {:?}",
        product.history().await,
        view(&made.document),
        product.received(),
        product.deliveries().await
    );
    for secret in [secret, rotated.secret.reveal()] {
        assert!(!everything.contains(secret.trim_start_matches("whsec_")), "{everything}");
    }
    let verbs: Vec<_> = product.history().await.into_iter().map(|change| change.verb).collect();
    assert_eq!(verbs, ["rotated", "created"]);
}

#[tokio::test]
async fn events_tell_where_an_endpoint_is_but_not_its_whole_address() {
    let product = product().await;
    product.endpoint(json!({"key": "w", "url": "https://hooks.example.com/t0ken?k=s3cr3t"})).await;
    product.flip(false).await;
    product.endpoint(json!({"key": "other", "url": "https://b.example.com/p4th"})).await;
    product.relay.drain().await.unwrap();
    product.round().await;
    let bodies: String = product.received().into_iter().map(|message| message.body).collect();
    assert!(bodies.contains("https://b.example.com") && !bodies.contains("p4th"), "{bodies}");
    assert_eq!(product.stored().await["url"], "https://hooks.example.com/t0ken?k=s3cr3t");
}

#[tokio::test]
async fn an_endpoint_is_told_of_what_it_asked_for_since_it_exists() {
    let product = product().await;
    product.flip(false).await;
    product.flags.set_enabled(asks(&developer()), "checkout", true).await.unwrap();
    product
        .endpoint(json!({"key": "w", "url": "https://a.example.com", "events": ["flagbase.flag.disabled"]}))
        .await;
    product.flip(false).await;
    product.flip(true).await;
    assert_eq!(product.round().await, 1, "neither what was before, nor of another type");
    assert_eq!(product.deliveries().await[0].event_type, "flagbase.flag.disabled");
}

#[tokio::test]
async fn an_endpoint_of_all_environments_is_for_those_who_manage_them_all() {
    let product = product().await;
    let body = json!({"key": "all", "url": "https://a.example.com"});
    let (person, admin) = (developer(), administrator());
    let everywhere = |caller| Asked { environment: EVERYWHERE, ..asks(caller) };
    let refusal = product.webhooks.create(everywhere(&person), &body).await.unwrap_err();
    assert_eq!(refusal.class, Class::Forbidden);
    let made = product.webhooks.create(everywhere(&admin), &body).await.unwrap();
    assert_eq!(view(&made.document)["environment"], EVERYWHERE);
    product.flip(false).await;
    assert_eq!(product.round().await, 1, "of what happens in an environment");
    let user = Caller { role: "user".into(), ..developer() };
    assert!(product.webhooks.create(asks(&user), &body).await.is_err());
}

#[tokio::test]
async fn an_endpoint_changes_only_as_it_was_seen() {
    let product = product().await;
    let made = product.usual().await;
    let seen = Precondition::Match(made.document.revision);
    let patch = json!({"description": "for the on-call"});
    let changed = product.webhooks.patch(asks(&developer()), "w", &patch, seen).await.unwrap();
    assert_eq!(changed.body["description"], "for the on-call");
    let refusal = product.webhooks.patch(asks(&developer()), "w", &patch, seen).await.unwrap_err();
    assert_eq!(refusal.class, Class::Stale);
    let again = json!({"key": "w", "url": "https://x.example.com"});
    let refusal = product.webhooks.create(asks(&developer()), &again).await.unwrap_err();
    assert_eq!(refusal.code, "webhook_exists");
    let body = json!({"url": "https://b.example.com"});
    let (replaced, secret) = product.webhooks.put(asks(&developer()), "w", &body, ANY).await.unwrap();
    assert!(secret.is_none(), "it keeps the one it has");
    assert_eq!(
        (&replaced.body["description"], &replaced.body["id"]),
        (&json!(""), &made.document.body["id"])
    );
    let (_, secret) = product.webhooks.put(asks(&developer()), "new", &body, ANY).await.unwrap();
    assert!(secret.is_some());
}

#[tokio::test]
async fn a_removed_endpoint_leaves_nothing_and_a_new_one_of_its_name_is_another() {
    let product = product().await;
    let first = product.usual().await;
    product.flip(false).await;
    product.webhooks.delete(asks(&developer()), "w", ANY).await.unwrap();
    assert_eq!(product.round().await, 0);
    let id = first.document.body["id"].as_str().unwrap();
    assert_eq!(product.memory.endpoint(id).await.unwrap(), flagbase_core::webhooks::EndpointState::default());
    let second = product.usual().await;
    assert_ne!(second.document.body["id"], first.document.body["id"]);
    assert!(product.deliveries().await.is_empty());
}

#[tokio::test]
async fn an_environment_with_an_endpoint_is_not_deleted() {
    let product = product().await;
    let environments = Environments::new(Arc::clone(&product.feed));
    let staging = serde_json::from_value(json!({"key": "staging"})).unwrap();
    environments.put(asks(&administrator()), staging, ANY).await.unwrap();
    let admin = administrator();
    let there = Asked { environment: "staging", ..asks(&admin) };
    product.webhooks.create(there, &json!({"key": "w", "url": "https://a.example.com"})).await.unwrap();
    let refusal = environments.delete(there, "staging", ANY).await.unwrap_err();
    assert_eq!(refusal.code, "environment_in_use");
    product.webhooks.delete(there, "w", ANY).await.unwrap();
    environments.delete(there, "staging", ANY).await.unwrap();
}
