//! What functions reach: only what they were granted, and flags as their caller sees them.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    buckets::{Object, ObjectHead},
    catalog::{Actor, DocumentId},
    engine::Reason,
    events::{MessageError, Messages},
    functions::{Deployed, GuestObjects, GuestSecrets, Host, HostError, HostParts, Settings, Visit},
    metrics::{Bounds, Recorder},
};
use parking_lot::Mutex;
use serde_json::json;

use super::{OPEN, Product, asks, caller, product, visit};

/// Every function has the secret `key`; no bucket holds anything.
struct Kept;

#[async_trait]
impl GuestSecrets for Kept {
    async fn open(&self, function: &DocumentId, name: &str) -> Result<Option<String>, HostError> {
        Ok((name == "key").then(|| format!("secret of {function}")))
    }

    async fn all(&self, function: &DocumentId) -> Result<BTreeMap<String, String>, HostError> {
        Ok(BTreeMap::from([("key".to_owned(), format!("secret of {function}"))]))
    }
}

#[async_trait]
impl GuestObjects for Kept {
    async fn get(&self, _: &DocumentId, _: &str, _: u64) -> Result<Option<Bytes>, HostError> {
        Ok(None)
    }
    async fn head(&self, _: &DocumentId, _: &str) -> Result<Option<Object>, HostError> {
        Ok(None)
    }
    async fn put(
        &self,
        actor: Actor,
        bucket: &DocumentId,
        key: &str,
        (content_type, data): (&str, Bytes),
    ) -> Result<Object, HostError> {
        Ok(Object {
            key: key.into(),
            size: data.len() as u64,
            head: ObjectHead::of_type(content_type),
            etag: format!("{} wrote to {bucket}", actor.id),
            ..Object::default()
        })
    }
    async fn delete(&self, _: Actor, _: &DocumentId, _: &str) -> Result<(), HostError> {
        Ok(())
    }
    async fn list(&self, _: &DocumentId, _: &str, _: &str, _: u32) -> Result<Vec<Object>, HostError> {
        Ok(Vec::new())
    }
}

#[derive(Default)]
struct Bus(Mutex<Vec<String>>);

impl Messages for Bus {
    fn send(&self, subject: &str, payload: Vec<u8>) -> Result<(), MessageError> {
        if payload.len() > 10 {
            return Err(MessageError::TooLarge(10));
        }
        self.0.lock().push(subject.to_owned());
        Ok(())
    }
}

struct Reach {
    product: Product,
    recorder: Arc<Recorder>,
    bus: Arc<Bus>,
    host: Host,
}

async fn reach(settings: serde_json::Value) -> Reach {
    let product = product().await;
    product.deploy("say hi", true).await.unwrap();
    product.patch(settings).await.unwrap();
    let clock = Arc::new(product.clock.clone());
    let recorder = Recorder::new(clock.clone(), Arc::clone(&product.meters), Bounds::default());
    let (recorder, bus) = (Arc::new(recorder), Arc::new(Bus::default()));
    let host = Host::new(HostParts {
        snapshots: Arc::clone(product.feed.snapshots()),
        recorder: Arc::clone(&recorder),
        logs: Arc::clone(product.runner.logs()),
        blobs: Arc::clone(&product.blobs) as _,
        keyvalue: Arc::new(product.memory.clone()),
        objects: Arc::new(Kept),
        secrets: Arc::new(Kept),
        messages: Some(Arc::clone(&bus) as _),
        outbound: OPEN,
        clock,
    });
    Reach { product, recorder, bus, host }
}

fn denied<T>(result: Result<T, HostError>) -> String {
    let error = result.err().unwrap();
    assert!(matches!(error, HostError::Denied(_)), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn what_is_not_granted_is_denied_with_what_to_do() {
    let reach = reach(json!({"grants": {"flags": false, "keyvalue": []}})).await;
    let visit = visit(reach.product.deployed(1), "user");
    assert!(reach.host.evaluator(&visit).evaluate("anything").is_none());
    assert!(reach.host.secrets(&visit).await.unwrap().is_empty());
    for (message, word) in [
        (denied(reach.host.secret(&visit, "key").await), "\"secrets\": true"),
        (denied(reach.host.store(&visit, "default")), "\"keyvalue\": [\"default\"]"),
        (denied(reach.host.bucket(&visit, "uploads")), "\"buckets\": [\"uploads\"]"),
        (
            denied(reach.host.publish(&visit, "orders.created", Vec::new())),
            "\"publish\": [\"orders.created\"]",
        ),
    ] {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn what_is_granted_is_the_functions_own() {
    let grants = json!({"grants": {"secrets": true, "buckets": ["uploads"], "publish": ["orders.>"]}});
    let reach = reach(grants).await;
    let visit = visit(reach.product.deployed(1), "user");
    let secret = reach.host.secret(&visit, "key").await.unwrap().unwrap();
    assert_eq!(secret, "secret of function `hello` in environment `default`");
    let all = reach.host.secrets(&visit).await.unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("key".to_owned(), secret)]);
    let store = reach.host.store(&visit, "default").unwrap();
    store.set("a", "1".into()).await.unwrap();
    assert_eq!(store.increment("a", 2).await.unwrap(), 3);
    assert!(store.swap("a", Some("3".into()), "x".into()).await.unwrap());
    assert_eq!(store.get("a").await.unwrap(), Some(Bytes::from_static(b"x")));
    assert_eq!(store.keys("", "").await.unwrap(), (vec!["a".to_owned()], None));
    assert!(matches!(store.increment("a", 1).await, Err(HostError::Failed(_))));
    assert!(matches!(store.get("").await, Err(HostError::TooLarge(_))));
    assert!(store.delete("a").await.unwrap());
    let object =
        reach.host.bucket(&visit, "uploads").unwrap().put("k", "text/plain", "x".into()).await.unwrap();
    assert_eq!(object.etag, "hello wrote to bucket `uploads` in environment `default`");
    let elsewhere = Deployed { environment: "production".into(), ..Deployed::clone(&visit.deployed) };
    let elsewhere = Visit { deployed: Arc::new(elsewhere), ..visit.clone() };
    assert_eq!(reach.host.store(&elsewhere, "default").unwrap().get("a").await.unwrap(), None);
}

#[tokio::test]
async fn messages_go_where_they_are_granted_and_never_where_flagbase_speaks() {
    let reach = reach(json!({"grants": {"publish": ["orders.>"]}})).await;
    let visit = visit(reach.product.deployed(1), "user");
    reach.host.publish(&visit, "orders.created", b"{}".to_vec()).unwrap();
    assert_eq!(*reach.bus.0.lock(), ["orders.created"]);
    let large = reach.host.publish(&visit, "orders.created", vec![0; 11]);
    assert!(matches!(large, Err(HostError::TooLarge(_))));
    let wild = reach.host.publish(&visit, "orders.*", Vec::new());
    assert!(matches!(wild, Err(HostError::Failed(_))));
    let mut settings = Settings::clone(&visit.deployed.settings);
    settings.grants.publish = vec![">".into()];
    let deployed = Deployed { settings: Arc::new(settings), ..Deployed::clone(&visit.deployed) };
    let everywhere = Visit { deployed: Arc::new(deployed), ..visit };
    for subject in ["flagbase.flag.updated", "$SYS.x"] {
        denied(reach.host.publish(&everywhere, subject, Vec::new()));
    }
}

#[tokio::test]
async fn a_function_sees_flags_as_its_caller_does_and_that_is_counted() {
    let reach = reach(json!({})).await;
    let flag = json!({"key": "beta", "enabled": true, "default_value": false,
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": true}]});
    reach.product.flags.create(asks(&caller("developer")), &flag).await.unwrap();
    let by_ip = json!({"key": "near", "enabled": true, "default_value": false,
        "rules": [{"attribute": "ip", "operator": "equals", "value": "192.0.2.1", "variant": true}]});
    reach.product.flags.create(asks(&caller("developer")), &by_ip).await.unwrap();
    let deployed = reach.product.deployed(1);
    let value = |visit: &Visit, key: &str| {
        let evaluator = reach.host.evaluator(visit);
        evaluator.evaluate(key).map(|seen| (seen.evaluation.variant.value.clone(), seen.evaluation.reason))
    };
    let developer = visit(Arc::clone(&deployed), "developer");
    assert_eq!(value(&developer, "beta"), Some((json!(true), Reason::TargetingMatch)));
    assert_eq!(value(&visit(Arc::clone(&deployed), "user"), "beta"), Some((json!(false), Reason::Default)));
    assert_eq!(value(&developer, "unknown"), None);
    let attributes = Arc::new([("ip".into(), "192.0.2.1".into()), ("role".into(), "developer".into())]);
    let near = Visit { attributes, ..visit(deployed, "user") };
    assert_eq!(value(&near, "near").unwrap().0, json!(true));
    assert_eq!(value(&near, "beta").unwrap().0, json!(false), "what was verified cannot be overwritten");
    let key = "default".into();
    let cell = reach.recorder.exposure_handle(&key, &"beta".into(), &"true".into());
    assert!(format!("{cell:?}").contains('1'), "{cell:?}");
}

#[tokio::test]
async fn one_visit_never_sees_a_flag_change_its_mind() {
    let reach = reach(json!({})).await;
    let developer = caller("developer");
    let flag = json!({"key": "beta", "enabled": true, "default_value": true});
    reach.product.flags.create(asks(&developer), &flag).await.unwrap();
    let visit = visit(reach.product.deployed(1), "user");
    let evaluator = reach.host.evaluator(&visit);
    let value = |evaluator: &flagbase_core::functions::Evaluator| {
        evaluator.evaluate("beta").unwrap().evaluation.variant.value.clone()
    };
    assert_eq!(value(&evaluator), json!(true));
    reach.product.flags.set_enabled(asks(&developer), "beta", false).await.unwrap();
    assert_eq!(value(&evaluator), json!(true));
    assert_eq!(value(&reach.host.evaluator(&visit)), json!(false), "the next visit does");
}

#[tokio::test]
async fn code_is_handed_out_only_when_it_is_what_its_digest_says() {
    let reach = reach(json!({})).await;
    let digest = reach.product.deployed(1).digest;
    let code = reach.host.code(&digest, 1000).await.unwrap().unwrap();
    assert_eq!(flagbase_core::functions::Digest::of(&code), digest);
    let name = format!("functions/{}", digest.hex());
    let blobs: &dyn flagbase_core::blobs::Blobs = reach.product.blobs.as_ref();
    blobs.put(&name, flagbase_testkit::blobs::whole("something else")).await.unwrap();
    let altered = reach.host.code(&digest, 1000).await.unwrap_err();
    assert!(altered.to_string().contains("deploy it again"), "{altered}");
    blobs.delete(&name).await.unwrap();
    assert_eq!(reach.host.code(&digest, 1000).await.unwrap(), None);
}
