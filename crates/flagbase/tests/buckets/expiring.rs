//! Uploads that nobody goes on with. Time is not waited for: what was begun is made to have begun earlier.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flagbase_core::{
    buckets::{Listing, Quota, Upload, Uploads as _},
    catalog::{DocumentId, Kind},
    clock::SystemClock,
};
use flagbase_store::{Sqlite, SqliteConfig};
use jiff::SignedDuration;

use super::{commands::tree, *};

const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
const KIND: (&str, &str) = ("content-type", "application/offset+octet-stream");

/// A bound for hopeless cases, not a measurement: so many looks, a tenth of a second apart.
const LOOKS: u32 = 600;

impl Place {
    /// Begins an upload of ten bytes with four of them; its path below the bucket.
    async fn four_of_ten(&self, key: &str) -> String {
        let metadata = format!("key {}", STANDARD.encode(key));
        let headers = [TUS, KIND, ("upload-length", "10"), ("upload-metadata", metadata.as_str())];
        let begun = self.send(Method::POST, "/uploads", &headers, "1234").await.expect_status(201);
        begun.header("location").unwrap().strip_prefix("/api/v1/buckets/files").unwrap().to_owned()
    }

    /// Makes all uploads older.
    async fn age(&self, by: SignedDuration) {
        let config = SqliteConfig::new(self.server.directory().join("flagbase.db")).beside();
        let store = Sqlite::open(&config, &SystemClock).unwrap();
        let bucket = DocumentId::new(Kind::Bucket, "default", "files");
        let listing = Listing { limit: 100, ..Listing::default() };
        for (upload, _) in store.list(&bucket, &listing).await.unwrap().uploads {
            let parts = store.parts(&bucket, &upload.id, 0, 100).await.unwrap();
            store.abort(&bucket, &upload.id).await.unwrap();
            let (id, begun) = (upload.id.clone(), upload.begun.checked_sub(by).unwrap());
            store.begin(&bucket, Upload { begun, ..upload }).await.unwrap();
            for part in parts {
                store.part(&bucket, &id, part, Quota::default()).await.unwrap();
            }
        }
        store.close().await;
    }

    /// How many files hold bytes.
    fn kept(&self) -> usize {
        tree(&self.server.directory().join("data/storage/objects")).len()
    }
}

#[tokio::test]
async fn an_upload_ends_when_the_lifecycle_of_its_key_says_so() {
    let rule = json!({"prefix": "tmp/", "abort_uploads_after_days": 1});
    let mut place = Place::new(json!({"lifecycle": [rule]})).await;
    let (short, long) = (place.four_of_ten("tmp/a").await, place.four_of_ten("a").await);
    let blobs = place.kept();
    let head = async |place: &Place, upload: &str| place.send(Method::HEAD, upload, &[TUS], "").await;
    place.age(SignedDuration::from_hours(23)).await;
    assert_eq!(head(&place, &short).await.expect_status(200).header("upload-offset"), Some("4"));

    place.age(SignedDuration::from_hours(2)).await;
    head(&place, &short).await.expect_status(404);
    let rest = [TUS, KIND, ("upload-offset", "4")];
    let late = place.send(Method::PATCH, &short, &rest, "567890").await.expect_status(404);
    assert_eq!(late.json["code"], "upload_not_found");
    place.get("tmp/a", &[]).await.expect_status(404);
    assert_eq!(head(&place, &long).await.expect_status(200).header("upload-offset"), Some("4"));

    // What looks for such uploads does so at the start.
    place.server.restart().await;
    let mut listed = Value::Null;
    for _ in 0..LOOKS {
        let page = place.send(Method::GET, "/uploads", &[], "").await.expect_status(200);
        listed = page.json["uploads"].clone();
        if listed.as_array().is_some_and(|uploads| uploads.len() == 1) && place.kept() < blobs {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!((&listed[0]["key"], place.kept()), (&json!("a"), blobs - 1), "{listed}");
    place.send(Method::PATCH, &long, &rest, "567890").await.expect_status(204);
    assert_eq!(place.bytes("a").await, b"1234567890");
}
