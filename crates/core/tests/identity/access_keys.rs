//! API keys that are S3 access keys, too.

use flagbase_core::{
    buckets::permitted, catalog::Kind, functions::vault::Keyring, identity::KeyRequest, keys::KeyBucket,
    permissions::Permission, refusal::Class,
};

use crate::house::{House, house, refused};

const KEY: &str = "0123456789abcdef0123456789abcdef";

async fn sealing() -> House {
    let House { identity, feed, memory, clock } = house().await;
    let identity = identity.with_access_keys(Keyring::of(KEY).unwrap());
    House { identity, feed, memory, clock }
}

fn ask(permissions: &[Permission], buckets: Vec<KeyBucket>) -> KeyRequest {
    KeyRequest {
        name: "backup".into(),
        environment: "default".into(),
        permissions: permissions.to_vec(),
        buckets,
        ..KeyRequest::default()
    }
}

fn in_photos(permissions: Option<Vec<Permission>>) -> Vec<KeyBucket> {
    vec![KeyBucket { bucket: "photos".into(), prefix: "2026/".into(), permissions }]
}

#[tokio::test]
async fn a_key_for_buckets_is_an_access_key_whose_secret_is_told_once() {
    let house = sealing().await;
    let (_, alice) = house.join("alice@example.com", "developer").await;
    let made =
        house.identity.create_key(&alice, ask(&[Permission::BucketRead], Vec::new()), "").await.unwrap();
    let (id, secret) = made.access.unwrap();
    assert!(id.len() == 20 && id.starts_with("FB") && id == made.key.access_key_id(), "{id}");
    assert!(id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()), "{id}");
    assert_eq!(secret.len(), 40);
    let known = house.identity.access_key(&id).unwrap();
    assert_eq!((known.secret.as_str(), &known.key), (secret.as_str(), &made.key));
    assert_eq!(&*known.caller.id, made.key.id.as_str());
    assert!(!format!("{:?}", house.changes().await).contains(&secret), "sealed in the log, too");
    let log = house.changes().await;
    assert!(log.iter().any(|change| change.id.kind == Kind::ApiKey && change.verb == "created"));
}

#[tokio::test]
async fn a_key_for_something_else_is_none_and_so_is_what_was_revoked_or_made_up() {
    let house = sealing().await;
    let (_, alice) = house.join("alice@example.com", "developer").await;
    let plain =
        house.identity.create_key(&alice, ask(&[Permission::FlagRead], Vec::new()), "").await.unwrap();
    assert!(plain.access.is_none() && house.identity.access_key(&plain.key.access_key_id()).is_err());
    let made =
        house.identity.create_key(&alice, ask(&[Permission::BucketRead], Vec::new()), "").await.unwrap();
    let (id, _) = made.access.unwrap();
    for wrong in
        ["", "FB", &id.to_lowercase(), &id[1..], &format!("{}1", &id[..19]), "ÄÖÜÄÖÜÄÖÜÄ", &"A".repeat(20)]
    {
        assert_eq!(
            refused(house.identity.access_key(wrong).map(drop)).class,
            Class::Unauthenticated,
            "{wrong}"
        );
    }
    house.identity.revoke_key(&alice, &made.key.id, "").await.unwrap();
    assert_eq!(refused(house.identity.access_key(&id).map(drop)).code, "token_invalid");
}

#[tokio::test]
async fn an_access_key_ends_with_its_time_and_does_not_open_under_another_seal() {
    let house = sealing().await;
    let (_, alice) = house.join("alice@example.com", "developer").await;
    let request = KeyRequest { expires_in: Some("1h".into()), ..ask(&[Permission::BucketRead], Vec::new()) };
    let (id, _) = house.identity.create_key(&alice, request, "").await.unwrap().access.unwrap();
    assert!(house.identity.access_key(&id).is_ok());
    house.clock.advance_seconds(3600);
    assert_eq!(refused(house.identity.access_key(&id).map(drop)).code, "key_expired");

    let made =
        house.identity.create_key(&alice, ask(&[Permission::BucketRead], Vec::new()), "").await.unwrap();
    let other = house.identity.with_access_keys(Keyring::of(&KEY.to_uppercase()).unwrap());
    assert_eq!(refused(other.access_key(&made.access.unwrap().0).map(drop)).code, "key_sealed");
}

#[tokio::test]
async fn a_key_that_names_buckets_holds_there_alone() {
    let house = sealing().await;
    let (_, alice) = house.join("alice@example.com", "developer").await;
    let all = [Permission::BucketRead, Permission::BucketWrite, Permission::FlagRead];
    let only_read = Some(vec![Permission::BucketRead]);
    let made = house.identity.create_key(&alice, ask(&all, in_photos(only_read)), "").await.unwrap();
    let caller = house.identity.authenticate(&made.token).await.unwrap();
    let snapshot = house.feed.snapshots().get();
    let place = snapshot.environment("default").unwrap();
    let may = |bucket, to, permission| permitted(&snapshot, place, &caller, (bucket, to)).allow(permission);
    assert!(may("photos", "2026/a", Permission::BucketRead) && may("any", "", Permission::FlagRead));
    assert!(
        !may("photos", "2026/a", Permission::BucketWrite) && !may("photos", "2025/a", Permission::BucketRead)
    );
    assert!(!may("other", "2026/a", Permission::BucketRead));

    let more = Some(vec![Permission::BucketDelete]);
    let refusal = refused(house.identity.create_key(&alice, ask(&all, in_photos(more)), "").await.map(drop));
    assert_eq!(refusal.faults[0].pointer, "/buckets/0/permissions");
    let nameless = vec![KeyBucket { bucket: "No Bucket".into(), prefix: String::new(), permissions: None }];
    let refusal = refused(house.identity.create_key(&alice, ask(&all, nameless), "").await.map(drop));
    assert_eq!(refusal.faults[0].pointer, "/buckets/0");
}
