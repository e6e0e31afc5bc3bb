use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::*;
use crate::{
    catalog::{Change, Document, DocumentId, Kind},
    environments::{Environment, EnvironmentKind},
    keys::KeyBucket,
    roles::Role,
};

fn change(kind: Kind, environment: &str, key: &str, body: serde_json::Value) -> Change {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let id = DocumentId::new(kind, environment, key);
    Change::of_document(Document { id, revision: 1, body, created_at: now, updated_at: now })
}

/// A snapshot with the environment `e`, and a role `r` of these scopes.
fn snapshot(scopes: &[(&str, &[Permission])]) -> (Snapshot, Arc<EnvironmentSnapshot>) {
    let permissions: BTreeMap<String, Vec<Permission>> =
        scopes.iter().map(|(scope, set)| ((*scope).to_owned(), set.to_vec())).collect();
    let role = Role { key: "r".into(), name: String::new(), permissions };
    assert_eq!(role.faults(), [], "it is a role that could be stored");
    let snapshot = Snapshot::empty().apply(&change(Kind::Role, "", "r", serde_json::to_value(role).unwrap()));
    let definition = Environment {
        key: "e".into(),
        name: String::new(),
        kind: EnvironmentKind::Production,
        attributes: Vec::new(),
    };
    let snapshot = snapshot.with_environment(EnvironmentSnapshot::new(definition));
    let environment = Arc::clone(snapshot.environment("e").unwrap());
    (snapshot, environment)
}

fn bucket(body: &serde_json::Value) -> Bucket {
    Bucket::from_stored(DocumentId::new(Kind::Bucket, "e", "b"), 1, body).unwrap()
}

fn user(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: "u1".into(),
        email: "alice@example.com".into(),
        role: role.into(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn key(permissions: &[Permission], buckets: Vec<KeyBucket>) -> Caller {
    let key = ApiKey {
        id: "k1".into(),
        environment: "e".into(),
        permissions: permissions.to_vec(),
        buckets,
        ..ApiKey::default()
    };
    Caller { id: "k1".into(), principal: Principal::Key(Arc::new(key)), ..Caller::clone(&Caller::nobody()) }
}

fn ask(snapshot: &Snapshot, bucket: &Bucket, caller: &Caller, act: Act<'_>) -> Result<Granted, Class> {
    let visitor = Visitor { caller, environment: "e", reason: "", ip: None, secure: false };
    may(snapshot, bucket, &visitor, act).map_err(|refusal| refusal.class)
}

const GET: Act<'static> = Act::new(Action::GetObject, "img/1");
const PUT: Act<'static> = Act::new(Action::PutObject, "img/1");

#[test]
fn a_scope_of_a_role_holds_in_its_bucket_and_below_its_prefix() {
    let (snapshot, _) = snapshot(&[
        ("environment:e/bucket:b/img/", &[Permission::BucketRead, Permission::FlagUpdate]),
        ("environment:other/bucket:b", &[Permission::BucketWrite]),
        ("environment:e/bucket:c", &[Permission::BucketWrite]),
    ]);
    let (b, alice) = (bucket(&json!({"name": "b"})), user("r"));
    assert_eq!(ask(&snapshot, &b, &alice, GET), Ok(Granted::Permission));
    assert_eq!(ask(&snapshot, &b, &alice, Act::new(Action::GetObject, "img")), Err(Class::Forbidden));
    assert_eq!(ask(&snapshot, &b, &alice, PUT), Err(Class::Forbidden));
    assert_eq!(ask(&snapshot, &b, &user("none"), GET), Err(Class::Forbidden));
    assert_eq!(ask(&snapshot, &b, &Caller::nobody(), GET), Err(Class::Unauthenticated));
    let place = snapshot.environment("e").unwrap();
    let permitted = permitted(&snapshot, place, &alice, ("b", "img/1"));
    assert!(!permitted.allow(Permission::FlagUpdate), "a scope of a bucket permits nothing else");
    assert!(touches(&snapshot, place, &alice, "b") && touches(&snapshot, place, &alice, "c"));
    assert!(!touches(&snapshot, place, &alice, "d"));
}

#[test]
fn a_key_that_names_buckets_may_nothing_in_others() {
    let (snapshot, place) = snapshot(&[]);
    let all = [Permission::BucketRead, Permission::BucketWrite, Permission::FlagRead];
    let scope =
        |bucket: &str, permissions| KeyBucket { bucket: bucket.into(), prefix: "img/".into(), permissions };
    let b = bucket(&json!({"name": "b"}));
    let scoped = key(&all, vec![scope("b", Some(vec![Permission::BucketRead]))]);
    assert_eq!(ask(&snapshot, &b, &scoped, GET), Ok(Granted::Permission));
    assert_eq!(ask(&snapshot, &b, &scoped, PUT), Err(Class::Forbidden), "less than the key");
    assert_eq!(ask(&snapshot, &b, &scoped, Act::new(Action::GetObject, "txt/1")), Err(Class::Forbidden));
    let elsewhere = key(&all, vec![scope("c", None)]);
    assert_eq!(ask(&snapshot, &b, &elsewhere, GET), Err(Class::Forbidden));
    assert!(elsewhere.permissions(&snapshot, &place).allow(Permission::FlagRead), "the rest holds as before");
    assert!(!elsewhere.permissions(&snapshot, &place).allow(Permission::BucketRead));
    let more = key(&[Permission::BucketRead], vec![scope("b", Some(vec![Permission::BucketWrite]))]);
    assert_eq!(ask(&snapshot, &b, &more, PUT), Err(Class::Forbidden), "never more than the key");
    assert_eq!(ask(&snapshot, &b, &key(&all, Vec::new()), PUT), Ok(Granted::Permission));
}

#[test]
fn what_a_policy_denies_is_denied_then_permissions_then_what_it_allows_then_what_is_public() {
    let (snapshot, _) = snapshot(&[("environment:e/bucket:b", &[Permission::BucketRead])]);
    let statement = |effect: &str, action: &str| json!({"Effect": effect, "Principal": "*", "Action": action, "Resource": "arn:aws:s3:::b/img/*"});
    let with =
        |statements: serde_json::Value| bucket(&json!({"name": "b", "policy": {"Statement": statements}}));
    let (alice, nobody) = (user("r"), Caller::nobody());
    let denying = with(json!([statement("Deny", "s3:GetObject"), statement("Allow", "s3:*")]));
    assert_eq!(ask(&snapshot, &denying, &alice, GET), Err(Class::Forbidden));
    assert_eq!(ask(&snapshot, &denying, &nobody, PUT), Ok(Granted::Policy));
    let allowing = with(json!([statement("Allow", "s3:PutObject")]));
    assert_eq!(ask(&snapshot, &allowing, &alice, GET), Ok(Granted::Permission));
    assert_eq!(ask(&snapshot, &allowing, &alice, PUT), Ok(Granted::Policy));
    assert_eq!(ask(&snapshot, &allowing, &nobody, GET), Err(Class::Unauthenticated));
    let public = bucket(&json!({"name": "b", "public": "read"}));
    assert_eq!(ask(&snapshot, &public, &nobody, GET), Ok(Granted::Public));
    for private in [PUT, Act::new(Action::ListBucket, ""), Act::new(Action::GetVersion, "img/1")] {
        assert_eq!(ask(&snapshot, &public, &nobody, private), Err(Class::Unauthenticated), "{private:?}");
    }
}

#[test]
fn whoever_manages_a_bucket_cannot_be_shut_out_by_its_policy() {
    let (snapshot, _) =
        snapshot(&[("environment:e/bucket:b", &[Permission::BucketManage, Permission::BucketRead])]);
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]});
    let b = bucket(&json!({"name": "b", "policy": {"Statement": deny}}));
    assert_eq!(ask(&snapshot, &b, &user("r"), GET), Err(Class::Forbidden));
    assert_eq!(ask(&snapshot, &b, &user("r"), Act::new(Action::PutSettings, "")), Ok(Granted::Permission));
}

#[test]
fn a_key_that_is_used_elsewhere_is_told_what_it_is_for_and_what_was_asked() {
    let (snapshot, _) = snapshot(&[]);
    let scope = |bucket: &str, prefix: &str| KeyBucket {
        bucket: bucket.into(),
        prefix: prefix.into(),
        permissions: None,
    };
    let message = |caller: &Caller, act: Act<'_>| {
        let visitor = Visitor { caller, environment: "e", reason: "", ip: None, secure: false };
        may(&snapshot, &bucket(&json!({"name": "b"})), &visitor, act).unwrap_err().message
    };
    let other = key(&[Permission::BucketRead], vec![scope("site", ""), scope("b", "doc/")]);
    assert_eq!(
        message(&other, GET),
        "this access key is for `site`, `b/doc/` only, and `bucket.read` was asked for `b/img/1`; use a key for that"
    );
    let reads = key(&[Permission::BucketRead], vec![scope("b", "img/")]);
    assert_eq!(
        message(&reads, PUT),
        "this access key does not hold `bucket.write` for `b/img/1`; make one that does"
    );
    let many =
        key(&[Permission::BucketRead], (0..9).map(|number| scope(&format!("b{number}"), "")).collect());
    assert!(message(&many, Act::new(Action::ListBucket, "")).contains("`b4`, others only"));
    assert!(
        message(&key(&[], Vec::new()), GET).starts_with("`bucket.read` is not permitted here in bucket `b`")
    );
}
